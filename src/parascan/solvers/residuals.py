"""One iterate as it is judged: residuals, norms and the exact prefix, with non-finite steps masked out."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..solution import Trajectory

SETTLED = 16
"""Units of rounding, on the scale of a state, up to which its residual counts as zero."""


class Residuals(eqx.Module):
    """A trajectory beside its one-step predictions ``f_t(s_{t-1})``, and which of these were finite.

    Predictions that were not finite are replaced by the repair trajectory, so that solvers only ever see numbers.
    """

    states: Trajectory
    predictions: Trajectory
    finite: Bool[Array, " T"]
    steps: int = eqx.field(static=True)
    unit: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        states: Trajectory,
        predictions: Trajectory,
        repair: Trajectory,
        steps: int,
        unit: np.ndarray | None = None,
    ) -> "Residuals":
        """The residuals of an iterate.

        Args:
            states: the iterate ``[T D]``.
            predictions: what the step makes of the state before each ``[T D]``.
            repair: what stands for predictions that are not finite ``[T D]``.
            steps: over which the merit is a mean.
            unit: unit of rounding of each entry ``[D]``; that of the states' dtype when None.
        """
        finite = jnp.all(jnp.isfinite(predictions), axis=1)
        return cls(states, jnp.where(finite[:, None], predictions, repair), finite, steps, unit)

    @property
    def values(self) -> Trajectory:
        """``s_t - f_t(s_{t-1})``."""
        return self.states - self.predictions

    @property
    def judged(self) -> Bool[Array, " T"]:
        """Steps before the first prediction that is not finite; nothing after it can be judged yet."""
        return _leading(self.finite)

    @property
    def exact(self) -> Bool[Array, " T"]:
        """Steps up to which every residual is exactly zero."""
        return _leading(jnp.all(self.values == 0, axis=1) & self.finite)

    @property
    def finite_prefix(self) -> Int[Array, ""]:
        """Number of judged steps."""
        return jnp.sum(self.judged, dtype=jnp.int32)

    @property
    def exact_prefix(self) -> Int[Array, ""]:
        """Number of exact steps."""
        return jnp.sum(self.exact, dtype=jnp.int32)

    @property
    def settled_prefix(self) -> Int[Array, ""]:
        """Number of leading steps whose residual is zero within rounding on the scale of their own state."""
        own = float(jnp.finfo(self.states.dtype).eps)
        unit = own if self.unit is None else self.unit.astype(self.states.dtype)
        within = jnp.abs(self.values) <= SETTLED * unit * (1 + jnp.abs(self.states))
        return jnp.sum(_leading(jnp.all(within, axis=1) & self.finite), dtype=jnp.int32)

    def largest(self, values: Trajectory) -> Float[Array, " D"]:
        """Largest magnitude over the judged steps, NaN counting as infinite."""
        magnitude = jnp.where(jnp.isnan(values), jnp.inf, jnp.abs(values))
        return jnp.max(jnp.where(self.judged[:, None], magnitude, 0.0), axis=0)

    def error(self, proposal: Trajectory) -> Float[Array, " D"]:
        """Largest difference from a Newton proposal; states that are exact count as without error."""
        return self.largest(jnp.where(self.exact[:, None], 0.0, proposal - self.states))

    def merit(self) -> Float[Array, ""]:
        """``||r||^2 / (2 T)`` over the judged steps; those inside of blocks have no residual."""
        squares = jnp.where(self.judged[:, None], self.values**2, 0.0)
        return 0.5 * jnp.sum(squares) / self.steps

    def by_step(self) -> Float[Array, " T"]:
        """Root mean square residual of each judged step, zero for the others."""
        return jnp.where(self.judged, jnp.sqrt(jnp.mean(self.values**2, axis=1)), 0.0)

    def defect(self) -> Float[Array, ""]:
        """Largest residual of a judged step relative to one plus the size of its state."""
        largest = jnp.max(jnp.abs(self.values), axis=1)
        size = 1 + jnp.max(jnp.abs(self.states), axis=1)
        return jnp.max(jnp.where(self.judged, largest / size, 0.0))

    def keep_exact_prefix(self, proposal: Trajectory) -> Trajectory:
        """The proposal with the exact prefix, and the step after it, taken from the predictions.

        This keeps the prefix exact even where a product of Jacobians overflows, so that iteration i always leaves at
        least the first i states exact.
        """
        known = (jnp.arange(len(self.states)) <= self.exact_prefix) & self.finite
        return jnp.where(known[:, None], self.predictions, proposal)


def _leading(flags: Bool[Array, " T"]) -> Bool[Array, " T"]:
    """The flags up to the first false one, and false from there on."""
    count = flags.shape[0]
    return jnp.arange(count) < jnp.where(jnp.all(flags), count, jnp.argmin(flags))
