"""A call by a solver for whole trajectories: the flat problem, its first guess, the solve, and what is made of it."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..adjoint.implicit import Implicit, Loop
from ..adjoint.replay import replayed
from ..problem.flat_recurrence import Recurrence, ScanProblem
from ..problem.precision import units_of_rounding
from ..problem.signature import Signature
from ..programs.suitability import varies_over_mesh
from ..solution import Result, Solution, Trajectory
from .iterate import LoopState
from .memory import on_each_device, refuse_memory
from .request import Request

if TYPE_CHECKING:
    from .base import AbstractTrajectorySolver


def solve_call(solver: "AbstractTrajectorySolver", signature: Signature, request: Request) -> Solution:
    """The solution of a checked call; its states are None where they are not wanted.

    Args:
        solver: the solver that runs.
        signature: the step, carry and inputs.
        request: everything else about the call.

    Raises:
        ValueError: a carry that cannot be iterated on, arrays that vary over a mesh, a derivative that cannot be
            unrolled, or more memory than is allowed.
    """
    problem = ScanProblem.of(signature, reverse=request.reverse, devices=request.devices)
    _refuse_varying(problem, solver)
    if request.adjoint.needs_budget and problem.has_own_pullback:
        raise ValueError(
            "adjoint: given Unrolled() for a step with a jax.custom_vjp, of which no iteration can be differentiated, "
            "expected Implicit()."
        )
    recurrence = problem.recurrence
    if request.memory_limit is not None:
        needed = on_each_device(solver.peak_bytes(recurrence), recurrence, solver.method)
        limit = int(request.memory_limit)
        refuse_memory(recurrence, type(solver.tried).__name__, needed, solver.method, limit)
    asked = request._replace(
        solver=solver,
        budget=solver.most_updates(recurrence, request),
        unit=units_of_rounding(problem.step.closed, problem.layout),
        start=request.guess.states(problem),
        repair=request.guess.repair(problem),
    )

    if problem.has_own_pullback:
        outcome = Implicit().find(recurrence, asked, solve_as_asked)
        states, ys = replayed(problem, jax.lax.stop_gradient(outcome.states))
    else:
        outcome = request.adjoint.apply(recurrence, asked, solve_as_asked)
        states, ys = outcome.states, None
    states = _void_after(states, outcome.result == Result.nonfinite, outcome.stats.finite_prefix)
    carry, ys = problem.typed(problem.carry(states), problem.outputs(states) if ys is None else ys)
    kept = problem.carries(states) if request.keep_states else None
    return Solution(kept, carry, ys, outcome.result, outcome.stats, outcome.history, solver)


def solve_as_asked(problem: Recurrence, request: Request, loop: Loop) -> LoopState:
    """The states by the solver of a request.

    Args:
        problem: the recurrence.
        request: of the call.
        loop: how iterations are repeated, so that they can be differentiated as the call asks.
    """
    return request.solver.solve(problem, request, loop)


def _refuse_varying(problem: ScanProblem, solver: "AbstractTrajectorySolver") -> None:
    """Refuse arrays whose types say that they differ from device to device, which these solvers' loops would mix."""
    if any(varies_over_mesh(jax.typeof(leaf)) for leaf in jax.tree.leaves((problem, solver)) if eqx.is_array(leaf)):
        raise ValueError(
            f"solver: given {type(solver).__name__} for arrays that vary over the axes of a jax.shard_map with its "
            "checks, expected jax.shard_map(..., check_vma=False), or solver=None."
        )


def _void_after(states: Trajectory, nonfinite: Bool[Array, ""], prefix: Int[Array, ""]) -> Trajectory:
    """NaN in place of states that the system never reaches in finite numbers."""
    beyond = nonfinite & (jnp.arange(states.shape[0]) >= prefix)
    return jnp.where(beyond[:, None], jnp.nan, states)
