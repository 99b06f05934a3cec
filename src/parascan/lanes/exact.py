"""Which leaves of a carry a step never rounds: held, selected, moved or quantized, they keep whatever they remember.

Two copies of such a leaf either agree to the bit or remember something else. Judged by the program alone, without
running it: an operation that is not known counts as one that rounds, and a program that cannot be followed as exact.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal

from .._inside import INLINED, opened
from .._types import Tree
from .._unknown import unknown_is
from .work import MOVING

KEEPING = (MOVING - {"convert_element_type"}) | frozenset(
    {"abs", "clamp", "complex", "conj", "cummax", "cummin", "imag", "max", "min", "neg", "real", "reduce_max"}
    | {"reduce_min", "rem", "scatter", "select_n", "sort"}
)
"""Operations whose results are entries of their operands, or exact to the last bit."""

QUANTIZING = frozenset({"ceil", "floor", "round", "sign"})
"""Operations whose results are few, whatever rounding their operands have seen."""


@unknown_is(lambda step, carry, x: [True] * len(jax.tree.leaves(carry)))
def exact_leaves(step: Any, carry: Tree, x: Tree) -> list[bool]:
    """For each leaf of the carry whether its value after a step comes without rounding from leaves of which this holds.

    Args:
        step: ``(carry, x) -> (carry, y)``.
        carry: its carry, as arrays or ``ShapeDtypeStruct``.
        x: its inputs, likewise.
    """
    program = jax.make_jaxpr(lambda carry, x: step(carry, x)[0])(carry, x).jaxpr
    inputs = [True] * len(jax.tree.leaves(x))
    exact = [True] * len(jax.tree.leaves(carry))
    while (kept := [old and new for old, new in zip(exact, _results(program, exact + inputs), strict=True)]) != exact:
        exact = kept
    return exact


def _results(program: Jaxpr, given: list[bool]) -> list[bool]:
    """Which results of a program are exact where some of its arguments are."""
    values: dict[Any, bool] = dict(zip(program.invars, given, strict=True))

    def read(atom: Any) -> bool:
        return isinstance(atom, Literal) or not _floating(atom) or values.get(atom, True)

    for eqn in program.eqns:
        values.update(zip(eqn.outvars, _after(eqn, [read(atom) for atom in eqn.invars]), strict=True))
    return [read(atom) for atom in program.outvars]


def _after(eqn: Any, given: list[bool]) -> list[bool]:
    """The same of one operation."""
    name, count = eqn.primitive.name, len(eqn.outvars)
    if name in INLINED:
        return _results(opened(eqn.params[INLINED[name]])[0], given)
    if name == "cond":
        branches = [_results(opened(branch)[0], given[1:]) for branch in eqn.params["branches"]]
        return [all(flags) for flags in zip(*branches, strict=True)]
    if name in QUANTIZING:
        return [True] * count
    if name == "convert_element_type":
        return [all(given) and not _narrows(eqn)]
    return [name in KEEPING and all(given)] * count


def _narrows(eqn: Any) -> bool:
    """Whether a conversion drops digits of a floating operand."""
    before, after = eqn.invars[0], eqn.outvars[0]
    if not (_floating(before) and _floating(after)):
        return False
    return float(jnp.finfo(after.aval.dtype).eps) > float(jnp.finfo(before.aval.dtype).eps)


def _floating(atom: Any) -> bool:
    """Whether an operand's values can be rounded at all."""
    dtype = getattr(atom.aval, "dtype", None)
    return dtype is None or jnp.issubdtype(dtype, jnp.inexact)
