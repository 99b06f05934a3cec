"""Which entries of a carry a step never rounds, since they are held, selected, moved or quantized.

Two copies of such an entry either agree to the bit or remember different things. A value is of one of three kinds: it
depends on the state only through decisions (a comparison, a sign), and so has few possible values; or it is held, an
unchanged entry of the state; or it is rounded. This is found from the program, without running it: an unknown operation
counts as one that rounds, and a program that is not understood as one that holds its entries.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Bool, Int8

from ..solution import Tree
from .closure import close_over
from .inside import called, opened
from .primitives import BRANCHES, ELEMENTWISE, KEEPING, ORDERING, PLACED, QUANTIZING
from .unknown import unknown_is

ROUNDED, HELD, DECIDED = 0, 1, 2
"""Kinds of values; where a value may be of several kinds, the lowest counts."""

Kinds: TypeAlias = Int8[np.ndarray, "..."]
"""The kind of each entry of an array."""

Mask: TypeAlias = Bool[np.ndarray, "..."]
"""For each entry of an array whether it is exact."""


@unknown_is(lambda step, carry, x: [np.ones(np.shape(leaf), bool) for leaf in jax.tree.leaves(carry)])
def exact_entries(step: Any, carry: Tree, x: Tree) -> list[Mask]:
    """For each entry of the carry whether it never rounds: a step makes it without rounding from such entries alone.

    Args:
        step: ``(carry, x) -> (carry, y)``.
        carry: its carry, as arrays or ``ShapeDtypeStruct``.
        x: its inputs, likewise.
    """
    program = close_over(step, carry, x).program
    return program.fact("exact entries", lambda: _exact(program.jaxpr, carry, x))


def _exact(program: Jaxpr, carry: Tree, x: Tree) -> list[Mask]:
    """For each entry of the carry whether a program never rounds it."""
    inputs = [_full(leaf.shape, DECIDED) for leaf in jax.tree.leaves(x)]
    kinds = [_full(leaf.shape, HELD) for leaf in jax.tree.leaves(carry)]
    while True:
        found = _results(program, kinds + inputs)[: len(kinds)]
        # What is rounded once stays so; what decisions lead to may be raised once.
        found = [np.where(old == ROUNDED, old, new).astype(np.int8) for old, new in zip(kinds, found, strict=True)]
        if all(np.array_equal(*each) for each in zip(found, kinds, strict=True)):
            return [each != ROUNDED for each in kinds]
        kinds = found


def _full(shape: tuple[int, ...], kind: int) -> Kinds:
    """An array of one kind."""
    return np.full(shape, kind, np.int8)


def _results(program: Jaxpr, given: list[Kinds], known: Sequence[Any] = ()) -> list[Kinds]:
    """Kinds of the results of a program for kinds of its arguments, of which some that are no floats are known."""
    values: dict[Any, Kinds] = dict(zip(program.invars, given, strict=True))
    indices: dict[Any, Any] = dict(zip(program.invars, known, strict=False))

    def read(atom: Any) -> Kinds:
        fresh = _full(getattr(atom.aval, "shape", ()), DECIDED)
        return fresh if isinstance(atom, Literal) or not _floating(atom) else values.get(atom, fresh)

    def index(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else indices.get(atom)

    for eqn in program.eqns:
        known = [None if _floating(atom) else index(atom) for atom in eqn.invars]
        values.update(zip(eqn.outvars, _after(eqn, [read(atom) for atom in eqn.invars], known), strict=True))
        if len(eqn.outvars) == 1 and not _floating(eqn.outvars[0]) and all(each is not None for each in known):
            indices[eqn.outvars[0]] = _known(eqn, known)
    return [read(atom) for atom in program.outvars]


@unknown_is(lambda eqn, known: None)
def _known(eqn: Any, known: list[Any]) -> Any:
    """The result of an operation on values that are known, None where it cannot be computed here."""
    with jax.ensure_compile_time_eval():
        return eqn.primitive.bind(*known, **eqn.primitive.get_bind_params(eqn.params))


def _after(eqn: Any, given: list[Kinds], known: list[Any]) -> list[Kinds]:
    """Kinds of the results of one operation, of whose integer and boolean operands some are known."""
    name, shapes = eqn.primitive.name, [getattr(atom.aval, "shape", ()) for atom in eqn.outvars]
    if (inner := called(eqn)) is not None:
        return _results(inner.jaxpr, given, known)
    if name in BRANCHES:
        branches = [_results(opened(branch)[0], given[1:]) for branch in eqn.params["branches"]]
        return [reduce(np.minimum, kinds) for kinds in zip(*branches, strict=True)]
    if name in QUANTIZING or all(np.all(kinds == DECIDED) for kinds in given):
        return [_full(shape, DECIDED) for shape in shapes]
    if name == "convert_element_type":
        return [np.where((given[0] == HELD) & _narrows(eqn), ROUNDED, given[0]).astype(np.int8)]
    if name == "select_n" and known[0] is not None:
        return [np.choose(np.asarray(known[0]).astype(int), given[1:])]
    if name in PLACED:
        # What is alike everywhere stays so, and nothing is compiled to find that out.
        same = name != "gather" and _one_kind(eqn, given)
        return _all_or_none(eqn, given, known) if same else _moved(eqn, given, known)
    if name in ORDERING:
        return _all_or_none(eqn, given, known)
    if name in KEEPING:
        return [_together(given, shape) for shape in shapes]
    if name in ELEMENTWISE:
        return [np.where(_together(given, shape) == DECIDED, DECIDED, ROUNDED).astype(np.int8) for shape in shapes]
    return [_full(shape, ROUNDED) for shape in shapes]


@unknown_is(lambda given, shape: _full(shape, min(int(kinds.min(initial=DECIDED)) for kinds in given)))
def _together(given: list[Kinds], shape: tuple[int, ...]) -> Kinds:
    """The least of the kinds of all operands in the same place."""
    return np.broadcast_to(reduce(np.minimum, given, _full((), DECIDED)), shape)


def _all_or_none(eqn: Any, given: list[Kinds], known: list[Any]) -> list[Kinds]:
    """Kinds of entries that may have come from anywhere."""
    least = min((int(kinds.min(initial=DECIDED)) for kinds in given), default=DECIDED)
    return [_full(getattr(atom.aval, "shape", ()), least) for atom in eqn.outvars]


def _one_kind(eqn: Any, given: list[Kinds]) -> bool:
    """Whether all floating operands of an operation are of one kind, wherever they are moved."""
    kinds = [each for atom, each in zip(eqn.invars, given, strict=True) if _floating(atom)]
    return bool(kinds) and len(np.unique(np.concatenate([each.ravel() for each in kinds]))) == 1


@unknown_is(_all_or_none)
def _moved(eqn: Any, given: list[Kinds], known: list[Any]) -> list[Kinds]:
    """Kinds moved as the entries are, where it is known to which places."""
    pairs = zip(eqn.invars, given, known, strict=True)
    operands = [kinds if _floating(atom) else value for atom, kinds, value in pairs]
    if any(operand is None for operand in operands):
        return _all_or_none(eqn, given, known)
    with jax.ensure_compile_time_eval():
        arrays = [jnp.asarray(operand) for operand in operands]
        # A place outside of an array holds a number that is given: as exact as any.
        params = {**eqn.params, "fill_value": DECIDED} if eqn.primitive.name == "gather" else eqn.params
        out = eqn.primitive.bind(*arrays, **eqn.primitive.get_bind_params(params))
    return [np.asarray(each) for each in (out if eqn.primitive.multiple_results else [out])]


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
