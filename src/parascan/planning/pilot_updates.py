"""Updates of a method without a forecast, counted on the first steps."""

import jax
import jax.numpy as jnp

from ..adjoint.implicit import Implicit
from ..diagnostics import Estimate
from ..diagnostics.estimate import estimate_of
from ..problem.flat_recurrence import Recurrence
from ..solution import Result
from ..solvers import AbstractTrajectorySolver
from ..solvers.criterion import AbstractCriterion
from ..solvers.request import Request
from ..solvers.trajectory import solve_as_asked

STEPS = 512
"""Steps of a pilot."""


def pilot_updates(recurrence: Recurrence, solver: AbstractTrajectorySolver, criterion: AbstractCriterion) -> Estimate:
    """The updates that a method takes on the first steps, and at most as many as there are steps.

    Args:
        recurrence: what is to be solved.
        solver: the method.
        criterion: when it stops.
    """
    steps = min(recurrence.length, STEPS)
    inputs = jax.tree.map(lambda leaf: leaf[:steps], recurrence.inputs)
    first = Recurrence(recurrence.advance, recurrence.initial, inputs, steps)
    start = jnp.broadcast_to(recurrence.initial, (steps, recurrence.size))

    @jax.jit
    def run(first: Recurrence, start: jax.Array) -> tuple[Result, jax.Array]:
        request = Request(solver, criterion, start=start, repair=start, budget=steps)
        outcome = Implicit().find(first, request, solve_as_asked)
        return outcome.result, outcome.stats.iterations

    result, iterations = run(first, start)
    count = float(iterations) if bool(result == Result.successful) else float(recurrence.length)
    how = f"counted on the first {steps} steps"
    return estimate_of(
        count, count, float(recurrence.length), how, "updates", 0.9, ("the first steps are like the rest",)
    )
