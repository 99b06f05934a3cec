"""``Fact``: what is known of an array inside a step, such as which state entries each of its entries may read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jax.extend.core import JaxprEqn
from jaxtyping import Bool, Int

Mask: TypeAlias = Bool[np.ndarray, "..."]
Ids: TypeAlias = Int[np.ndarray, "..."]

ENTRY_LIMIT = 1 << 22
"""Most boolean entries of one mask; larger ones would cost more than they save."""


class UndecidedError(Exception):
    """The dependence cannot be followed (too large, or hidden in a mutable array); the caller answers "dense"."""


@dataclass(frozen=True)
class Fact:
    """What holds for one intermediate array, whatever the state and the operands are.

    `reads` [*shape, D] tells which state entries each entry may depend on (None: on none). `support` [*shape] is
    False where the entry is surely zero (None: nowhere known). `value` is the array itself where it is a constant of
    integers or booleans.
    """

    shape: tuple[int, ...]
    reads: Mask | None = None
    support: Mask | None = None
    value: np.ndarray | None = None

    def __post_init__(self) -> None:
        # An entry that is surely zero reads nothing.
        if self.reads is not None and self.support is not None:
            object.__setattr__(self, "reads", self.reads & self.support[..., None])

    def known_support(self) -> Mask | None:
        """Return the support, looked up in the value where there is one; None if no entry is surely zero."""
        support = self.support if self.value is None else np.asarray(self.value != 0)
        return None if support is None or support.all() else support

    @property
    def blank(self) -> bool:
        """Whether nothing is known but the shape; a blank array does not depend on the state."""
        return self.reads is None and self.support is None and self.value is None


Rule: TypeAlias = Callable[[JaxprEqn, Sequence[Fact]], list[Fact]]
"""How an equation turns what is known of its operands into what is known of its results."""


def within(entries: int) -> None:
    """Give up rather than build a mask of more than `ENTRY_LIMIT` entries."""
    if entries > ENTRY_LIMIT:
        raise UndecidedError


def shape_of(atom: object) -> tuple[int, ...]:
    """Return the shape of a variable of a program; () for what is no array."""
    return tuple(getattr(getattr(atom, "aval", None), "shape", ()))


def width_of(facts: Sequence[Fact]) -> int | None:
    """Return the number of state entries D, or None if no fact reads the state."""
    return next((fact.reads.shape[-1] for fact in facts if fact.reads is not None), None)


def union(facts: Sequence[Fact], shape: tuple[int, ...]) -> Mask | None:
    """Return, entry by entry, all that any of the facts reads; a scalar counts for every entry."""
    width = width_of(facts)
    if width is None:
        return None
    within(math.prod(shape) * width)
    reads = np.zeros((*shape, width), bool)
    for fact in facts:
        if fact.reads is not None:
            reads |= fact.reads
    return reads


def union_support(facts: Sequence[Fact], shape: tuple[int, ...]) -> Mask | None:
    """Return a mask that is False where all the facts are surely zero."""
    supports = [fact.known_support() for fact in facts]
    known = [np.broadcast_to(support, shape) for support in supports if support is not None]
    return np.logical_or.reduce(known) if len(known) == len(facts) else None


def join(first: Fact, second: Fact) -> Fact:
    """Return what holds for an array that is one or the other."""
    pair = (first, second)
    return Fact(first.shape, union(pair, first.shape), union_support(pair, first.shape))


def any_along(mask: Mask | None, axes: int | tuple[int, ...]) -> Mask | None:
    """Return the mask with these axes united."""
    return None if mask is None else np.asarray(mask.any(axes))


def everything(facts: Sequence[Fact]) -> Mask | None:
    """Return the mask [D] of the state entries that any entry of any of the facts reads."""
    rows = [fact.reads.any(tuple(range(len(fact.shape)))) for fact in facts if fact.reads is not None]
    return np.logical_or.reduce(rows) if rows else None


def reading(shape: tuple[int, ...], row: Mask | None) -> Fact:
    """Return an array all of whose entries read the same state entries [D]."""
    return Fact(shape, None if row is None else np.broadcast_to(row, (*shape, *row.shape)))


def opaque(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of last resort: every entry of every result reads all that the operands read."""
    row = everything(operands)
    return [reading(shape_of(var), row) for var in eqn.outvars]


def numbered(facts: Sequence[Fact]) -> list[Ids]:
    """Number the entries of the facts laid end to end, in the shapes of the facts."""
    sizes = [math.prod(fact.shape) for fact in facts]
    within(sum(sizes))
    groups = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    return [group.reshape(fact.shape) for group, fact in zip(groups, facts, strict=True)]


def move(facts: Sequence[Fact], ids: Ids) -> Fact:
    """Return the array whose entries are those with these numbers; -1 stands for a constant from elsewhere."""
    width = width_of(facts)
    reads = support = value = None
    if width is not None:
        within(width * (ids.size + sum(math.prod(fact.shape) for fact in facts)))
        rows = [np.zeros((*fact.shape, width), bool) if fact.reads is None else fact.reads for fact in facts]
        reads = _end_to_end(rows, np.zeros((1, width), bool), width)[ids]
    values = [fact.value for fact in facts if fact.value is not None]
    if len(values) == len(facts) and (ids >= 0).all():
        value = np.concatenate([known.ravel() for known in values])[ids]
    elif any(fact.known_support() is not None for fact in facts):
        supports = [np.ones(fact.shape, bool) if (known := fact.known_support()) is None else known for fact in facts]
        support = _end_to_end(supports, np.ones(1, bool))[ids]
    return Fact(ids.shape, reads, support, value)


def _end_to_end(arrays: Sequence[Mask], last: Mask, *row: int) -> Mask:
    """Flatten the arrays down to their rows, lay them end to end and add the entry which number -1 finds."""
    return np.concatenate([*(array.reshape(array.size // max(1, math.prod(row)), *row) for array in arrays), last])
