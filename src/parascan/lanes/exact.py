"""Which leaves of a carry a step never rounds: held, selected, moved or quantized, they keep whatever they remember.

Two copies of such a leaf either agree to the bit or remember something else. A value is of one of three kinds: it
depends on the state only through decisions (a comparison, a sign), and so has few values whatever is computed from it;
or it is held, an entry of the state as it was; or it is rounded. Judged by the program alone, without running it: an
operation that is not known counts as one that rounds, and a program that cannot be followed as exact.
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


ROUNDED, HELD, DECIDED = 0, 1, 2
"""Kinds of values, in ascending order of what is known of them."""


@unknown_is(lambda step, carry, x: [True] * len(jax.tree.leaves(carry)))
def exact_leaves(step: Any, carry: Tree, x: Tree) -> list[bool]:
    """For each leaf of the carry whether its value after a step comes without rounding from leaves of which this holds.

    Args:
        step: ``(carry, x) -> (carry, y)``.
        carry: its carry, as arrays or ``ShapeDtypeStruct``.
        x: its inputs, likewise.
    """
    program = jax.make_jaxpr(lambda carry, x: step(carry, x)[0])(carry, x).jaxpr
    inputs = [DECIDED] * len(jax.tree.leaves(x))
    kinds = [HELD] * len(jax.tree.leaves(carry))
    # Each leaf is raised once at most, and lowered once.
    for _ in range(2 * len(kinds) + 1):
        kinds = [
            min(new, old) if old == ROUNDED else new
            for new, old in zip(_results(program, kinds + inputs), kinds, strict=True)
        ]
    return [kind != ROUNDED for kind in kinds]


def _results(program: Jaxpr, given: list[int]) -> list[int]:
    """Kinds of the results of a program whose arguments are of some kinds."""
    values: dict[Any, int] = dict(zip(program.invars, given, strict=True))

    def read(atom: Any) -> int:
        return DECIDED if isinstance(atom, Literal) or not _floating(atom) else values.get(atom, DECIDED)

    for eqn in program.eqns:
        values.update(zip(eqn.outvars, _after(eqn, [read(atom) for atom in eqn.invars]), strict=True))
    return [read(atom) for atom in program.outvars]


def _after(eqn: Any, given: list[int]) -> list[int]:
    """The same of one operation."""
    name, least = eqn.primitive.name, min(given, default=DECIDED)
    if name in INLINED:
        return _results(opened(eqn.params[INLINED[name]])[0], given)
    if name == "cond":
        branches = [_results(opened(branch)[0], given[1:]) for branch in eqn.params["branches"]]
        return [min(kinds) for kinds in zip(*branches, strict=True)]
    if name in QUANTIZING or least == DECIDED:
        kind = DECIDED
    elif name in KEEPING or (name == "convert_element_type" and not _narrows(eqn)):
        kind = least
    else:
        kind = ROUNDED
    return [kind] * len(eqn.outvars)


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
