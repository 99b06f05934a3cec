"""A step split in two: what needs no carry, which all steps can compute at once, and the rest, for the loop.

The transposed step of a derivative is such a step: it needs the linearization of the step at a known state.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal
from jaxtyping import Array

from ..solution import Tree
from .closure import close_over
from .inside import bind, called, computed_from, interpreted


def hoisted(
    step: Callable[[Tree, Tree], Tree], carry: Tree, x: Tree
) -> tuple[Callable[[Tree], list[Array]], Callable[[Tree, list[Array]], Tree]]:
    """What a step needs of its inputs, as a function of them, and the step as a function of that.

    Args:
        step: ``(carry, x) -> results``.
        carry: shapes of its first argument.
        x: shapes of its second.

    Returns:
        ``x -> needed`` and ``(carry, needed) -> results``.
    """
    flat = close_over(step, carry, x).rewritten(_written_out)
    closed, first = flat.closed, len(jax.tree.leaves(carry))
    program = closed.jaxpr
    later, earlier = set(program.invars[:first]), set(program.invars[first:])
    for eqn in program.eqns:
        operands = {atom for atom in eqn.invars if not isinstance(atom, Literal)}
        if operands & later:
            later |= set(eqn.outvars)
        elif operands & earlier:
            earlier |= set(eqn.outvars)
    read = [atom for eqn in program.eqns if later & set(eqn.outvars) for atom in eqn.invars] + list(program.outvars)
    needed = list(dict.fromkeys(atom for atom in read if not isinstance(atom, Literal) and atom in earlier))

    def before(x: Tree) -> list[Array]:
        return computed_from(closed, dict(zip(program.invars[first:], jax.tree.leaves(x), strict=True)), needed)

    def rest(carry: Tree, given: list[Array]) -> Tree:
        known = dict(zip([*program.invars[:first], *needed], [*jax.tree.leaves(carry), *given], strict=True))
        return flat.program.assembled([jnp.asarray(each) for each in computed_from(closed, known, program.outvars)])

    return before, rest


def _written_out(closed: ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
    """Results of a program, with the operations of the programs that it only calls in their place."""

    def apply(eqn: JaxprEqn, operands: list[Any]) -> list[Any]:
        inner = called(eqn)
        return bind(eqn, eqn.params, operands) if inner is None else _written_out(inner, operands)

    return interpreted(closed, args, apply)
