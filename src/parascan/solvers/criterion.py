"""When to stop, and why: decided from numbers about an iterate, never from the iterate itself."""

import abc
import dataclasses
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from ..solution import Result

FLOOR_PATIENCE = 3
"""Iterations without improvement after which an error near rounding is taken to be as small as rounding allows."""

DESCENT_PATIENCE = 100
"""Iterations without improvement after which a method with no guarantee to end is called stalled."""

RUNAWAY = 1e8
"""Growth of the merit over its first value after which a method with no guarantee to end is called diverged."""

RUNAWAY_DEFECT = 1e3
"""Defect, in units of the tolerance, above which an iterate cannot be near a trajectory whatever its scale."""


def rounding_units(eps: float) -> int:
    """Error that the default tolerance allows, in units of rounding: 512, 16 or 4, by the unit of the dtype."""
    return 512 if eps < 1e-12 else 16 if eps < 1e-4 else 4


class Progress(eqx.Module):
    """What is known of one iterate.

    All norms are over the steps before the first non-finite one. ``correction`` and ``scale`` are maxima over time,
    one for each state entry, so that entries of different size are judged by their own size. ``defect`` is the
    largest residual of a step over one plus the size of its own state: it unmasks an iterate that has run away, whose
    huge ``scale`` would excuse any error. ``unit`` is the unit of rounding that each entry is computed in, that of the
    states' dtype when None; it is larger where a step rounds to a narrower dtype on its way. ``steps`` is the root mean
    square residual of each judged step.
    """

    merit: Float[Array, ""]
    initial_merit: Float[Array, ""]
    correction: Float[Array, " D"]
    scale: Float[Array, " D"]
    defect: Float[Array, ""]
    stagnation: Int[Array, ""]
    all_finite: Bool[Array, ""]
    causal: bool = eqx.field(static=True)
    unit: np.ndarray | None = None
    steps: Float[Array, " T"] | None = None

    @property
    def own(self) -> float:
        """Unit of rounding of the states' dtype."""
        return float(jnp.finfo(self.scale.dtype).eps)

    @property
    def units(self) -> np.ndarray:
        """Unit of rounding of each entry ``[D]``."""
        return np.full(self.scale.shape, self.own) if self.unit is None else self.unit

    @property
    def rounded(self) -> Bool[Array, ""]:
        """Whether every residual is within a few units of rounding of its state."""
        return self.defect <= 16 * self.own

    def replace(self, **changes: Array) -> "Progress":
        """The same numbers with some of them changed."""
        return dataclasses.replace(self, **changes)


class AbstractCriterion(eqx.Module):
    """A stopping rule: a ratio that is at most one when the iterate is good enough."""

    corrected: ClassVar[bool]

    @abc.abstractmethod
    def ratio(self, progress: Progress) -> Float[Array, ""]:
        """The measured error over the allowed one; at most one means accepted."""

    @abc.abstractmethod
    def at_floor(self, progress: Progress) -> Bool[Array, ""]:
        """Whether the iterate is so good that only rounding can keep it from improving further."""

    @property
    @abc.abstractmethod
    def accepts_floor(self) -> bool:
        """Whether the rounding floor counts as success."""

    def met(self, progress: Progress) -> Bool[Array, ""]:
        """Whether the iterate is good enough."""
        return self.ratio(progress) <= 1

    def verdict(self, progress: Progress) -> tuple[Bool[Array, ""], Result]:
        """Whether to stop at this iterate, and the result if so."""
        met = self.met(progress)
        floor = self.at_floor(progress) & (progress.stagnation >= FLOOR_PATIENCE)
        good = met | floor if self.accepts_floor else met
        stalled, diverged = floor & ~good, jnp.asarray(False)
        if not progress.causal:
            stalled |= ~good & (progress.stagnation >= DESCENT_PATIENCE)
            diverged = ~progress.all_finite | (progress.merit > RUNAWAY * (1 + progress.initial_merit))
        result = Result.where(progress.all_finite, Result.successful, Result.nonfinite)
        result = Result.where(stalled, Result.stalled, result)
        result = Result.where(diverged, Result.diverged, result)
        return good | stalled | diverged, result


class StateError(AbstractCriterion):
    """Stop when the estimated error of every state is within ``atol + rtol |s|``.

    The error is estimated by the next Newton correction with the exact Jacobian, whatever method produced the
    iterate, so a method that merely takes small steps is not mistaken for one that has converged. ``|s|`` is each
    state entry's largest magnitude over time.

    With both tolerances left out the answer is taken as far as the dtype allows: 512 (float64), 16 (float32) or 4
    (bfloat16, float16) units of rounding, and where rounding forbids even that, as far as it goes provided the
    estimated error is below the square root of one unit. A tolerance given by the user is met or the rollout does not
    succeed.

    The units are those of the coarsest floating dtype that an entry is computed in, which is read off the traced step:
    a float32 state whose step multiplies in bfloat16 is known to bfloat16's digits only. Iterations then still go on
    until one brings nothing more.

    Args:
        rtol: relative tolerance, dimensionless, zero or more; None for the default above.
        atol: absolute tolerance in units of the state, zero or more; None for ``rtol``.

    Raises:
        ValueError: a tolerance is negative, or both are zero.
    """

    rtol: float | None = None
    atol: float | None = None
    corrected: ClassVar[bool] = True

    def __check_init__(self) -> None:
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            if value is not None and not value >= 0:
                raise ValueError(f"criterion.{name}: given {value}, expected zero or more.")
        if self.rtol == 0 and self.atol in (0, None):
            raise ValueError("criterion: given rtol=0 and atol=0, expected one of them positive.")

    @property
    def accepts_floor(self) -> bool:
        """True for the default tolerance, which means 'as far as rounding allows'."""
        return self.rtol is None and self.atol is None

    def ratio(self, progress: Progress) -> Float[Array, ""]:
        """Largest estimated error over its tolerance."""
        return self._ratio(progress, progress.units)

    def met(self, progress: Progress) -> Bool[Array, ""]:
        """Whether the error is within tolerance; if that is a coarser dtype's, whether it no longer improves either."""
        met = super().met(progress)
        if not self.accepts_floor or np.all(progress.units <= progress.own):
            return met
        finest = np.full(progress.scale.shape, progress.own)
        return met & ((self._ratio(progress, finest) <= 1) | (progress.stagnation >= FLOOR_PATIENCE))

    def at_floor(self, progress: Progress) -> Bool[Array, ""]:
        """Whether the estimated error is below the square root of one unit of rounding."""
        units = progress.units if self.accepts_floor else np.full(progress.scale.shape, progress.own)
        root = jnp.asarray(units**0.5, progress.scale.dtype)
        return jnp.all(progress.correction <= root * (1 + progress.scale)) & (progress.defect <= jnp.max(root))

    def _ratio(self, progress: Progress, units: np.ndarray) -> Float[Array, ""]:
        """Largest estimated error over its tolerance; a tolerance left out is the default one in these units."""
        default = np.array([rounding_units(unit) * unit for unit in units.tolist()], progress.scale.dtype)
        rtol = self.rtol if self.rtol is not None else default if self.atol is None else 0.0
        atol = self.atol if self.atol is not None else rtol
        error = jnp.max(progress.correction / (atol + rtol * progress.scale))
        return jnp.maximum(error, progress.defect / (RUNAWAY_DEFECT * jnp.max(jnp.asarray(atol + rtol))))


class Merit(AbstractCriterion):
    """Stop when the merit per step, ``||r||^2 / (2 T)``, is at most ``tol``: the paper's rule.

    A small merit bounds the error of the states only up to the conditioning of the problem; on an unpredictable
    system it says nothing about the trajectory (figure 5 of the paper).

    Args:
        tol: bound on the merit per step, in squared units of the state, positive.

    Raises:
        ValueError: ``tol`` is not positive.
    """

    tol: float = 1e-10
    corrected: ClassVar[bool] = False

    def __check_init__(self) -> None:
        if not self.tol > 0:
            raise ValueError(f"criterion.tol: given {self.tol}, expected a positive number.")

    @property
    def accepts_floor(self) -> bool:
        """False: the merit has to be within the tolerance."""
        return False

    def ratio(self, progress: Progress) -> Float[Array, ""]:
        """Merit per step over its tolerance."""
        return progress.merit / self.tol

    def at_floor(self, progress: Progress) -> Bool[Array, ""]:
        """Whether every residual is within a few units of rounding of its state."""
        return progress.rounded


class StepError(AbstractCriterion):
    """Stop when the residual of every step is at most ``tol`` times the weight of that step, without any derivative.

    The residual of a step is its root mean square over the entries of the state. Nothing but the step's values is
    needed, which makes this the rule for states of many entries and for steps that jump. It bounds what each step is
    off by itself, not the error of the states, which later steps may amplify: ``ps.certify`` tells.

    Args:
        tol: bound on a residual of weight one, in units of the state, positive.
        weights: of the steps ``[T]``, positive, in the order of computation, such as the deviation of the noise that
            a step adds; one for all steps when None. Only for solvers that iterate on single steps.

    Raises:
        ValueError: ``tol`` or a weight is not positive, or the weights are not one a step.

    Source: Shih et al. 2023, section 3.2, whose weights are the deviations of the noise.
    """

    tol: float = 1e-3
    weights: Float[Array, " T"] | None = None
    corrected: ClassVar[bool] = False

    def __check_init__(self) -> None:
        if not self.tol > 0:
            raise ValueError(f"criterion.tol: given {self.tol}, expected a positive number.")
        if self.weights is None:
            return
        if np.ndim(self.weights) != 1:
            raise ValueError(f"criterion.weights: given shape {list(np.shape(self.weights))}, expected [T].")
        if not isinstance(self.weights, Tracer) and not np.all(np.asarray(self.weights) > 0):
            raise ValueError("criterion.weights: given a weight that is not positive, expected positive ones.")

    @property
    def accepts_floor(self) -> bool:
        """False: every residual has to be within its tolerance."""
        return False

    def ratio(self, progress: Progress) -> Float[Array, ""]:
        """Largest residual of a step over its tolerance."""
        steps = progress.steps
        if steps is None:
            raise ValueError(
                "criterion: given StepError() where no residuals of steps are known, expected StateError()."
            )
        if self.weights is None:
            return jnp.max(steps, initial=0.0) / self.tol
        if self.weights.shape != steps.shape:
            raise ValueError(
                f"criterion.weights: given {self.weights.shape[0]} for {steps.shape[0]} residuals, expected one for "
                "each; a solver on blocks has a residual for each block."
            )
        return jnp.max(steps / (self.tol * self.weights.astype(steps.dtype)), initial=0.0)

    def at_floor(self, progress: Progress) -> Bool[Array, ""]:
        """Whether every residual is within a few units of rounding of its state."""
        return progress.rounded
