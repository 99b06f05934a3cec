"""What a step costs here, timed on the first steps of the data: alone, among many, linearized; and its memory."""

import dataclasses
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..chunked import Layout, coupling_rows, fill_rows, scan_blocks
from ..problem.boundaries import Blocked
from ..problem.flat_recurrence import Recurrence
from ..programs.machine import Machine
from ..solution import Tree
from ..solvers import AbstractTrajectorySolver, Iterate
from ..solvers.evaluation_cost import StepCost, Workload
from .timing import seconds_of

ROWS = 64
"""Steps that every chunk of a pilot takes, at least."""

STEPS_OF_ROWS = 2**15
"""Steps that the chunks of a pilot take together; the whole sequence where it has fewer."""

STEPS_ALONE = 2**15
"""Steps of the sequential pilot, at most."""

STEPS_OF_UPDATES = 4096
"""Steps over which one update of an iterative method is timed, at most."""

FEW, MANY = 8, 32
"""Chunks of the two pilots whose difference tells what a further chunk costs."""

CHUNKS_OF_PROBE = 4
"""Chunks over which it is measured how soon a start is forgotten: the fewest, which allow the longest memory."""


class Memory(NamedTuple):
    """How soon a start is forgotten.

    Attributes:
        forgets: whether copies met, within a twelfth of the length at most.
        steps: after how many steps they met or were given up.
    """

    forgets: bool
    steps: int


class StateStep(eqx.Module):
    """A recurrence's step in scan's form, with the state as its output."""

    recurrence: Recurrence

    def __call__(self, state: Array, x: Tree) -> tuple[Array, Array]:
        """The state after the step, twice."""
        after = self.recurrence.advance(state, x)
        return after, after


def first_steps(recurrence: Recurrence, length: int) -> Recurrence:
    """The recurrence over its first steps.

    Args:
        recurrence: the whole.
        length: number of steps, T at most.
    """
    inputs = jax.tree.map(lambda leaf: leaf[:length], recurrence.inputs)
    return dataclasses.replace(recurrence, inputs=inputs, length=length)


def measure_step(recurrence: Recurrence, machine: Machine) -> StepCost:
    """The cost of a step on this device, alone and among others.

    Args:
        recurrence: whose step it is.
        machine: that this is, for the fixed cost of a call, and in place of what a few steps cannot show.
    """
    seconds = measure_alone(recurrence, machine)
    if recurrence.length < MANY * ROWS:
        return StepCost(seconds, machine.row, seconds, seconds, measured=True)
    few, many = (measure_row(recurrence, machine, count) for count in (FEW, MANY))
    chunk = max((many - few) / (MANY - FEW), many / MANY / 4)
    return StepCost(seconds, max(many - MANY * chunk, 0.0), chunk, chunk, measured=True)


def measure_alone(recurrence: Recurrence, machine: Machine, unroll: int = 1) -> float:
    """Seconds of a step where one follows the other.

    Args:
        recurrence: whose step it is.
        machine: that this is.
        unroll: steps in a turn of the loop.
    """
    pilot = first_steps(recurrence, min(STEPS_ALONE, recurrence.length))
    return _beyond_call(seconds_of(partial(Recurrence.trajectory, unroll=unroll), pilot), machine) / pilot.length


def measure_row(recurrence: Recurrence, machine: Machine, chunks: int) -> float:
    """Seconds in which a number of chunks take one step, outputs included.

    Args:
        recurrence: whose step it is; at least ``chunks * ROWS`` steps long.
        machine: that this is.
        chunks: their number.
    """
    rows = max(min(STEPS_OF_ROWS, recurrence.length) // chunks, ROWS)
    pilot = first_steps(recurrence, chunks * rows)

    def run(pilot: Recurrence) -> tuple[Array, Array]:
        return fill_rows(StateStep(pilot), pilot.initial, pilot.inputs, pilot.length, chunks)

    return _beyond_call(seconds_of(run, pilot), machine) / rows


def measure_chunks(recurrence: Recurrence, workload: Workload, chunks: int, trial: int) -> float:
    """Seconds of a whole run in chunks, with the coupled copies that find out whether the system forgets.

    Args:
        recurrence: the whole.
        workload: its sizes.
        chunks: their number.
        trial: steps after which it gives up.
    """
    layout = Layout(workload.length, workload.size, workload.work, chunks=chunks, trial=trial)

    def run(recurrence: Recurrence) -> tuple[Array, Array]:
        return scan_blocks(StateStep(recurrence), recurrence.initial, recurrence.inputs, layout)[:2]

    return seconds_of(run, recurrence)


def measure_update(
    recurrence: Recurrence, machine: Machine, workload: Workload, solver: AbstractTrajectorySolver
) -> float:
    """Seconds of one update of a method over all T steps, timed on the first of them.

    Args:
        recurrence: what is to be solved.
        machine: that this is.
        workload: its sizes.
        solver: the method.
    """
    method, block = solver.method, solver.chunk
    count = max(min(STEPS_OF_UPDATES, recurrence.length) // block, 1)
    part = first_steps(recurrence, min(count * block, recurrence.length))
    problem = Blocked.of(part, block).coarse if block > 1 else part
    states = jnp.broadcast_to(recurrence.initial, (problem.length, recurrence.size))

    def update(problem: Recurrence, states: Array) -> Array:
        predictions = problem.predictions(states)
        memory = method.init(problem, states)
        return method.step(problem, Iterate(states, predictions), memory)[0]

    seconds = _beyond_call(seconds_of(update, problem, states), machine)
    return seconds * workload.length / part.length


def on_host(recurrence: Recurrence) -> Recurrence:
    """The recurrence with its arrays in the host's memory, so that programs of it run on the host's processor."""
    arrays, rest = eqx.partition(recurrence, eqx.is_array)
    return eqx.combine(jax.device_put(arrays, jax.devices("cpu")[0]), rest)


def measure_memory(recurrence: Recurrence) -> Memory:
    """How soon copies of the system that start apart come together, measured as a run in chunks measures it.

    Args:
        recurrence: the whole.
    """

    def rows(recurrence: Recurrence) -> tuple[Array, Array]:
        step = StateStep(recurrence)
        return coupling_rows(step, recurrence.initial, recurrence.inputs, recurrence.length, CHUNKS_OF_PROBE)

    forgets, steps = eqx.filter_jit(rows)(recurrence)
    return Memory(bool(forgets), int(steps))


def _beyond_call(seconds: float, machine: Machine) -> float:
    """Seconds of a pilot without the fixed cost of a call; at least half of the seconds."""
    return max(seconds - machine.call, seconds / 2)
