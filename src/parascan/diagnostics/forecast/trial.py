"""A few real updates of a method over the first steps, and how far each iterate is from the trajectory."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ...adjoint.implicit import Implicit
from ...problem.flat_recurrence import Recurrence
from ...solution import Trajectory
from ...solvers import AbstractIterativeSolver
from ...solvers.iterate import iterate
from ...solvers.request import Request
from ...solvers.residuals import Residuals
from ...solvers.watch import AbstractWatch
from .prefixes import Unlimited


class _Unjudged(Unlimited):
    """A rule that no iterate meets, for which nothing but the updates is computed."""

    corrected: ClassVar[bool] = False


class _Distances(AbstractWatch):
    """Notes the largest error of an entry at every step after every update.

    Attributes:
        truth: the trajectory.
        updates: K, how many are made.
    """

    truth: Trajectory
    updates: int = eqx.field(static=True)

    def first(self, problem: Recurrence) -> Float[Array, "K+1 T"]:
        """Nothing has been seen."""
        return jnp.zeros((self.updates + 1, problem.length), problem.dtype)

    def look(
        self,
        seen: Float[Array, "K+1 T"],
        problem: Recurrence,
        residuals: Residuals,
        proposal: Trajectory | None,
        iterations: Int[Array, ""],
    ) -> tuple[Float[Array, "K+1 T"], Bool[Array, ""]]:
        """The errors of one more iterate; the run ends when all updates are made."""
        error = jnp.max(jnp.abs(residuals.states - self.truth), axis=1)
        error = jnp.where(jnp.isfinite(error), error, jnp.inf)
        return seen.at[iterations].set(error), iterations >= self.updates


def error_history(
    problem: Recurrence, guess: Trajectory, truth: Trajectory, solver: AbstractIterativeSolver, updates: int
) -> Float[Array, "K+1 T"]:
    """The largest error of an entry, of every step, in the guess and after each of so many updates.

    The updates are those of a rollout. Work: as many steps and linearizations as updates times the length.

    Args:
        problem: the recurrence, T steps.
        guess: first trajectory ``[T D]``, to which states that overflow are put back.
        truth: the trajectory itself ``[T D]``.
        solver: the method.
        updates: K.
    """
    watch = _Distances(truth, updates)
    request = Request(solver, _Unjudged(), start=guess, repair=guess, budget=updates, watch=watch)
    return Implicit().find(problem, request, iterate).seen
