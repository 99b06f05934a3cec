"""Ratios of two programs that take turns.

pytest-benchmark and asv time one function after the other; what the machine does in between then enters the ratio.
Here both run in every round, in alternating order, and the ratio is that of each round.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

Clock = Callable[[], float]

SAMPLE = 0.02
"""Least seconds of a sample: a shorter call is repeated within it."""


@dataclass(frozen=True)
class Ratio:
    """How many times as fast ours is: median and quartiles over the rounds, and our seconds for the limit."""

    median: float
    low: float
    high: float
    seconds: float


def compare(
    ours: Callable[[], Any], yardstick: Callable[[], Any], rounds: int, clock: Any = time.perf_counter
) -> Ratio:
    """The yardstick's time over ours, both compiled and warmed up."""
    counts = [max(1, int(SAMPLE / max(_sample(program, 1, clock), 1e-9))) for program in _warm(ours, yardstick)]
    pairs = []
    for turn in range(rounds):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        times = [0.0, 0.0]
        for index in order:
            times[index] = _sample((ours, yardstick)[index], counts[index], clock) / counts[index]
        pairs.append(times)
    return _ratio(pairs)


def in_turns(
    ours: Callable[[], Any], yardstick: Callable[[], Any], rounds: int, meet: Callable[[], Any], calls: int = 3
) -> Ratio:
    """The same ratio in one of several processes, which meet before every sample and so make the same calls."""
    both = list(_warm(ours, yardstick))
    pairs = []
    for _ in range(rounds):
        times = []
        for program in both:
            meet()
            times.append(_sample(program, calls, time.perf_counter) / calls)
        pairs.append(times)
    return _ratio(pairs)


def _ratio(pairs: list[list[float]]) -> Ratio:
    """From the seconds of both sides in each round."""
    mine, theirs = np.asarray(pairs).T
    low, median, high = np.percentile(theirs / mine, [25, 50, 75])
    return Ratio(float(median), float(low), float(high), float(np.median(mine)))


def quickest(programs: Mapping[int, Callable[[], Any]], rounds: int, clock: Clock = time.perf_counter) -> int:
    """The key of the program that takes the least time in any round, all of them taking turns."""
    keys = list(programs)
    warm = dict(zip(keys, _warm(*programs.values()), strict=True))
    counts = {key: max(1, int(SAMPLE / max(_sample(warm[key], 1, clock), 1e-9))) for key in keys}
    least = {key: min(_sample(warm[key], counts[key], clock) / counts[key] for _ in range(rounds)) for key in keys}
    return min(least, key=lambda key: least[key])


def _warm(*programs: Callable[[], Any]) -> Iterator[Callable[[], Any]]:
    """The programs, each after two runs."""
    for program in programs:
        for _ in range(2):
            jax.block_until_ready(program())
        yield program


def _sample(program: Callable[[], Any], count: int, clock: Clock) -> float:
    """Seconds that some calls take."""
    start = clock()
    for _ in range(count):
        jax.block_until_ready(program())
    return clock() - start


def assert_close(given: Any, expected: Any, units: float, name: str) -> float:
    """Largest error in units of the largest entry; stops the row where it is more than some units of rounding."""
    worst = 0.0
    for mine, theirs in zip(jax.tree.leaves(given), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
        scale = max(float(np.max(np.abs(b), initial=0.0)), 1e-30)
        error = float(np.max(np.abs(a - b), initial=0.0)) / scale
        # NaN must not pass as small.
        if not error <= units * float(np.finfo(theirs.dtype).eps):
            raise AssertionError(f"{name}: error {error:.1e} of the largest entry, expected {units} units of rounding")
        worst = max(worst, error)
    return worst
