"""``plan``: the choice of a method from a diagnosis of the system and the costs of this machine."""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Key

from ..diagnostics import Diagnosis, diagnose
from ..diagnostics.estimate import estimate_of
from ..problem.arguments import as_arrays, refuse_nan, refuse_traced
from ..problem.flat_recurrence import Recurrence, ScanProblem, traced
from ..problem.signature import Signature, resolve
from ..programs.built_in import here
from ..programs.device_axis import DeviceAxis, devices_of
from ..programs.machine import Machine
from ..programs.platform import on_its_platform, platform_of
from ..programs.processes import on_this_process, spans_processes, text_of_first
from ..programs.unknown import unknown_is
from ..solution import StepFunction, Tree
from ..solvers import AbstractIterativeSolver, Chunked, MultipleShooting, Sequential
from ..solvers.chunked_call import why_not, why_not_elsewhere
from ..solvers.criterion import Merit, StateError
from ..solvers.evaluation_cost import step_cost, workload_of
from .calibration import is_double, known_machine
from .candidate import Candidate
from .measure import (
    ROWS,
    measure_memory,
    measure_step,
)
from .plan_record import Plan
from .propose import (
    Setting,
)
from .rank import Seen, ranked
from .reasons import reasons_for
from .refusals import OUTSIDE, refuse_arguments, refuse_other_diagnosis
from .timing import seconds_of_call


@on_its_platform
def plan(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    diagnosis: Diagnosis | None = None,
    measure: bool = True,
    criterion: StateError | Merit | None = None,
    reverse: bool = False,
    batch: int = 1,
    mesh: Mesh | None = None,
    budget: float = 0.25,
    memory_limit: int | None = None,
    rates: Machine | None = None,
    solvers: Sequence[AbstractIterativeSolver | MultipleShooting] = (),
    key: Key[Array, ""] | None = None,
) -> Plan:
    """The method to run a call with, what every method would cost, and why.

    Diagnoses the system, measures how soon it forgets its start, times its step alone and among others on the first
    steps, and compares. Takes some seconds, most of them to compile pilots. Not under ``jit``; what it returns can be
    used there. Without measuring, the same arguments give the same plan.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        diagnosis: what ``ps.diagnose`` found for these arguments; made here when None.
        measure: time the step; otherwise its cost follows from its operations and the rates.
        criterion: stopping rule of methods that iterate, ``StateError()`` when None.
        reverse: whether the call runs from the last input to the first.
        batch: N, sequences that ``jax.vmap`` will run at once.
        mesh: devices that the call will spread its sequence over; those of the inputs when None. Where they are those
            of several processes, all call this function; the first of them makes the plan, and all get it.
        budget: part of the sequential time that a wrong forecast may cost, above 0.
        memory_limit: most bytes that a method may hold; None for no limit.
        rates: record of the machine; the one that ``parascan calibrate`` stored, or what is known without measuring,
            when None.
        solvers: further methods to compare, whose updates are counted on the first steps.
        key: random key of the diagnosis, ``jax.random.key(0)`` when None.

    Returns:
        A ``Plan``: give it as ``solver=plan``, or ``print`` it.

    Raises:
        TypeError: an argument of the wrong kind, or traced values.
        ValueError: lengths that disagree, NaN in ``init``, a diagnosis of another call, a number out of its range, or
            inputs that are spread over processes and too large to be gathered.

    Source: sections 3 and 4 of the paper for the forecast.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> step = lambda s, x: 3.9 * s * (1 - s)
        >>> plan = ps.plan(step, jnp.asarray(0.3), length=5000, measure=False)
        >>> type(plan.solver).__name__, plan.verdict
        ('Sequential', 'unpredictable')
    """
    init, xs = as_arrays("init", init), as_arrays("xs", xs)
    spread = devices_of(mesh, xs)
    options = (diagnosis, measure, criterion, reverse, batch, spread, budget, memory_limit, rates, solvers, key)
    of_call = _devices(spread)
    if of_call is None or not spans_processes(of_call):
        return _plan(step, init, xs, length, *options)
    # Timings, and numbers that each processor rounds in its own way, would lead every process to another choice.
    init, xs = on_this_process("init", init), on_this_process("xs", xs)
    return Plan.from_json(text_of_first(lambda: _plan(step, init, xs, length, *options).to_json(), of_call))


def _plan(
    step: StepFunction,
    init: Tree,
    xs: Tree,
    length: int | None,
    diagnosis: Diagnosis | None,
    measure: bool,
    criterion: StateError | Merit | None,
    reverse: bool,
    batch: int,
    spread: DeviceAxis | None,
    budget: float,
    memory_limit: int | None,
    rates: Machine | None,
    solvers: Sequence[AbstractIterativeSolver | MultipleShooting],
    key: Key[Array, ""] | None,
) -> Plan:
    """The plan, made on this process."""
    refuse_arguments((init, xs, key), diagnosis, batch, budget, rates, solvers)
    refuse_nan(init)
    signature = resolve(step, init, xs, length, scan_form=False)
    refuse_traced("step", signature, OUTSIDE)
    devices = 1 if spread is None else spread.size
    platform = platform_of(init, xs, mesh=_devices(spread))
    if signature.length == 0:
        return _only_sequential(signature, platform, batch, devices, "there is no step to take")
    if reason := why_not_elsewhere(signature):
        return _only_sequential(signature, platform, batch, devices, reason)
    try:
        recurrence = _recurrence_of(signature, reverse)
    except ValueError as reason:
        return _only_sequential(signature, platform, batch, devices, str(reason))
    if diagnosis is None:
        key = jax.random.key(0) if key is None else key
        diagnosis = diagnose(step, init, xs, length, key=key, reverse=reverse, criterion=criterion)
    refuse_other_diagnosis(diagnosis, recurrence)
    machine = known_machine(platform, str(recurrence.dtype)) if rates is None else rates
    origin = machine.origin if rates is None else "given"
    if measure:
        machine = dataclasses.replace(machine, call=seconds_of_call())
    workload = workload_of(recurrence, platform, batch, devices)
    cost = measure_step(recurrence, machine) if measure else step_cost(workload, machine)
    setting = Setting(recurrence, workload, cost, machine, diagnosis, budget, memory_limit)
    memory = measure_memory(recurrence) if measure and recurrence.length > ROWS else None
    seen = Seen(measure, memory, tuple(solvers), StateError() if criterion is None else criterion)
    forbidden = why_not(signature, Chunked(1), devices=spread)
    # What is measured need not be foretold from the step's operations, as the default has to.
    candidates = ranked(
        setting, seen, forbidden, forbidden if measure else why_not(signature, Chunked(), devices=spread)
    )
    why, of_call = reasons_for(candidates[0], setting, seen.memory), (platform, batch, devices)
    sizes = recurrence.length, recurrence.size, str(recurrence.dtype)
    return Plan(candidates, why, diagnosis.verdict, *sizes, *of_call, "measured" if measure else origin, origin)


def _devices(spread: DeviceAxis | None) -> Mesh | None:
    """The devices of a call, where they are known."""
    return spread.mesh if spread is not None and isinstance(spread.mesh, Mesh) else None


def _recurrence_of(signature: Signature, reverse: bool) -> Recurrence:
    """The flat recurrence of a call.

    Raises:
        ValueError: nothing but one step after the other can evaluate it; the text says why.
    """
    if signature.length == 0:
        raise ValueError("there is no step to take")
    signature = traced(signature)
    if not _can_be_linearized(ScanProblem.of_traced(signature, reverse=reverse).recurrence):
        raise ValueError("its step cannot be run side by side, or has no derivative")
    # As inside a ``jit`` that knows the weights: XLA computes with their values beforehand, which made the steps of
    # some flows 2.5 times as fast, and those of many chunks hardly.
    return ScanProblem.of_traced(signature.with_values(), reverse=reverse).recurrence


@unknown_is(lambda recurrence: False)
def _can_be_linearized(recurrence: Recurrence) -> bool:
    """Whether all steps can be taken and linearized side by side; it is traced, not run."""
    eqx.filter_eval_shape(lambda problem: problem.pushforward(problem.trajectory(), problem.initial[None]), recurrence)
    return True


def _only_sequential(signature: Signature, platform: str, batch: int, devices: int, reason: str) -> Plan:
    """The plan of a call that only the plain loop can evaluate."""
    layout = signature.layout
    dtype = str(layout.dtype if layout.size else jnp.result_type(float))
    machine = here(platform, double=is_double(dtype))
    value = signature.length * machine.turn
    seconds = estimate_of(value, 0.0, 10 * value, "rates of the machine", "s", 0.5)
    only = Candidate("one step after the other", Sequential(), platform, seconds, None, 0, "chosen", reason)
    known = (signature.length, layout.size, dtype, platform, batch, devices, machine.origin, machine.origin)
    return Plan((only,), (reason,), "undetermined", *known)
