"""Partial evaluation: a program evaluated as far as some arguments allow, so that a loop repeats only what changes."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Literal

from ..solution import Tree
from .inside import bind


def partially_evaluated(function: Callable[..., Tree], known: Tree, *example: Tree) -> Callable[..., Tree]:
    """The function of its other arguments, with all that depends on the first alone computed at once.

    Called before a loop, it takes out of the loop what is the same in every turn, such as slices of weights.

    Args:
        function: of ``known`` and of trees like the example's.
        known: its first argument.
        example: the others, as arrays or ``ShapeDtypeStruct``.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(known, *example)
    jaxpr, leaves = closed.jaxpr, jax.tree.leaves(known)
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    values.update(zip(jaxpr.invars[: len(leaves)], leaves, strict=True))
    later = []
    for eqn in jaxpr.eqns:
        if all(isinstance(atom, Literal) or atom in values for atom in eqn.invars):
            values.update(zip(eqn.outvars, bind(eqn, eqn.params, _values(eqn.invars, values)), strict=True))
        else:
            later.append(eqn)

    def run(*rest: Tree) -> Tree:
        inner = {**values, **dict(zip(jaxpr.invars[len(leaves) :], jax.tree.leaves(rest), strict=True))}
        for eqn in later:
            inner.update(zip(eqn.outvars, bind(eqn, eqn.params, _values(eqn.invars, inner)), strict=True))
        return jax.tree.unflatten(jax.tree.structure(shape), _values(jaxpr.outvars, inner))

    return run


def _values(atoms: Sequence[Any], values: dict[Any, Any]) -> list[Any]:
    """Values of the atoms of a program."""
    return [atom.val if isinstance(atom, Literal) else values[atom] for atom in atoms]
