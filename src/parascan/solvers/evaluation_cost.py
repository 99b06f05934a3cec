"""Seconds of an update and of a whole evaluation, from the machine's record or from what was measured of the step."""

from typing import NamedTuple

import jax

from ..chunked import COPIES
from ..problem.flat_recurrence import Recurrence
from ..problem.jacobian import columns_of, diagonal_columns_of
from ..programs.built_in import here
from ..programs.cost import CALLS, chunk_seconds, full_use, step_seconds
from ..programs.machine import Machine
from ..programs.platform import platform_of
from ..programs.shapes import row_of
from ..programs.work import Work, counted
from .base import AbstractTrajectorySolver
from .linearizations import UpdateWork


class Workload(NamedTuple):
    """What decides the cost of a call and is known without running it.

    Attributes:
        length: T, steps.
        size: D, entries of a state.
        work: what a step computes.
        columns: Jacobian-vector products that give all of a step's Jacobian: D, or less where its structure is known.
        diagonal_columns: Jacobian-vector products that give the diagonal of a step's Jacobian.
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        batch: N, sequences that run at once.
        devices: over which the chunks of each are spread.
    """

    length: int
    size: int
    work: Work
    columns: int
    diagonal_columns: int
    platform: str
    batch: int = 1
    devices: int = 1


class StepCost(NamedTuple):
    """Seconds of one step of one sequence, alone and among others.

    Attributes:
        alone: of a step, one after the other.
        row: of a row, in which all chunks take one step, whatever their number.
        chunk: further seconds of a row for each of its chunks.
        product: of a Jacobian-vector product of one chunk.
        measured: whether these were timed on the step itself.
    """

    alone: float
    row: float
    chunk: float
    product: float
    measured: bool = False


def workload_of(recurrence: Recurrence, platform: str, batch: int = 1, devices: int = 1) -> Workload:
    """The workload of a recurrence.

    Args:
        recurrence: what is to be evaluated.
        platform: on which.
        batch: sequences at once.
        devices: for each of them.
    """
    columns = columns_of(recurrence), diagonal_columns_of(recurrence)
    return Workload(recurrence.length, recurrence.size, work_of(recurrence), *columns, platform, batch, devices)


def work_of(recurrence: Recurrence) -> Work:
    """What a step computes.

    Args:
        recurrence: whose step it is.
    """
    x = row_of(recurrence.inputs)
    return counted(jax.make_jaxpr(recurrence.advance)(recurrence.initial, x), recurrence.size)


def step_cost(workload: Workload, machine: Machine) -> StepCost:
    """The cost of a step by what it computes, for as many chunks as fill the machine.

    Args:
        workload: sizes.
        machine: that it runs on.
    """
    chunk = chunk_seconds(workload.work, machine, full_use(machine))
    return StepCost(step_seconds(workload.work, machine), machine.row, chunk, machine.pushforward * chunk)


def sequential_seconds(workload: Workload, step: StepCost, machine: Machine) -> float:
    """Seconds of one step after the other; the sequences of a batch take each step side by side where that is faster.

    Args:
        workload: sizes.
        step: cost of a step.
        machine: that it runs on.
    """
    together = workload.batch * step.alone
    if workload.batch > 1:
        together = min(together, step.row + workload.batch * step.chunk)
    return machine.call + workload.length * together


def chunked_seconds(workload: Workload, step: StepCost, machine: Machine, chunks: int, horizon: float) -> float:
    """Seconds of chunks side by side: as many rows as a chunk has steps, and those of the warm-up before them.

    Args:
        workload: sizes.
        step: cost of a step.
        machine: that it runs on.
        chunks: of each sequence on each device.
        horizon: steps in which a start is forgotten.
    """
    rows = workload.length / (chunks * workload.devices)
    together = chunks * workload.batch
    trial = horizon * (step.row + (together + COPIES) * step.chunk)
    return CALLS * machine.call + trial + rows * (step.row + together * step.chunk)


def iterative_seconds(
    workload: Workload, step: StepCost, machine: Machine, solver: AbstractTrajectorySolver, updates: float
) -> float:
    """Seconds of an iterative method: its updates, the test of its answer, and the states inside of its blocks.

    Args:
        workload: sizes.
        step: cost of a step.
        machine: that it runs on.
        solver: the method.
        updates: their number.
    """
    block = solver.chunk
    once = _side_by_side(workload, step, block)
    passes = 2 if block > 1 else 1
    return CALLS * machine.call + updates * update_seconds(workload, step, machine, solver) + passes * once


def update_seconds(workload: Workload, step: StepCost, machine: Machine, solver: AbstractTrajectorySolver) -> float:
    """Seconds of one update with the test before it.

    Args:
        workload: sizes.
        step: cost of a step.
        machine: that it runs on.
        solver: the method.
    """
    method, block = solver.method, solver.chunk
    update = method.update_work()
    columns, entries = _products(update, workload)
    once = _side_by_side(workload, step, block)
    if columns == 0 and entries == 0:
        return once
    links = -(-workload.length // block)
    if block == 1 and columns == workload.size > machine.stored:
        # Not stored: one product of each Jacobian, one step after the other.
        return once + workload.length * workload.batch * step.alone * (1 + machine.pushforward)
    products = columns * step.product * workload.length * workload.batch / workload.devices
    backend = "sequential" if workload.platform == "cpu" else "chunked" if entries > workload.size else "associative"
    width = max(entries // workload.size, 1)
    recurrence = getattr(machine.links, backend).seconds(links, width, entries) * workload.batch
    return once + block * step.row + products + update.passes * recurrence


def updates_within(part: float, recurrence: Recurrence, first: AbstractTrajectorySolver) -> int:
    """How many updates of a method take a part of the sequential time, by this machine's record and no clock.

    Args:
        part: the part of the sequential time, positive.
        recurrence: what is solved.
        first: the method.
    """
    workload = workload_of(recurrence, platform_of(recurrence))
    machine = here(workload.platform, double=recurrence.dtype.itemsize == 8)
    step = step_cost(workload, machine)
    return int(part * sequential_seconds(workload, step, machine) / update_seconds(workload, step, machine, first))


def _products(update: UpdateWork, workload: Workload) -> tuple[int, int]:
    """Jacobian-vector products of an update, and entries of the matrices of its linear recurrence."""
    columns = update.columns
    if columns is None:
        columns = workload.diagonal_columns if update.diagonal else workload.columns
    if not update.linear:
        return columns, 0
    return columns, workload.size if update.diagonal else workload.columns * workload.size


def _side_by_side(workload: Workload, step: StepCost, block: int) -> float:
    """Seconds of all steps of all blocks once, side by side."""
    return block * step.row + workload.length * workload.batch * step.chunk / workload.devices
