"""Backtracking along the step of another solver, all trial lengths at once."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..problem.arguments import check_counts
from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory, Tree
from .base import AbstractIterativeSolver
from .memory import states_bytes
from .update import Iterate


class LineSearch(AbstractIterativeSolver):
    """Another solver's step, shortened until it decreases the merit enough (Armijo's rule).

    The trial lengths ``1, shrink, shrink^2, ...`` are tried side by side, and the longest that decreases
    ``1/2 ||r||^2`` by at least the share ``decrease`` of what its slope promises is taken; failing that the trial with
    the least merit, and no step where every trial raises it. Damping and clipping belong to ``inner`` and compose. The
    exact prefix grows by a step in each iteration whatever the length, so T iterations always suffice. Costs ``trials``
    evaluations and one Jacobian-vector product of all steps more than ``inner``, memory ``trials`` trajectories.

    Args:
        inner: the solver whose step is searched along, such as ``ps.deer()``; it must be causal.
        trials: how many lengths to try, one or more.
        shrink: ratio of one length to the one before, between 0 and 1.
        decrease: the share of the promised decrease that is asked for, between 0 and 1.

    Raises:
        TypeError: ``inner`` is not a causal iterative solver, or ``trials`` is not an integer.
        ValueError: a number is out of range.

    Source: Armijo 1966; Nocedal and Wright 2006, algorithm 3.1; section 3 of the paper for its use on the merit.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> step = lambda s, x: 3.6 * s * (1 - s)
        >>> careful = ps.LineSearch(ps.Newton(ps.Full(), clip=2.0))
        >>> bool(ps.rollout(step, jnp.array([0.3]), length=50, solver=careful).result == ps.Result.successful)
        True
    """

    inner: AbstractIterativeSolver
    trials: int = eqx.field(static=True, default=8)
    shrink: float = eqx.field(static=True, default=0.5)
    decrease: float = eqx.field(static=True, default=1e-4)
    causal: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("armijo1966", "gonzalez2025predictability")

    def __check_init__(self) -> None:
        if not (isinstance(self.inner, AbstractIterativeSolver) and self.inner.causal):
            given = getattr(self.inner, "__name__", type(self.inner).__name__)
            raise TypeError(f"inner: given {given}, expected a causal iterative solver such as ps.deer().")
        check_counts(trials=self.trials)
        for name, value in (("shrink", self.shrink), ("decrease", self.decrease)):
            if not 0 < value < 1:
                raise ValueError(f"{name}: given {value}, expected a number between 0 and 1.")

    @property
    def exact(self) -> bool:
        """False: a shortened step does not estimate the error."""
        return False

    def init(self, problem: Recurrence, states: Trajectory) -> Tree:
        """The inner solver's memory."""
        return self.inner.init(problem, states)

    def step(self, problem: Recurrence, iterate: Iterate, state: Any) -> tuple[Trajectory, Tree]:
        """The trajectory after the longest trial step that decreases the merit enough."""
        target, state = self.inner.step(problem, iterate, state)
        direction = target - iterate.states
        residual = iterate.states - iterate.predictions
        merit = _finite(problem.merit(iterate.states))
        slope = _slope(problem, iterate, residual, direction)
        lengths = self.shrink ** jnp.arange(self.trials, dtype=problem.dtype)
        # The full step is the inner solver's own trajectory to the last bit.
        points = jnp.where(lengths[:, None, None] == 1, target, iterate.states + lengths[:, None, None] * direction)
        merits = _finite(jax.vmap(problem.merit)(points))
        enough = jnp.isfinite(merits) & (merits <= merit + self.decrease * lengths * jnp.minimum(slope, 0.0))
        index = jnp.where(jnp.any(enough), jnp.argmax(enough), jnp.argmin(merits))
        lower = merits[index] <= merit
        return jnp.where(lower, points[index], iterate.states), state

    def update_bytes(self, recurrence: Recurrence) -> int:
        """Bytes of the inner solver's update, with the trajectories that are tried side by side."""
        return self.inner.update_bytes(recurrence) + 2 * self.trials * states_bytes(recurrence)


def _finite(merits: Array) -> Array:
    """Merits with infinity in place of NaN."""
    return jnp.where(jnp.isfinite(merits), merits, jnp.inf)


def _slope(problem: Recurrence, iterate: Iterate, residual: Trajectory, direction: Trajectory) -> Float[Array, ""]:
    """Derivative of the merit along a direction, ``r . J d``; zero where it is not finite."""
    change = jax.jvp(problem.residual, (iterate.states,), (direction,))[1]
    slope = jnp.sum(residual * change)
    return jnp.where(jnp.isfinite(slope), slope, 0.0)
