"""The candidates of a plan in their order: which are timed, and which is chosen."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ..diagnostics import Estimate
from ..diagnostics.estimate import estimate_of
from ..programs.built_in import here
from ..solvers import AbstractIterativeSolver, Chunked, MultipleShooting
from ..solvers.criterion import AbstractCriterion
from ..solvers.evaluation_cost import step_cost
from .calibration import is_double
from .candidate import Candidate
from .measure import (
    ROWS,
    Memory,
    measure_alone,
    measure_chunks,
    measure_row,
    measure_step,
    measure_update,
    on_host,
)
from .pilot_updates import pilot_updates
from .propose import (
    MEASURED,
    MEMORIES,
    Setting,
    chunk_numbers,
    in_chunks,
    iterative,
    newton_family,
    sequential,
    uncounted,
    unrolled,
)

WORTH_TIMING = 4.0
"""A method's update is timed only if the method is expected to take at most so many times the sequential time, since
compiling it takes a second."""

ROUNDING = 128
"""Units of rounding within which copies count as met, where the memory follows from the exponent."""

BRIEF = 0.1
"""Runs in chunks are timed as a whole where sequential evaluation takes at most so many seconds."""

UNROLLED = (4, 8)
"""Steps in a turn of the plain loop that are compared where a step is small; more were slower."""

KEPT = 3
"""How many numbers of chunks stay among the candidates."""


class Seen(NamedTuple):
    """What was measured, and what else the candidates depend on.

    Attributes:
        measured: whether anything may be timed.
        memory: how soon the system forgets its start, if measured.
        others: further methods to compare.
        criterion: when methods that iterate stop.
    """

    measured: bool
    memory: Memory | None
    others: tuple[AbstractIterativeSolver | MultipleShooting, ...]
    criterion: AbstractCriterion


def ranked(setting: Setting, seen: Seen, forbidden: str | None, unsuited: str | None) -> tuple[Candidate, ...]:
    """All candidates, the chosen one first and the others by their expected time.

    Args:
        setting: the call.
        seen: what was measured.
        forbidden: why nothing but one step after the other can be run; None where other ways can.
        unsuited: why chunks are no gain; None where they may be.
    """
    plain = sequential(setting)
    found = [plain, *_unrolled(setting, seen), *_in_chunks(setting, seen, unsuited)]
    if forbidden is None:
        found.extend(_iterating(setting, seen))
    if setting.workload.platform != "cpu":
        found.append(_on_the_host(setting, seen))
    best = min((each for each in found if each.standing == "possible"), key=_expected)
    rest = sorted((each for each in found if each is not best), key=_expected)
    return (dataclasses.replace(best, standing="chosen"), *rest)


def _unrolled(setting: Setting, seen: Seen) -> list[Candidate]:
    """Plain loops with several steps in a turn, of one sequence on a CPU whose step is small.

    They are timed: whether XLA makes a loop faster so does not follow from the step's operations.
    """
    workload = setting.workload
    if not (seen.measured and workload.work.small and workload.platform == "cpu" and workload.batch == 1):
        return []
    alone = {unroll: measure_alone(setting.recurrence, setting.machine, unroll) for unroll in UNROLLED}
    return [unrolled(setting, unroll, seconds) for unroll, seconds in alone.items()]


def _in_chunks(setting: Setting, seen: Seen, unsuited: str | None) -> list[Candidate]:
    """Runs in chunks side by side, for the best numbers of them."""
    horizon = _horizon(setting, seen)
    numbers = chunk_numbers(setting.workload, float(horizon.value)) or [4]
    candidates = []
    for chunks in numbers:
        together = chunks * setting.workload.batch
        timed = seen.measured and together * ROWS <= setting.recurrence.length and unsuited is None
        row = measure_row(setting.recurrence, setting.machine, together) if timed else None
        candidates.append(in_chunks(setting, chunks, horizon, row))
    kept = sorted(candidates, key=_expected)[:KEPT]
    if unsuited is not None:
        return [dataclasses.replace(each, standing="rejected", reason=unsuited) for each in kept[:1]]
    brief = setting.sequential <= BRIEF and setting.workload.batch == setting.workload.devices == 1
    return [_timed(each, setting, horizon) if seen.measured and brief else each for each in kept]


def _timed(candidate: Candidate, setting: Setting, horizon: Estimate) -> Candidate:
    """A candidate in chunks that may win, timed as a whole: in a short run, what its parts leave out matters."""
    solver = candidate.solver
    if not isinstance(solver, Chunked) or solver.chunks is None:
        return candidate
    fits = MEMORIES * float(horizon.value) <= setting.workload.length // solver.chunks
    if not fits or _expected(candidate) > MEASURED * setting.sequential:
        return candidate
    whole = measure_chunks(setting.recurrence, setting.workload, solver.chunks, solver.trial_steps or 1)
    return in_chunks(setting, solver.chunks, horizon, whole=whole)


def _horizon(setting: Setting, seen: Seen) -> Estimate:
    """Steps in which the system forgets its start to rounding: measured, or from the exponent."""
    if seen.memory is not None:
        steps = float(seen.memory.steps) if seen.memory.forgets else float("inf")
        return estimate_of(steps, steps, 2 * steps, "copies brought together", "steps", 0.9)
    exponent, a = setting.diagnosis.exponent, setting.diagnosis.a
    fall = -np.log(ROUNDING * float(jnp.finfo(setting.recurrence.dtype).eps))

    def steps_at(rate: float) -> float:
        if rate == -np.inf:
            return 1.0
        return (fall + np.log(max(float(a.value), 1.0))) / -rate if rate < 0 else float("inf")

    value, low, high = (steps_at(float(each)) for each in (exponent.value, exponent.low, exponent.high))
    return estimate_of(value, low, high, "log(a / rounding) / |exponent|", "steps", 0.9)


def _iterating(setting: Setting, seen: Seen) -> list[Candidate]:
    """Methods that iterate; those that may win are timed."""
    candidates = []
    others = [(each.described, each, pilot_updates(setting.recurrence, each, seen.criterion)) for each in seen.others]
    for name, solver, updates in (*newton_family(setting), *others):
        candidate = iterative(setting, name, solver, updates)
        if seen.measured and _expected(candidate) <= WORTH_TIMING * setting.sequential:
            each = measure_update(setting.recurrence, setting.machine, setting.workload, solver)
            candidate = iterative(setting, name, solver, updates, each)
        candidates.append(candidate)
    return candidates + uncounted(setting)


def _on_the_host(setting: Setting, seen: Seen) -> Candidate:
    """One step after the other on the host's processor, which takes small steps in far less time."""
    machine = here("cpu", double=is_double(str(setting.recurrence.dtype)))
    workload = setting.workload._replace(platform="cpu", devices=1)
    cost = step_cost(workload, machine)
    if seen.measured:
        cost = measure_step(on_host(setting.recurrence), machine)
    return sequential(setting._replace(workload=workload, step=cost, machine=machine))


def _expected(candidate: Candidate) -> float:
    """Expected seconds."""
    return float(candidate.seconds.value)
