"""One figure of the table: what was measured, what came out, and what should have."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax

from . import machine
from .harness import Ratio, compare, quickest


@dataclass(frozen=True)
class Case:
    """A ratio with its spread and target; "at least" targets unless `most` says otherwise.

    Attributes:
        row: number in the table of targets.
        name: workload with sizes and dtype.
        measure: what is divided by what.
        value: the median ratio.
        low: first quartile, or the value where there is no spread.
        high: third quartile.
        target: what the ratio should reach.
        most: whether the target bounds from above.
        limit: part of the machine's ceiling that the work needed reaches, or None.
        note: anything that belongs to the figure.
    """

    row: int
    name: str
    measure: str
    value: float
    low: float
    high: float
    target: float
    most: bool = False
    limit: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.target if self.most else self.value >= self.target


@dataclass(frozen=True)
class Size:
    """How large the workloads are and how often they run."""

    toy: bool
    rounds: int

    def length(self, full: int, toy: int = 256) -> int:
        """Steps of a workload."""
        return toy if self.toy else full


@dataclass(frozen=True)
class Work:
    """What an answer needs at least, whatever the method: operations and bytes of inputs and outputs."""

    operations: float
    bytes: float

    def share(self, seconds: float, dtype: Any) -> float:
        """Least time by the machine's ceilings over the time taken."""
        most = _ceilings(str(jax.numpy.dtype(dtype)))
        return max(self.operations / most["operations"], self.bytes / most["bytes"]) / seconds


@cache
def _ceilings(dtype: str) -> dict[str, float]:
    """Measured once a process."""
    return machine.ceilings(dtype)


def timed(
    row: int,
    name: str,
    measure: str,
    ours: Callable[[], Any],
    yardstick: Callable[[], Any],
    target: float,
    size: Size,
    work: tuple[Work, Any] | None = None,
    note: str = "",
) -> Case:
    """The case of two programs that have been found to agree."""
    ratio: Ratio = compare(ours, yardstick, size.rounds)
    limit = None if work is None else work[0].share(ratio.seconds, work[1])
    return Case(row, name, measure, ratio.median, ratio.low, ratio.high, target, limit=limit, note=note)


UNROLLS = (1, 2, 4, 8, 16, 32)
"""Steps in a turn of `jax.lax.scan` that a careful user tries."""

ROUNDS_OF_UNROLLS = 3
"""Rounds in which the best of them is found."""


def planned(
    row: int,
    name: str,
    ours: Callable[[], Any],
    plain: Callable[[int], Callable[[], Any]],
    target: float,
    size: Size,
    work: tuple[Work, Any] | None = None,
    goal: float | None = None,
) -> Iterator[Case]:
    """What `ps.scan` gains over the plain loop, and over the best that a careful user makes of it.

    Args:
        row: number in the table.
        name: of the workload.
        ours: runs `ps.scan`.
        plain: runs `jax.lax.scan` with so many steps in a turn.
        target: of the ratio to one step in a turn.
        size: of the workloads.
        work: what the answer needs.
        goal: target of the ratio to the best number of steps in a turn; that of the other where none is given.
    """
    loops = {count: plain(count) for count in (UNROLLS[:2] if size.toy else UNROLLS)}
    yield timed(row, name, "planned / seq", ours, loops[1], target, size, work)
    best = quickest(loops, ROUNDS_OF_UNROLLS)
    note = f"unroll={best}"
    yield timed(row, name, "planned / best seq", ours, loops[best], target if goal is None else goal, size, work, note)
