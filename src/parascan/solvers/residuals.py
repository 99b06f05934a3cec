"""One iterate as it is judged: residuals, norms and the exact prefix, with non-finite steps masked out."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..solution import Trajectory

SETTLED = 16
"""Units of rounding, on the scale of a state, up to which its residual counts as zero."""


class View(eqx.Module):
    """A trajectory, its images under the step, and which of these were finite.

    Images that were not finite are replaced by the repair trajectory, so that solvers only ever see numbers.
    """

    states: Trajectory
    images: Trajectory
    finite: Bool[Array, " T"]
    steps: int = eqx.field(static=True)
    unit: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        states: Trajectory,
        images: Trajectory,
        repair: Trajectory,
        steps: int,
        unit: np.ndarray | None = None,
    ) -> "View":
        """View of the states of a problem.

        Args:
            states: the iterate ``[T D]``.
            images: what the step makes of it.
            repair: what stands for images that are not finite ``[T D]``.
            steps: over which the merit is a mean.
            unit: unit of rounding of each entry ``[D]``; that of the states' dtype when None.
        """
        finite = jnp.all(jnp.isfinite(images), axis=1)
        return cls(states, jnp.where(finite[:, None], images, repair), finite, steps, unit)

    @property
    def residual(self) -> Trajectory:
        """``s_t - f_t(s_{t-1})``."""
        return self.states - self.images

    @property
    def judged(self) -> Bool[Array, " T"]:
        """Steps before the first non-finite image; by causality nothing after it can be judged yet."""
        return _leading(self.finite)

    @property
    def exact(self) -> Bool[Array, " T"]:
        """Steps up to which every residual is exactly zero."""
        return _leading(jnp.all(self.residual == 0, axis=1) & self.finite)

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
        within = jnp.abs(self.residual) <= SETTLED * unit * (1 + jnp.abs(self.states))
        return jnp.sum(_leading(jnp.all(within, axis=1) & self.finite), dtype=jnp.int32)

    def largest(self, values: Trajectory) -> Float[Array, " D"]:
        """Largest magnitude over the judged steps, NaN counting as infinite."""
        magnitude = jnp.where(jnp.isnan(values), jnp.inf, jnp.abs(values))
        return jnp.max(jnp.where(self.judged[:, None], magnitude, 0.0), axis=0)

    def error(self, proposal: Trajectory) -> Float[Array, " D"]:
        """Largest difference from a Newton proposal; a state that is exact has no error whatever the Jacobians are."""
        return self.largest(jnp.where(self.exact[:, None], 0.0, proposal - self.states))

    def merit(self) -> Float[Array, ""]:
        """``||r||^2 / (2 T)`` over the judged steps; those inside of blocks have no residual."""
        squares = jnp.where(self.judged[:, None], self.residual**2, 0.0)
        return 0.5 * jnp.sum(squares) / self.steps

    def defect(self) -> Float[Array, ""]:
        """Largest residual of a judged step relative to one plus the size of its state."""
        residual = jnp.max(jnp.abs(self.residual), axis=1)
        size = 1 + jnp.max(jnp.abs(self.states), axis=1)
        return jnp.max(jnp.where(self.judged, residual / size, 0.0))

    def keep_exact_prefix(self, proposal: Trajectory) -> Trajectory:
        """The proposal with the exact prefix, and the step after it, taken from the images.

        This keeps the prefix exact even where a product of Jacobians overflows, so that iteration i always leaves at
        least the first i states exact.
        """
        known = jnp.concatenate([jnp.ones((1,), bool), self.exact[:-1]]) & self.finite
        return jnp.where(known[:, None], self.images, proposal)


def _leading(flags: Bool[Array, " T"]) -> Bool[Array, " T"]:
    """The flags up to the first false one, and false from there on."""
    count = flags.shape[0]
    return jnp.arange(count) < jnp.where(jnp.all(flags), count, jnp.argmin(flags))
