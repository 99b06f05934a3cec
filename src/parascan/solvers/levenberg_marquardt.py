"""Levenberg-Marquardt on the whole trajectory: a trust region whose step is one parallel smoother (ELK)."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..linear import AbstractTransition, Bidiagonal, damped_solve
from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory
from .base import AbstractIterativeSolver
from .linearizations import AbstractLinearization, Diagonal, Full, UpdateWork
from .memory import TRANSITIONS, states_bytes
from .prefix import Settled
from .update import Iterate

GOOD, POOR, LEAST = 0.75, 0.25, 1e-3
"""Ratios of the actual decrease to the predicted one: above ``GOOD`` the damping falls, below ``POOR`` it grows, below
``LEAST`` the step is not taken."""

FALL, GROWTH = 0.1, 5.0
"""Factors by which the damping falls and grows."""

COVARIANCES = 6
"""Arrays of the size of the stored Jacobians that the smoother holds beside them."""

SMOOTHER = 12
"""Cost of a step of the smoother, in steps of the linear recurrence."""


class Trust(eqx.Module):
    """What one update hands to the next: the number of updates and the damping."""

    updates: Int[Array, ""]
    damping: Float[Array, ""]


class LevenbergMarquardt(AbstractIterativeSolver):
    """Newton's method with damped steps, ``min ||r + J d||^2 + damping ||d||^2``: ELK, and a trust region.

    For systems that grow before they contract, on which plain Newton overshoots or overflows. A step that would not
    decrease the merit is not taken. The states up to the exact prefix, and the one after it, are put in place first,
    so that T iterations always suffice. Depth and work are those of three recurrences of D x D matrices, one of them
    with a solve of D equations in every step; memory is about six arrays ``[T D D]`` (``[T D]`` for ``Diagonal()``).

    The damping is dimensionless, since J has ones on its diagonal. It is divided by 10 where the decrease is over 3/4
    of the predicted one, and multiplied by 5 where it is under 1/4.

    Args:
        linearization: what stands in for the Jacobian, ``Full()`` or ``Diagonal()``; matrices are stored.
        damping: weight of the size of a step at the start, positive.
        limits: smallest and largest damping, positive (the smallest is at least one unit of rounding); None for a
            fixed damping and for taking every step, the published form.

    Raises:
        TypeError: ``linearization`` is not one.
        ValueError: ``damping`` is not positive, or ``limits`` are not two positive numbers in order.

    Source: Gonzalez et al. 2024 (ELK, quasi-ELK, with fixed damping); Levenberg 1944, Marquardt 1963; Nocedal and
    Wright 2006, algorithm 4.1, for the ratio.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> step = lambda s, x: 3.6 * s * (1 - s)
        >>> solution = ps.rollout(step, jnp.array([0.3]), length=50, solver=ps.LevenbergMarquardt(ps.Full()))
        >>> bool(solution.result == ps.Result.successful)
        True
    """

    linearization: AbstractLinearization
    damping: float | Float[Array, ""] = 0.1
    limits: tuple[float, float] | None = (1e-12, 1e8)
    causal: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("gonzalez2024elk", "levenberg1944", "marquardt1963")

    def __check_init__(self) -> None:
        if not isinstance(self.linearization, AbstractLinearization):
            given = getattr(self.linearization, "__name__", type(self.linearization).__name__)
            raise TypeError(f"linearization: given {given}, expected one such as Full() or Diagonal().")
        if isinstance(self.damping, int | float) and not self.damping > 0:
            raise ValueError(f"damping: given {self.damping}, expected a positive number.")
        if self.limits is not None and not (len(self.limits) == 2 and 0 < self.limits[0] <= self.limits[1]):
            raise ValueError(f"limits: given {self.limits}, expected two positive numbers in order, or None.")

    @property
    def exact(self) -> bool:
        """False: a damped step does not estimate the error."""
        return False

    def init(self, problem: Recurrence, states: Trajectory) -> Trust:
        """No update made, and the damping to start with."""
        return Trust(jnp.zeros((), jnp.int32), self._limited(jnp.asarray(self.damping, problem.dtype)))

    def step(self, problem: Recurrence, iterate: Iterate, state: Trust) -> tuple[Trajectory, Trust]:
        """The trajectory after the damped step, or the same one where the step would not decrease the merit."""
        settled = Settled.of(problem, iterate)
        transition = self.linearization.transition(problem, settled.states, state.updates).guarded()
        correction = damped_solve(transition, settled.residual, state.damping, settled.known, devices=problem.devices)
        trial = settled.states + correction
        if self.limits is None:
            return trial, Trust(state.updates + 1, state.damping)
        taken, ratio = _judge(problem, settled, transition, correction)
        factor = jnp.where(ratio > GOOD, FALL, jnp.where(ratio < POOR, GROWTH, 1.0)).astype(problem.dtype)
        factor = jnp.where(jnp.isfinite(ratio), factor, jnp.asarray(GROWTH, problem.dtype))
        damping = self._limited(state.damping * factor)
        return jnp.where(taken, trial, settled.states), Trust(state.updates + 1, damping)

    def update_bytes(self, recurrence: Recurrence) -> int:
        """Bytes of one update, with the stored Jacobians and what the smoother holds beside them."""
        width = 1 if self.update_work().diagonal else recurrence.size
        return super().update_bytes(recurrence) + (TRANSITIONS + COVARIANCES) * width * states_bytes(recurrence)

    def update_work(self) -> UpdateWork:
        """The work of the linearization, with the passes of the smoother."""
        return self.linearization.update_work()._replace(passes=SMOOTHER)

    def _limited(self, damping: Float[Array, ""]) -> Float[Array, ""]:
        """The damping within its limits."""
        if self.limits is None:
            return damping
        least = max(self.limits[0], float(jnp.finfo(damping.dtype).eps))
        return jnp.clip(damping, least, max(least, self.limits[1]))


def _judge(
    problem: Recurrence, settled: Settled, transition: AbstractTransition, correction: Trajectory
) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether to take a step, and the ratio of the merit's actual decrease to the predicted one."""
    predictions = problem.predictions(settled.states + correction)
    finite = jnp.all(jnp.isfinite(predictions), axis=1)
    nonfinite = jnp.sum(~finite)
    residual = settled.residual
    after = jnp.where(finite[:, None], settled.states + correction - predictions, 0.0)
    linear = residual + Bidiagonal(transition, devices=problem.devices).mv(correction)
    before = jnp.sum(residual**2)
    predicted = before - jnp.sum(linear**2)
    ratio = (before - jnp.sum(after**2)) / predicted
    decreased = (nonfinite == 0) & (predicted > 0) & (ratio > LEAST)
    return (nonfinite < settled.nonfinite) | decreased, jnp.where(nonfinite > settled.nonfinite, -jnp.inf, ratio)


def elk(damping: float | None = None) -> LevenbergMarquardt:
    """Levenberg-Marquardt with the full Jacobian: for systems on which ``deer()`` overshoots.

    Args:
        damping: a fixed one, as published; None to adapt it.

    Source: Gonzalez et al. 2024.
    """
    return _elk(Full(), damping)


def quasi_elk(damping: float | None = None) -> LevenbergMarquardt:
    """Levenberg-Marquardt with the Jacobian's diagonal: ``T D`` memory, more iterations than ``elk()``.

    Args:
        damping: a fixed one, as published; None to adapt it.

    Source: Gonzalez et al. 2024.
    """
    return _elk(Diagonal(), damping)


def _elk(linearization: AbstractLinearization, damping: float | None) -> LevenbergMarquardt:
    """The solver of both nicknames."""
    if damping is None:
        return LevenbergMarquardt(linearization)
    return LevenbergMarquardt(linearization, damping, limits=None)
