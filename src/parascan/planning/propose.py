"""The candidates of a plan: every way to evaluate a call, what it would cost, and why it is worth it or not."""

import dataclasses
import math
from typing import Any, NamedTuple

from ..chunked import SHORTEST_BLOCK, TRIAL_SHARE, choose_chunks
from ..diagnostics import Diagnosis, Estimate
from ..diagnostics.estimate import estimate_of
from ..diagnostics.forecast.updates import newton_on_blocks
from ..problem.flat_recurrence import Recurrence
from ..programs.machine import Machine
from ..solvers import AbstractIterativeSolver, Chunked, MultipleShooting, Sequential, WithFallback, deer
from ..solvers.evaluation_cost import (
    StepCost,
    Workload,
    chunked_seconds,
    iterative_seconds,
    sequential_seconds,
    update_seconds,
)
from .candidate import Candidate, Standing, digits
from .compared import METHODS

MEASURED, MODELED = 1.25, 2.0
"""Factors by which an expected time may be off: one from measured steps, and one from the machine's record alone."""

GAIN = 0.9
"""A method is worth its risk if it is expected to take at most this part of the sequential time."""

NUMBERS_OF_BLOCKS = (16, 64, 256, 1024, 4096)
"""Numbers of blocks of multiple shooting that are compared for Newton's method."""

MEMORIES = 3
"""Least steps of a chunk, in units of the steps in which the system forgets its start."""

TRIALS = 2
"""Trial steps of a run in chunks, in units of the steps in which the system forgets its start."""


class Setting(NamedTuple):
    """What is known about a call.

    Attributes:
        recurrence: the problem.
        workload: its sizes.
        step: cost of a step.
        machine: that the call runs on.
        diagnosis: what to expect of it.
        budget: part of the sequential time that a wrong forecast may cost.
        memory_limit: most bytes that a method may hold, or None.
    """

    recurrence: Recurrence
    workload: Workload
    step: StepCost
    machine: Machine
    diagnosis: Diagnosis
    budget: float
    memory_limit: int | None

    @property
    def sequential(self) -> float:
        """Seconds of one step after the other."""
        return sequential_seconds(self.workload, self.step, self.machine)

    def seconds(self, value: float, low: float, high: float, method: str) -> Estimate:
        """A time as an estimate, whose interval is widened by what the cost model may be off by."""
        factor = MEASURED if self.step.measured else MODELED
        return estimate_of(value, low / factor, high * factor, method, "s", 0.9, ("nothing else runs",))


def sequential(setting: Setting) -> Candidate:
    """The candidate that takes one step after the other, on the device of the call.

    Args:
        setting: the call.
    """
    value, how = setting.sequential, "steps timed" if setting.step.measured else "rates of the machine"
    seconds = setting.seconds(value, value, value, how)
    reason, held = "right for every system, and as long as there are steps", states_bytes(setting)
    platform = setting.workload.platform
    return Candidate("one step after the other", Sequential(), platform, seconds, None, held, "possible", reason)


def unrolled(setting: Setting, unroll: int, alone: float) -> Candidate:
    """The candidate that takes several steps in each turn of the plain loop.

    Args:
        setting: the call.
        unroll: how many.
        alone: seconds of a step so, timed.
    """
    plain = sequential(setting)
    value = setting.machine.call + setting.workload.length * alone
    seconds = setting.seconds(value, value, value, "steps timed")
    standing, reason = _worth(seconds, setting)
    if standing == "possible":
        reason += ", with last bits that may differ from those of one step a turn"
    name = f"one step after the other, {unroll} in a turn of the loop"
    return dataclasses.replace(
        plain, name=name, solver=Sequential(unroll), seconds=seconds, standing=standing, reason=reason
    )


def in_chunks(
    setting: Setting, chunks: int, horizon: Estimate, row: float | None = None, whole: float | None = None
) -> Candidate:
    """The candidate that runs a number of chunks side by side.

    Args:
        setting: the call.
        chunks: their number for each sequence on each device.
        horizon: steps in which the system forgets its start.
        row: seconds of a row of as many chunks, where it was timed.
        whole: seconds of such a call, where it was timed.
    """
    workload, step = setting.workload, setting.step
    name, held = f"{chunks * workload.devices} chunks side by side", states_bytes(setting)
    if not math.isfinite(float(horizon.value)):
        value = (1 + TRIAL_SHARE) * setting.sequential
        seconds, reason = (
            setting.seconds(value, value, value, "given up on the way"),
            "the system does not forget its start within the warm-up of these chunks",
        )
        return Candidate(name, Chunked(chunks), workload.platform, seconds, None, held, "rejected", reason)
    if row is not None:
        step = step._replace(row=0.0, chunk=row / (chunks * workload.batch))
    value, low, high = (
        chunked_seconds(workload, step, setting.machine, chunks, float(steps))
        for steps in (horizon.value, horizon.low, min(float(horizon.high), workload.length))
    )
    method = "rows timed" if row is not None else "rates of the machine"
    if whole is not None:
        value, low, high, method = whole, whole, max(high - value, 0.0) + whole, "timed"
    seconds = setting.seconds(value, low, high, method)
    solver = Chunked(chunks, trial_steps=max(math.ceil(TRIALS * float(horizon.value)), 1))
    each = workload.length // (chunks * workload.devices)
    standing, reason = _worth(seconds, setting)
    if float(horizon.value) * MEMORIES > each:
        standing = "rejected"
        reason = f"a start is forgotten after {float(horizon.value):.0f} steps, over a third of a chunk of {each}"
    return Candidate(name, solver, workload.platform, seconds, None, held, standing, reason)


def iterative(
    setting: Setting,
    name: str,
    first: AbstractIterativeSolver | MultipleShooting,
    updates: Estimate,
    each: float | None = None,
) -> Candidate:
    """The candidate of a method that iterates, with the plain loop as its fallback.

    Args:
        setting: the call.
        name: what to call it.
        first: the method.
        updates: how many it is expected to take.
        each: seconds of one update, where they were timed.
    """
    workload, step, machine = setting.workload, setting.step, setting.machine
    if each is None:
        each = update_seconds(workload, step, machine, first)
    rest = iterative_seconds(workload, step, machine, first, 0)
    counts = (float(updates.value), float(updates.low), min(float(updates.high), workload.length))
    value, low, high = (rest + count * each for count in counts)
    affordable = int(min(setting.budget * setting.sequential / each, workload.length))
    if affordable < counts[2]:
        # Given up there, the steps follow one after the other.
        high = max(value, rest + affordable * each + setting.sequential)
    seconds = setting.seconds(value, low, high, "updates forecast")
    held = first.peak_bytes(setting.recurrence)
    standing, reason = _worth(seconds, setting)
    if setting.memory_limit is not None and held > setting.memory_limit:
        standing, reason = (
            "rejected",
            f"it would hold {held:.2g} bytes, more than the limit of {setting.memory_limit:.2g}",
        )
    elif counts[0] > affordable and standing == "possible":
        standing = "rejected"
        reason = (
            f"{counts[0]:.0f} updates are forecast, and the budget of {setting.budget:.0%} of the sequential time is "
            f"enough for {affordable}"
        )
    solver = WithFallback(first, Sequential(), budget=affordable)
    return Candidate(name, solver, workload.platform, seconds, updates, held, standing, reason)


def newton_family(setting: Setting) -> list[tuple[str, AbstractIterativeSolver | MultipleShooting, Estimate]]:
    """Methods that iterate, with their forecasts of updates; of Newton on blocks, the best block length.

    Args:
        setting: the call.
    """
    found: list[tuple[str, Any, Estimate]] = []
    iterations, workload = setting.diagnosis.iterations, setting.workload
    newton = iterations["newton"]
    on_blocks = []
    for count in NUMBERS_OF_BLOCKS:
        block = -(-workload.length // count)
        if block > 1:
            solver = MultipleShooting(deer(), block, block)
            on_blocks.append((solver, newton_on_blocks(newton, workload.length, block)))
    if on_blocks:

        def expected(entry: tuple[MultipleShooting, Estimate]) -> float:
            return iterative_seconds(workload, setting.step, setting.machine, entry[0], float(entry[1].value))

        solver, updates = min(on_blocks, key=expected)
        found.append((f"Newton on blocks of {solver.length}", solver, updates))
    for method in METHODS:
        if entry := method.foretold_by(setting.diagnosis):
            found.append((method.words, method.make(), iterations[entry]))
    return found


def uncounted(setting: Setting) -> list[Candidate]:
    """Methods whose updates nothing foretells: how few they would have to be, by the cost of an update alone.

    Their time is that of T updates, which suffice for every causal method, and its interval begins at a single one.

    Args:
        setting: the call.
    """
    candidates = []
    for method in METHODS:
        if method.foretold_by(setting.diagnosis):
            continue
        solver, most = method.make(), setting.workload.length
        updates = estimate_of(most, 1.0, most, "not foretold: one to T", "updates", 1.0)
        candidate = iterative(setting, method.words, solver, updates)
        within = most_updates(setting.workload, setting.step, setting.machine, solver)
        if within < 1:
            share = digits(_share_of_one(setting, solver))
            reason = f"by count, no number of updates can win: one takes {share} times the sequential time"
        else:
            reason = f"its updates are not foretold: by count it wins with {within} or fewer; solvers= counts them"
        candidates.append(dataclasses.replace(candidate, standing="rejected", reason=reason))
    return candidates


def most_updates(
    workload: Workload, step: StepCost, machine: Machine, solver: AbstractIterativeSolver | MultipleShooting
) -> int:
    """The most updates with which a method is still worth its risk, by count: T at most, and zero where it never is.

    Args:
        workload: sizes.
        step: cost of a step.
        machine: that it runs on.
        solver: the method.
    """
    left = GAIN * sequential_seconds(workload, step, machine) - iterative_seconds(workload, step, machine, solver, 0)
    return int(min(max(left / update_seconds(workload, step, machine, solver), 0), workload.length))


def _share_of_one(setting: Setting, solver: AbstractIterativeSolver) -> float:
    """Time of a call that takes a single update, in units of the sequential time."""
    return iterative_seconds(setting.workload, setting.step, setting.machine, solver, 1) / setting.sequential


def chunk_numbers(workload: Workload, horizon: float) -> list[int]:
    """Numbers of chunks to compare: the default's, and others whose chunks are long against the memory.

    Args:
        workload: sizes.
        horizon: steps in which the system forgets its start.
    """
    shortest = max(MEMORIES * horizon, SHORTEST_BLOCK)
    most = int(workload.length / (shortest * workload.devices))
    whole = [n for n in range(4, most + 1, 4) if workload.length % (n * workload.devices) == 0]
    powers = [2**k for k in range(2, 11) if 2**k <= most]
    found = {min(whole, key=lambda n: abs(math.log(n / power))) if whole else power for power in powers}
    sizes = *workload[:3], workload.batch, workload.devices, workload.platform
    by_rule = choose_chunks(*sizes, double=workload.work.double)
    return sorted(found | ({by_rule} if 0 < by_rule <= most else set()))


def states_bytes(setting: Setting) -> int:
    """Bytes of the states that a call returns."""
    return setting.workload.length * setting.workload.size * setting.recurrence.dtype.itemsize * setting.workload.batch


def _worth(seconds: Estimate, setting: Setting) -> tuple[Standing, str]:
    """Whether a method is expected to be faster than one step after the other."""
    times = setting.sequential / float(seconds.value)
    if float(seconds.value) <= GAIN * setting.sequential:
        return "possible", f"{digits(times)} times as fast as one step after the other"
    return "rejected", f"{digits(1 / times)} times the sequential time"
