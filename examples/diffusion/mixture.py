"""A mixture of normal distributions in the plane, whose noise at every level is known exactly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

MEANS = np.asarray([[2.0, 0.0], [-1.5, 1.5], [-0.5, -2.0]])
DEVIATION = 0.3


def exact_eps(levels: Float[Array, " levels"]) -> Callable[[Array, Array], Array]:
    """The expected noise, given a state and the number of its level.

    Args:
        levels: shares of the signal's variance.
    """

    def eps(x: Float[Array, "2"], index: Array) -> Float[Array, "2"]:
        share = levels[index.astype(int)].astype(x.dtype)
        variance = share * DEVIATION**2 + 1 - share
        apart = x - jnp.sqrt(share) * jnp.asarray(MEANS, x.dtype)
        weights = jax.nn.softmax(-jnp.sum(apart**2, axis=1) / (2 * variance))
        return jnp.sqrt(1 - share) * (weights @ apart) / variance

    return eps


def mode(x: Float[np.ndarray, "N 2"]) -> np.ndarray:
    """The number of the nearest mean.

    Args:
        x: samples.
    """
    return np.argmin(np.linalg.norm(x[:, None] - MEANS, axis=-1), axis=1)
