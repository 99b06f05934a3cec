"""From a checked call to its answer, as traceable functions: build the problem, run the solver, assemble the result."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from ..adjoint.implicit import Implicit, Setup
from ..adjoint.of_chunks import decides, evaluate_forgetting, keeping, why_not
from ..adjoint.of_loop import evaluate_sequentially
from ..adjoint.replay import replayed
from ..chunked import Way, no_blocks
from ..diagnostics.certificate.certify import Requirements, certificate_of
from ..planning import updates_within
from ..problem.boundaries import Blocked
from ..problem.flat_recurrence import Recurrence, ScanProblem
from ..problem.precision import units_of_rounding
from ..problem.signature import Signature, resolve
from ..programs.suitability import varies_over_mesh
from ..solution import Result, Solution, Stats, StepFunction, Tree
from ..solvers import AbstractDirectSolver, AbstractIterativeSolver, Blocks, Forgetting, Guarded, Sequential, deer
from ..solvers.fallback import fall_back
from ..solvers.iterate import Loop, LoopState, Plan, iterate
from ..solvers.memory import require_memory, require_room
from .options import Options, unrolls

Direct = AbstractDirectSolver | Forgetting
Iterative = AbstractIterativeSolver | Blocks | Guarded

DESCENT_BUDGET = 10_000
"""Default number of updates for methods that no theorem bounds."""


def evaluate_scan(step: StepFunction, init: Tree, xs: Tree, options: Options) -> tuple[Tree, Tree, Solution | None]:
    """Final carry and outputs, and the solution of a solver that can fail."""
    signature = resolve(step, init, xs, options.length, scan_form=True)
    solver = solver_for(signature, options)
    if isinstance(solver, Direct):
        return *_directly(solver, signature, options)[:2], None
    solution = _iteratively(solver, signature, options, keep=_drop)
    return solution.carry, solution.ys, solution


def evaluate_rollout(step: StepFunction, init: Tree, xs: Tree, options: Options) -> Solution:
    """The whole solution."""
    signature = resolve(step, init, xs, options.length, scan_form=False)
    solver = solver_for(signature, options)
    solution = _solve(solver, signature, options)
    return solution if options.certify is False else _certified(solution, signature, options)


def _solve(solver: Direct | Iterative, signature: Signature, options: Options) -> Solution:
    """The solution by the solver that is to run."""
    if isinstance(solver, Iterative):
        return _iteratively(solver, signature, options, keep=ScanProblem.carries)
    kept = dataclasses.replace(signature, step=keeping(signature.step), kept=True)
    carry, (ys, states), way = _directly(solver, kept, options)
    prefix = _finite_prefix(states, signature.length, reverse=options.reverse)
    # In an initial carry that has infinite entries or NaN they are values like others.
    whole = (prefix == signature.length) | ~_all_finite(signature.init)
    result = Result.where(whole, Result.successful, Result.nonfinite)
    return Solution(states, carry, ys, result, _direct_stats(signature, prefix, way), None, solver)


def _certified(solution: Solution, signature: Signature, options: Options) -> Solution:
    """The solution with its certificate, and no success without one."""
    problem = ScanProblem.of(signature, reverse=options.reverse)
    tolerance = None if options.certify is True else jnp.asarray(options.certify, problem.recurrence.dtype)
    certificate = certificate_of(problem, problem.flatten(solution.states), Requirements(tolerance))
    withheld = (solution.result == Result.successful) & ~certificate.certified
    result = Result.where(withheld, Result.uncertified, solution.result)
    return dataclasses.replace(solution, result=result, certificate=certificate)


def solver_for(signature: Signature, options: Options) -> Direct | Iterative:
    """The solver asked for, or the sequential one where there is nothing to do in parallel.

    Args:
        signature: the call.
        options: of the call.

    Raises:
        ValueError: a plan for something else, or chunks that were asked for in a call that cannot be cut.
    """
    solver = options.solver
    given = (signature.length, signature.layout.size, str(signature.layout.dtype) if signature.layout.size else "")
    if options.made_for is not None and given[0] and given[1] and options.made_for != given:
        raise ValueError(
            f"solver: given a plan for T, D, dtype = {options.made_for}, but the call has {given}, expected a plan for "
            "it; solver=plan.solver runs the same method anyway."
        )
    if isinstance(solver, Forgetting):
        if unrolls(options.unroll):
            return Sequential()
        reason = why_not(signature, solver, options.batch)
        if reason and solver.blocks is not None and signature.length > 0 and not decides(signature):
            raise ValueError(
                f"solver: given Forgetting(blocks={solver.blocks}), but {reason}, expected a call that can be cut, or "
                "solver=None, which takes one step after the other where it cannot."
            )
        return Sequential() if reason else solver
    if signature.length > 0 or isinstance(solver, AbstractDirectSolver):
        return solver
    ScanProblem.of(signature, reverse=options.reverse)
    return Sequential()


def _refuse_varying(problem: ScanProblem, solver: Iterative) -> None:
    """Refuse arrays whose types say that they differ from device to device: loops over whole trajectories mix them."""
    if any(varies_over_mesh(jax.typeof(leaf)) for leaf in jax.tree.leaves((problem, solver)) if eqx.is_array(leaf)):
        raise ValueError(
            f"solver: given {type(solver).__name__} for arrays that vary over the axes of a jax.shard_map with its "
            "checks, expected jax.shard_map(..., check_vma=False), or solver=None."
        )


def _directly(
    solver: AbstractDirectSolver | Forgetting, signature: Signature, options: Options
) -> tuple[Tree, Tree, Way]:
    """Evaluate without iterations: final carry, outputs, and which way they came."""
    if options.memory_limit is not None:
        require_room(signature, solver, int(options.memory_limit))
    if isinstance(solver, Forgetting):
        return evaluate_forgetting(signature, solver, options.batch, reverse=options.reverse)
    if isinstance(solver, Sequential) and options.adjoint_given and isinstance(options.adjoint, Implicit):
        found = evaluate_sequentially(signature, options.batch, reverse=options.reverse, unroll=options.unroll)
    else:
        call = signature.step, signature.init, signature.xs, signature.length
        found = solver.evaluate(*call, reverse=options.reverse, unroll=options.unroll)
    asked = options.solver
    given_up = isinstance(asked, Forgetting) and asked.blocks is not None and not unrolls(options.unroll)
    return *found, no_blocks(fell_back=given_up and signature.length > 0)


def _direct_stats(signature: Signature, finite_prefix: jax.Array, way: Way) -> Stats:
    """Statistics of an answer that took no iteration."""
    dtype = signature.layout.dtype if signature.layout.size else jnp.result_type(float)
    none, zero = jnp.zeros((), jnp.int32), jnp.zeros((), dtype)
    length = jnp.asarray(signature.length, jnp.int32)
    reached = none, zero, zero, zero, length, finite_prefix, none, finite_prefix, none
    return Stats(*reached, way.fell_back, way.chunks, way.warm_up)


def _finite_prefix(states: Tree, length: int, *, reverse: bool) -> jax.Array:
    """Number of steps, in the order of computation, before the first that has an entry which is not finite."""
    leaves = [leaf for leaf in jax.tree.leaves(states) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    whole = jnp.asarray(length, jnp.int32)
    if not leaves or length == 0:
        return whole

    def count() -> jax.Array:
        flags = [jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim))) for leaf in leaves]
        steps = jnp.all(jnp.stack(flags), axis=0)
        return jnp.argmin(steps[::-1] if reverse else steps).astype(jnp.int32)

    return jax.lax.cond(_all_finite(leaves), lambda: whole, count)


def _all_finite(tree: Tree) -> jax.Array:
    """Whether no entry of a tree is infinite or NaN."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.all(jnp.asarray([jnp.all(jnp.isfinite(leaf)) for leaf in leaves], bool))


def _drop(problem: ScanProblem, states: jax.Array) -> None:
    """Keep no states: ``scan`` returns none."""


def _iteratively(
    solver: Iterative,
    signature: Signature,
    options: Options,
    keep: Callable[[ScanProblem, jax.Array], Tree],
) -> Solution:
    """Solve for the whole trajectory."""
    problem = ScanProblem.of(signature, reverse=options.reverse)
    _refuse_varying(problem, solver)
    first = solver.first if isinstance(solver, Guarded) else solver
    if options.adjoint.needs_budget and problem.has_own_pullback:
        raise ValueError(
            "adjoint: given Unrolled() for a step with a jax.custom_vjp, of which no iteration can be differentiated, "
            "expected Implicit()."
        )
    if options.memory_limit is not None:
        require_memory(problem.recurrence, first, int(options.memory_limit))
    method = first.outer if isinstance(first, Blocks) else first
    budget = budget_of(solver, options, problem.recurrence)
    unit = units_of_rounding(problem.step.closed, problem.layout)

    def plan(setup: Setup, images: jax.Array | None = None) -> Plan:
        return Plan(setup.solver, deer(), options.criterion, setup.repair, budget, options.history, images, unit)

    def run(recurrence: Recurrence, setup: Setup, loop: Loop) -> LoopState:
        if isinstance(first, Blocks):
            outcome = _in_blocks(first, recurrence, setup, plan, loop, hopeful=not options.adjoint.needs_budget)
        else:
            outcome = iterate(recurrence, setup.start, plan(setup), loop)
        return fall_back(outcome, recurrence) if isinstance(solver, Guarded) else outcome

    setup = Setup(method, options.guess.states(problem), options.guess.repair(problem), options.batch)
    if problem.has_own_pullback:
        outcome = Implicit().find(problem.recurrence, setup, run)
        states, ys = replayed(problem, jax.lax.stop_gradient(outcome.states))
    else:
        outcome = options.adjoint.apply(problem.recurrence, setup, run)
        states, ys = outcome.states, None
    states = _void_after(states, outcome.result == Result.nonfinite, outcome.stats.finite_prefix)
    carry, ys = problem.typed(problem.carry(states), problem.outputs(states) if ys is None else ys)
    return Solution(
        states=keep(problem, states),
        carry=carry,
        ys=ys,
        result=outcome.result,
        stats=outcome.stats,
        history=outcome.history,
        solver=solver,
    )


def budget_of(solver: Iterative, options: Options, recurrence: Recurrence) -> int:
    """The most updates of a call.

    Args:
        solver: that iterates.
        options: of the call.
        recurrence: what it solves.
    """
    first = solver.first if isinstance(solver, Guarded) else solver
    method, block = (first.outer, first.length) if isinstance(first, Blocks) else (first, 1)
    default = -(-recurrence.length // block) if method.causal else DESCENT_BUDGET
    budget = default if options.max_iterations is None else int(options.max_iterations)
    if not isinstance(solver, Guarded):
        return budget
    bought = solver.budget if isinstance(solver.budget, int) else updates_within(solver.budget, recurrence, first)
    return min(budget, bought)


def _in_blocks(
    solver: Blocks, recurrence: Recurrence, setup: Setup, plan: Callable[..., Plan], loop: Loop, *, hopeful: bool
) -> LoopState:
    """Solve for the block boundaries, fill the blocks, and report in steps of the original recurrence.

    Args:
        solver: the blocks.
        recurrence: of single steps.
        setup: what to start from.
        plan: of the iterations at the boundaries, from a setup and images that are known.
        loop: how to repeat.
        hopeful: whether blocks are filled before the first test where a burn-in may have done already: the test needs
            the last of these states in any case. No way for the reverse mode to go through.
    """
    blocked = Blocked.of(recurrence, solver.length)
    start, repair = blocked.boundaries(setup.start), blocked.boundaries(setup.repair)
    filled = images = None
    if solver.burn_in:
        start = blocked.burn_in(setup.start, solver.burn_in)
        if hopeful:
            filled = blocked.fill(start)
            images = blocked.boundaries(filled)
            # No block starts from the last boundary, and a last block that is short has not forgotten its start.
            start = start.at[-1].set(jnp.where(jnp.isfinite(images[-1]), images[-1], start[-1]))
    outcome = iterate(blocked.coarse, start, plan(Setup(setup.solver, start, repair), images), loop)
    known = None if filled is None else (filled, outcome.stats.iterations == 0)
    states = blocked.fill(outcome.states, known)
    stats, length = outcome.stats, recurrence.length
    reached = jnp.minimum((stats.finite_prefix + 1) * blocked.block, length)
    finite_prefix = jnp.minimum(_finite_prefix(states, length, reverse=False), reached)
    broken = (outcome.result == Result.successful) & (finite_prefix < length)
    return dataclasses.replace(
        outcome,
        states=states,
        result=Result.where(broken, Result.nonfinite, outcome.result),
        stats=dataclasses.replace(
            stats,
            exact_prefix=jnp.minimum(stats.exact_prefix * blocked.block, length),
            finite_prefix=finite_prefix,
            settled_prefix=jnp.minimum(stats.settled_prefix * blocked.block, finite_prefix),
        ),
    )


def _void_after(states: jax.Array, nonfinite: jax.Array, prefix: jax.Array) -> jax.Array:
    """NaN in place of states that the system never reaches in finite numbers."""
    beyond = nonfinite & (jnp.arange(states.shape[0]) >= prefix)
    return jnp.where(beyond[:, None], jnp.nan, states)
