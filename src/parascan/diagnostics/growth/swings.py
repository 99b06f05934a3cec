"""Swings of a growth rate that a recurrent trajectory must undo, taken out of it before its mean is judged.

Along a trajectory that comes back, whatever is a function of the state has no trend, so that its increments have mean
zero. The speed of the trajectory, ``log |s_{t+1} - s_t|``, is such a function, and a perturbation along the trajectory
grows by just its increments. A relaxation oscillation stretches and shrinks perturbations by large factors in every
period while its exponent is zero: without those swings a few periods tell it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .settling import cells_of

RECURRENT = 0.5
"""Difference of the mean log speed between the halves of a series, in units of its standard deviation, from which the
trajectory does not come back: 1.7 where it settles or escapes at a rate."""


def without_swings(logs: Float[Array, "P R"], log_speed: Float[Array, "P R"]) -> Float[Array, "P R"]:
    """Growth rates less as much of the speed's increments as explains them best; as they are where that says nothing.

    A control variate: the increments have a known mean of zero, so that taking a multiple of them away leaves the mean
    in the long run as it is.

    Args:
        logs: log stretches in every step of several series, in order.
        log_speed: logarithm of the length of the same steps.
    """
    increments = jnp.diff(log_speed, axis=1, append=log_speed[:, -1:])
    usable = jnp.all(jnp.isfinite(log_speed)) & jnp.all(jnp.isfinite(logs))
    increments = jnp.where(usable, increments, 0)
    half = max(logs.shape[1] // 2, 1)
    change = jnp.mean(log_speed[:, :half], axis=1) - jnp.mean(log_speed[:, -half:], axis=1)
    comes_back = jnp.abs(jnp.mean(change)) < RECURRENT * jnp.std(log_speed)
    along, beside = (_centered(jax.vmap(cells_of)(each)) for each in (logs, increments))
    square = jnp.sum(beside**2)
    share = jnp.sum(along * beside) / jnp.where(square > 0, square, 1)
    return logs - jnp.where(usable & comes_back & (square > 0), share, 0) * increments


def _centered(cells: Float[Array, "P C"]) -> Float[Array, "P C"]:
    """The cells of every series less their mean."""
    return cells - jnp.mean(cells, axis=1, keepdims=True)
