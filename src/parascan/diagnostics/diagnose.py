"""``diagnose``: whether parallel evaluation will pay, before it is tried."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from ..problem.arguments import as_arrays, refuse_nan, refuse_traced, resolve_length
from ..problem.flat_recurrence import Recurrence, ScanProblem
from ..problem.signature import resolve
from ..programs.compile_cache import ProgramCache
from ..programs.platform import on_its_platform
from ..solution import StepFunction, Tree
from ..solvers import AbstractIterativeSolver
from ..solvers.criterion import Merit, StateError
from .certificate.slopes import FIRST_STEPS, first_slopes_are_wrong
from .diagnosis import Diagnosis, scaled
from .estimate import Estimate, estimate_of, unknown_where
from .forecast.behavior import behavior_of
from .forecast.newton_pilot import NewtonPilot, newton_pilot
from .forecast.of_solver import Asked, check_foretellable, look_at
from .forecast.updates import expected_iterations
from .forecast.verdict import Seen, rule
from .growth.horizons import memory_horizon, prediction_horizon
from .growth.pilots import BUDGET_SHARE, LEAST_BUDGET, Growth, measure_growth

EVALUATIONS_PER_STEP = 6
"""Step evaluations that Newton's pilot may take, side by side, for each step of the budget."""

OUTSIDE = "what is measured next depends on the numbers found. Call ps.diagnose outside of jit, vmap and grad."
"""Why nothing is diagnosed of traced values, and what to do."""


@on_its_platform
def diagnose(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    key: Key[Array, ""],
    reverse: bool = False,
    criterion: StateError | Merit | None = None,
    block: int = 32,
    dt: float = 1.0,
    budget: int | None = None,
    settle: int = 0,
    solver: AbstractIterativeSolver | None = None,
) -> Diagnosis:
    """Whether a rollout is predictable, how many iterations each method will take, and why, before any full rollout.

    Exponent and regularity constants come from a run over the first steps, and from pilots: short runs that go on from
    its states, with inputs from all over the data. Newton's iterations are counted on the first steps and continued to
    T by a law calibrated on other systems; the other numbers come from theory with calibrated factors. The interval of
    the exponent holds the mean over T, the rate after the first steps, and what this rate is still tending to, so that
    it is wide where the run has not settled. Not under ``jit``: lengths of pilots depend on what is found. Depth at
    most ``budget`` steps, a quarter more where that is T. Work is five times that, with at most 14 Jacobian-vector
    products or evaluations for each step of the budget, side by side, and more products where the run reaches T
    (``cost`` has their number). Memory is that of the run and the pilots.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        key: random key of directions and points.
        reverse: whether the rollout runs from the last input to the first.
        criterion: stopping rule that the iterations are for, ``StateError()`` when None.
        block: steps of a block in the forecasts on blocks.
        dt: time that one step stands for, in the user's unit of time.
        budget: most steps taken one after the other; 5 % of T or 2000, whichever is more, when None.
        settle: leading steps that are known to be a transient: the exponent is that of the steps after them, which
            are taken beside the budget. Iterations and horizons are for all T steps.
        solver: a method whose updates are to be expected, such as ``ps.picard()``, or None. It is tried out on at most
            2048 first steps with 48 updates, beside the budget, and ``iterations["solver"]`` has what follows.

    Returns:
        A ``Diagnosis``; ``print`` it, or see ``verdict``, ``evidence``, ``iterations``.

    Raises:
        TypeError: the step returns neither form, the criterion is neither ``StateError`` nor ``Merit``, the solver is
            not a causal iterative one, or a value is traced.
        ValueError: no step, NaN in ``init``, lengths that disagree, or a number out of its range.

    Source: definition 1, theorem 2, appendix J.1 and equation 7 of the paper.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> diagnosis = ps.diagnose(lambda s, x: 0.5 * s + x, jnp.ones(2), jnp.ones((1000, 2)), key=jax.random.key(0))
        >>> diagnosis.verdict, int(diagnosis.iterations["newton"].value)
        ('predictable', 1)
    """
    init, xs = as_arrays("init", init), as_arrays("xs", xs)
    refuse_traced("init, xs, key", (init, xs, key), OUTSIDE)
    refuse_nan(init)
    criterion = StateError() if criterion is None else criterion
    if solver is not None:
        check_foretellable(solver)
    steps = resolve_length(xs, length)
    _check(steps, criterion, block, dt, budget, settle)
    if reverse:
        xs = jax.tree.map(lambda leaf: leaf[::-1], xs)
    budget = max(int(BUDGET_SHARE * steps), LEAST_BUDGET) if budget is None else int(budget)
    seen = _programs(step, init, xs, key, steps, budget, int(settle))
    refuse_traced("step", seen, OUTSIDE)
    pilot = newton_pilot(step, init, xs, steps, criterion, EVALUATIONS_PER_STEP * budget)
    looked = None if solver is None or solver.exact else look_at(step, init, xs, steps, solver)
    return _assemble(seen, pilot, Asked(solver, looked), criterion, steps, block, dt)


class _Seen(NamedTuple):
    """What was measured on the first steps and by pilots.

    Attributes:
        growth: exponent and constants.
        scale: largest magnitude of a state.
        distance: largest distance of a state from the initial one.
        residual: root mean square residual norm of a step of the guess.
        size: D.
        whole: leaves of the carry that are not floating.
        false_slopes: whether the derivative of a first step cannot be that of its value.
    """

    growth: Growth
    scale: Float[Array, ""]
    distance: Float[Array, ""]
    residual: Float[Array, ""]
    size: Int[Array, ""]
    whole: int
    false_slopes: Bool[Array, ""]


def _look(
    step: StepFunction, init: Tree, xs: Tree, key: Key[Array, ""], length: int, budget: int, settle: int
) -> _Seen:
    """All that is measured by one compiled program."""
    recurrence = ScanProblem.of(resolve(step, init, xs, length, scan_form=False), reverse=False).recurrence
    count = min(recurrence.length, FIRST_STEPS)
    inputs = jax.tree.map(lambda leaf: leaf[:count], recurrence.inputs)
    first = Recurrence(recurrence.advance, recurrence.initial, inputs, count)
    states = first.trajectory()
    guess = jnp.broadcast_to(recurrence.initial, states.shape)
    false_slopes = first_slopes_are_wrong(recurrence, states, key)
    growth = measure_growth(_after(recurrence, settle), key, budget)
    growth = eqx.tree_at(lambda found: found.exponent, growth, unknown_where(false_slopes, growth.exponent))
    return _Seen(
        growth,
        jnp.max(jnp.abs(states)),
        jnp.max(jnp.linalg.norm(states - recurrence.initial, axis=1)),
        jnp.sqrt(jnp.mean(jnp.sum(first.residual(guess) ** 2, axis=1))),
        jnp.asarray(recurrence.size),
        sum(not jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(init)),
        false_slopes,
    )


def _after(recurrence: Recurrence, settle: int) -> Recurrence:
    """The recurrence from a later step on."""
    first = jax.tree.map(lambda leaf: leaf[:settle], recurrence.inputs)
    rest = jax.tree.map(lambda leaf: leaf[settle:], recurrence.inputs)
    state = jax.lax.scan(lambda s, x: (recurrence.advance(s, x), None), recurrence.initial, first, settle)[0]
    return Recurrence(recurrence.advance, state, rest, recurrence.length - settle)


_programs = ProgramCache(_look, once=True)


def _check(length: int, criterion: Any, block: int, dt: float, budget: int | None, settle: int) -> None:
    """Refuse what cannot be diagnosed."""
    if length == 0:
        raise ValueError("length: given 0, expected one step or more to diagnose.")
    if not isinstance(criterion, StateError | Merit):
        raise TypeError(f"criterion: given {type(criterion).__name__}, expected StateError() or Merit().")
    for name, value, least in (("block", block, 1), ("budget", budget, 1), ("settle", settle, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer)):
            raise TypeError(f"{name}: given {value!r}, expected an integer.")
        if value is not None and value < least:
            raise ValueError(f"{name}: given {value}, expected {least} or more.")
    if settle >= length:
        raise ValueError(f"settle: given {settle}, expected less than T = {length}.")
    if not dt > 0:
        raise ValueError(f"dt: given {dt}, expected a positive duration of one step.")


def _assemble(
    seen: Any,
    pilot: NewtonPilot,
    asked: Asked,
    criterion: StateError | Merit,
    length: int,
    block: int,
    dt: float,
) -> Diagnosis:
    """The diagnosis, from all that was measured."""
    growth: Growth = seen.growth
    exponent, dtype = growth.exponent, growth.exponent.value.dtype
    eps = float(jnp.finfo(dtype).eps)
    finite = math.isfinite(seen.scale) and not math.isnan(exponent.value)
    behavior = behavior_of(seen, criterion, length, eps)
    iterations = expected_iterations(behavior, pilot, block)
    of_solver, sentences = asked.forecast(iterations["newton"], criterion, eps, length)
    rounding = eps * max(float(seen.scale), eps)
    initial = estimate_of(rounding, rounding, rounding, "one unit of rounding", "state", 1.0)
    spread = float(growth.spread)
    predicted = prediction_horizon(exponent, initial, max(spread, eps) if math.isfinite(spread) else 1.0)
    shown = Seen(
        growth.measured,
        growth.complete,
        growth.coupling,
        float(growth.rho.value),
        seen.whole,
        finite,
        bool(seen.false_slopes),
    )
    verdict, evidence = rule(exponent, shown, iterations["newton"], length)
    settle = length - growth.length
    return Diagnosis(
        verdict=verdict,
        evidence=evidence + sentences + _warnings(exponent, predicted, dtype, length),
        exponent=exponent,
        exponent_per_time=scaled(exponent, 1 / dt, "1/time"),
        a=growth.a,
        b=growth.b,
        rho=growth.rho,
        lipschitz=growth.lipschitz,
        log_mu=behavior.log_mu,
        memory_horizon=memory_horizon(exponent, growth.a, math.exp(-min(max(behavior.log_drop, 0), 700))),
        prediction_horizon=predicted,
        iterations=iterations | of_solver,
        coupling=growth.coupling,
        per_pilot=np.asarray(growth.per_pilot),
        pilot_places=settle + np.asarray(growth.places),
        pilot=pilot,
        behavior=behavior,
        length=length,
        size=int(seen.size),
        dtype=str(dtype),
        criterion=behavior.rule,
        cost={
            "steps": growth.steps + settle + asked.steps,
            "products": growth.products + asked.products,
            "evaluations": pilot.steps + asked.evaluations,
        },
    )


def _warnings(exponent: Estimate, predicted: Estimate, dtype: Any, length: int) -> tuple[str, ...]:
    """Sentences of warning about the precision of the states."""
    if jnp.finfo(dtype).bits > 32:
        return ()
    found = []
    if abs(float(exponent.value)) < 4 * float(jnp.finfo(dtype).eps) * max(math.sqrt(length), 1):
        found.append(f"{dtype} cannot tell this exponent from zero; diagnose in float64.")
    if float(predicted.value) < length:
        found.append(
            f"In {dtype} rounding takes over after {float(predicted.value):.0f} steps: the exponent is that of the "
            "rounded system, and orbits may end in cycles that the system does not have."
        )
    return tuple(found)
