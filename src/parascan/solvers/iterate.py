"""The one loop over solver iterations: budget, exact prefix, repair of non-finite states, history.

The loop tests an iterate before it moves on, so the iterate that is returned is the one that was tested, and an
iterate that is already good costs no update. It knows no tolerance and no derivative.
"""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..adjoint.implicit import Loop
from ..problem.flat_recurrence import Recurrence
from ..problem.jacobian import full
from ..solution import History, Result, Stats, Trajectory, Tree
from .criterion import Progress
from .request import Request
from .residuals import Residuals
from .update import Iterate, newton_update

IMPROVEMENT = 0.999
"""A ratio counts as an improvement if it is at most this share of the best one so far."""

ITERATIONS = "iterations"
"""Name of the loop over the iterations in compiled programs and profiles."""

FEW_STEPS, SLOW_SHARE = 100, 4
"""A run is called slow on more than the first number of steps, if there were more iterations than one for every
``SLOW_SHARE`` steps: an iteration of no method takes less time than a few steps."""


class LoopState(eqx.Module):
    """All that one iteration hands to the next."""

    states: Trajectory
    solver_state: Tree
    result: Result
    running: Bool[Array, ""]
    stats: Stats
    best_ratio: Float[Array, ""]
    stagnation: Int[Array, ""]
    initial_merit: Float[Array, ""]
    best: tuple[Trajectory, Stats] | None
    history: History | None
    seen: Tree


def iterate(problem: Recurrence, request: Request, loop: Loop) -> LoopState:
    """Improve the first trajectory until the criterion or the budget stops it.

    Args:
        problem: the recurrence.
        request: of the call, with the method as its solver, first trajectory, repair, unit and budget.
        loop: how to repeat.
    """

    def body(state: LoopState) -> LoopState:
        return _advance(problem, request, state)

    first = _first_state(problem, request)
    with jax.named_scope(ITERATIONS):
        last = loop(lambda state: state.running, body, first, request.budget + 1)
    return _judged(_with_best(last), problem.length)


def _judged(last: LoopState, length: int) -> LoopState:
    """The outcome with its flag ``slow``: whether it took so many iterations that nothing was gained."""
    many = (length > FEW_STEPS) & (SLOW_SHARE * last.stats.iterations > length)
    return dataclasses.replace(last, stats=dataclasses.replace(last.stats, slow=many))


def _with_best(last: LoopState) -> LoopState:
    """The outcome with its best iterate where the iterations failed; a causal method's last one is its best."""
    if last.best is None:
        return last
    failed = (last.result != Result.successful) & (last.result != Result.nonfinite)
    states, stats = last.best
    stats = dataclasses.replace(stats, iterations=last.stats.iterations, repairs=last.stats.repairs)
    states, stats = jax.tree.map(
        lambda best, current: jnp.where(failed, best, current), (states, stats), (last.states, last.stats)
    )
    return dataclasses.replace(last, states=states, stats=stats)


def _first_state(problem: Recurrence, request: Request) -> LoopState:
    """The state of a loop that has tested nothing yet."""
    start = request.start
    real, integer = jnp.zeros((), problem.dtype), jnp.zeros((), jnp.int32)
    infinite = jnp.asarray(jnp.inf, problem.dtype)
    history = None
    if request.history:
        unknown = jnp.full((request.budget + 1,), jnp.nan, problem.dtype)
        history = History(unknown, unknown, jnp.full((request.budget + 1,), -1, jnp.int32))
    stats = Stats(integer, real, real, real, integer, integer, integer, integer, integer, jnp.asarray(False))
    return LoopState(
        states=start,
        solver_state=request.solver.init(problem, start),
        result=Result.max_iterations_reached,
        running=jnp.asarray(True),
        stats=stats,
        best_ratio=infinite,
        stagnation=integer,
        initial_merit=infinite,
        best=None if request.solver.causal else (start, stats),
        history=history,
        seen=None if request.watch is None else request.watch.first(problem),
    )


def _advance(problem: Recurrence, request: Request, state: LoopState) -> LoopState:
    """Test the current iterate and, unless it ends the loop, replace it by the next."""
    if request.solver.causal:
        problem = problem.knowing(state.stats.exact_prefix)
    predictions = _predictions(problem, request, state)
    residuals = Residuals.of(state.states, predictions, request.repair, problem.steps, request.unit)
    merit = residuals.merit()
    initial_merit = jnp.where(state.stats.iterations == 0, merit, state.initial_merit)
    unknown = jnp.full((problem.size,), jnp.nan, problem.dtype)
    evidence = Progress(
        merit=merit,
        initial_merit=initial_merit,
        correction=unknown,
        scale=residuals.largest(residuals.states),
        defect=residuals.defect(),
        stagnation=state.stagnation,
        all_finite=jnp.all(residuals.finite),
        causal=request.solver.causal,
        unit=request.unit,
        steps=residuals.by_step(),
    )
    proposal = _propose(problem, request, state, residuals, evidence)
    ratio = request.criterion.ratio(evidence.replace(correction=proposal.measured))
    improved = ratio < IMPROVEMENT * state.best_ratio
    stagnation = jnp.where(improved, 0, state.stagnation + 1)
    stop, result = request.criterion.verdict(evidence.replace(correction=proposal.correction, stagnation=stagnation))
    seen = state.seen
    if request.watch is not None:
        seen, stop = request.watch.look(seen, problem, residuals, proposal.states, state.stats.iterations)
    running = ~(stop | (state.stats.iterations >= request.budget))
    best = improved | (state.stats.iterations == 0)
    following, repairs = _follow(problem, request, state, residuals, proposal, running)
    stats = Stats(
        iterations=state.stats.iterations + running.astype(jnp.int32),
        residual_norm=jnp.max(residuals.largest(residuals.values), initial=0.0),
        merit=merit,
        error_estimate=jnp.max(proposal.correction, initial=0.0)
        if request.criterion.corrected
        else -jnp.ones_like(merit),
        exact_prefix=residuals.exact_prefix,
        finite_prefix=residuals.finite_prefix,
        repairs=state.stats.repairs + repairs,
        settled_prefix=residuals.settled_prefix,
        improved_at=jnp.where(best, state.stats.iterations, state.stats.improved_at),
        fell_back=state.stats.fell_back,
    )
    step = residuals.largest(following.states - residuals.states)
    return LoopState(
        states=following.states,
        solver_state=following.solver_state,
        result=Result.where(stop, result, Result.max_iterations_reached),
        running=running,
        stats=stats,
        best_ratio=jnp.where(improved, ratio, state.best_ratio),
        stagnation=stagnation,
        initial_merit=initial_merit,
        best=_better(state.best, best, (residuals.states, stats)),
        history=_record(state.history, state.stats.iterations, merit, step, repairs),
        seen=seen,
    )


def _predictions(problem: Recurrence, request: Request, state: LoopState) -> Trajectory:
    """What the step makes of the current iterate."""
    if request.predictions is None:
        return problem.predictions(state.states)
    known = request.predictions
    return jax.lax.cond(state.stats.iterations == 0, lambda: known, lambda: problem.predictions(state.states))


def _better(
    best: tuple[Trajectory, Stats] | None, replace: Bool[Array, ""], current: tuple[Trajectory, Stats]
) -> tuple[Trajectory, Stats] | None:
    """The best iterate so far with its statistics; none is kept for causal methods."""
    if best is None:
        return None
    return jax.tree.map(lambda new, old: jnp.where(replace, new, old), current, best)


class Proposal(NamedTuple):
    """What may follow an iterate, and what that says about the iterate itself.

    Attributes:
        states: the next trajectory; None when it is better made after the verdict.
        solver_state: the solver's memory that goes with it.
        correction: estimated error of the current iterate, one for each state entry; NaN where not asked for,
            infinite where not known yet.
        measured: the measure of improvement: ``correction``, with the residual where that is not known.
    """

    states: Trajectory | None
    solver_state: Tree
    correction: Float[Array, " D"]
    measured: Float[Array, " D"]


def _propose(
    problem: Recurrence, request: Request, state: LoopState, residuals: Residuals, evidence: Progress
) -> Proposal:
    """The next trajectory as far as the criterion needs it to judge the current one."""

    def update() -> tuple[Trajectory, Tree]:
        return _update(problem, request, state, residuals)

    def check() -> tuple[Trajectory, Tree]:
        transition = full(problem, residuals.states).guarded()
        return newton_update(
            transition, Iterate(residuals.states, residuals.predictions), problem.devices
        ), state.solver_state

    if not request.criterion.corrected:
        return Proposal(None, state.solver_state, evidence.correction, evidence.correction)
    if request.solver.exact:
        states, solver_state = update()
        error = residuals.error(states)
        return Proposal(states, solver_state, error, error)
    residual = residuals.largest(residuals.values)
    within = request.criterion.ratio(evidence.replace(correction=residual)) <= 1
    states, solver_state = jax.lax.cond(within, check, update)
    error = residuals.error(states)
    return Proposal(states, solver_state, jnp.where(within, error, jnp.inf), jnp.where(within, error, residual))


def _update(problem: Recurrence, request: Request, state: LoopState, residuals: Residuals) -> tuple[Trajectory, Tree]:
    """The solver's next trajectory and memory."""
    return request.solver.step(problem, Iterate(residuals.states, residuals.predictions), state.solver_state)


class Following(NamedTuple):
    """The trajectory and memory that the next iteration starts from."""

    states: Trajectory
    solver_state: Tree


def _follow(
    problem: Recurrence,
    request: Request,
    state: LoopState,
    residuals: Residuals,
    proposal: Proposal,
    running: Bool[Array, ""],
) -> tuple[Following, Int[Array, ""]]:
    """The next trajectory with non-finite states repaired, or the current one when the loop ends; and their number."""
    states, solver_state = proposal.states, proposal.solver_state
    if states is None:
        unchanged = (residuals.states, state.solver_state)
        states, solver_state = jax.lax.cond(
            running, lambda: _update(problem, request, state, residuals), lambda: unchanged
        )
    if request.solver.causal:
        states = residuals.keep_exact_prefix(states)
    broken = ~jnp.all(jnp.isfinite(states), axis=1)
    repaired = jnp.where(broken[:, None], request.repair, states)
    kept = jax.tree.map(lambda new, old: jnp.where(running, new, old), solver_state, state.solver_state)
    repairs = jnp.where(running, jnp.sum(~residuals.finite | broken, dtype=jnp.int32), 0)
    return Following(jnp.where(running, repaired, residuals.states), kept), repairs


def _record(
    history: History | None,
    row: Int[Array, ""],
    merit: Float[Array, ""],
    step: Float[Array, " D"],
    nonfinite: Int[Array, ""],
) -> History | None:
    """The history with one more row."""
    if history is None:
        return None
    return History(
        merit=history.merit.at[row].set(merit),
        step_norm=history.step_norm.at[row].set(jnp.max(step, initial=0.0)),
        nonfinite=history.nonfinite.at[row].set(nonfinite),
    )
