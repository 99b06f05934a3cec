"""Langevin dynamics in a two-well potential: not contracting everywhere, and yet predictable."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..solution import State
from ._base import UNKNOWN, Fact, Facts, System, positive, resolve_dtype

_STEP_SIZE = 0.01
_WEIGHTS = (0.49, 0.51)
_MEANS = ((-1.4, 0.0), (1.6, 0.0))
_VARIANCES = ((0.45, 0.45), (0.54, 0.45))
_FACTS = Facts(
    exponent_per_time=Fact(
        -1.585,
        "mean of 32 runs of 300 000 steps from the origin in float64, standard error 0.003; Gonzalez et al. (2025), "
        "figure 3, prints -1.45 for one run",
    ),
    remark="Exponents of single runs of 10 000 steps lie between -1.67 and -1.32 (20 seeds). The printed -1.45 is the "
    "run of 10 000 steps whose noise is drawn in float32 with the first of three keys split off seed 7.",
)


class LangevinStep(eqx.Module):
    """``s' = s - eps grad phi(s) + sqrt(2 eps) x``, with phi the negative log density of a Gaussian mixture."""

    log_weights: Float[Array, " K"]
    means: Float[Array, "K D"]
    variances: Float[Array, "K D"]
    step_size: Float[Array, ""]

    def __call__(self, state: State, x: State) -> State:
        """The next state."""
        offsets = state - self.means
        distances = jnp.sum(offsets**2 / self.variances + jnp.log(self.variances), axis=-1)
        shares = jax.nn.softmax(self.log_weights - 0.5 * distances)
        gradient = jnp.sum(shares[:, None] * offsets / self.variances, axis=0)
        return state - self.step_size * gradient + jnp.sqrt(2 * self.step_size) * x


class StandardNormals(eqx.Module):
    """Independent standard normal inputs."""

    size: int = eqx.field(static=True)

    def __call__(self, length: int, key: PRNGKeyArray | None, dtype: np.dtype) -> Float[Array, "T D"]:
        """The first ``length`` inputs.

        Raises:
            ValueError: no key.
        """
        if key is None:
            raise ValueError("key: given None, expected a random key: this system is driven by noise.")
        return jax.random.normal(key, (length, self.size), dtype)


def two_well_langevin(
    *,
    step_size: float = _STEP_SIZE,
    weights: Sequence[float] = _WEIGHTS,
    means: Sequence[Sequence[float]] = _MEANS,
    variances: Sequence[Sequence[float]] = _VARIANCES,
    dtype: Any = None,
) -> System:
    """A noisy walk between two wells, whose noise is the input and whose exponent is negative.

    Unadjusted Langevin dynamics in ``phi = -log p`` with p a mixture of Gaussians of diagonal covariance (as many and
    of as many dimensions as the arguments say). Between the wells the step expands, inside them it contracts; the
    orbits are predictable all the same. A step costs K D multiplications.

    Args:
        step_size: eps, in units of time; it is also ``dt``.
        weights: mixture weights [K], positive; need not sum to one.
        means: means [K, D].
        variances: variances of the coordinates [K, D], positive.
        dtype: floating dtype, JAX's default when None.

    Returns:
        The system, started at the origin [D], with inputs [T, D] of standard normals (``inputs`` needs a key).

    Raises:
        TypeError: ``dtype`` is not floating.
        ValueError: ``step_size`` is not positive, or the shapes of weights, means and variances disagree.

    Source:
        Gonzalez et al. (2025), appendix J.4; the wells lie on the first axis, as in the published runs.

    Examples:
        >>> import jax
        >>> from parascan import systems
        >>> langevin = systems.two_well_langevin()
        >>> langevin.inputs(5, key=jax.random.key(0)).shape
        (5, 2)
    """
    kind, dt = resolve_dtype(dtype), positive("step_size", step_size)
    centers, spreads, shares = (jnp.asarray(each, kind) for each in (means, variances, weights))
    if centers.ndim != 2 or spreads.shape != centers.shape or shares.shape != centers.shape[:1]:
        given = ", ".join(str(list(each.shape)) for each in (shares, centers, spreads))
        raise ValueError(f"weights, means, variances: given shapes {given}, expected [K], [K, D], [K, D].")
    published = (step_size, weights, means, variances) == (_STEP_SIZE, _WEIGHTS, _MEANS, _VARIANCES)
    return System(
        step=LangevinStep(jnp.log(shares), centers, spreads, jnp.asarray(dt, kind)),
        initial_state=jnp.zeros(centers.shape[1], kind),
        drive=StandardNormals(centers.shape[1]),
        name="two_well_langevin",
        equations="s' = s - eps grad phi(s) + sqrt(2 eps) w_t, phi = -log sum_k c_k N(s; m_k, diag v_k), w_t ~ N(0, I)",
        source="Gonzalez et al. (2025), appendix J.4",
        units="state and time: dimensionless; one step is step_size",
        dt=dt,
        facts=_FACTS if published else UNKNOWN,
    )
