"""Noise levels: the share of the signal's variance before each step, and after the last."""

import math

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ..problem.arguments import as_integer, check_counts

LEAST = 1e-4
"""Share of the signal's variance at the first level: noise alone, within one percent of its deviation."""


def cosine_levels(steps: int, offset: float = 0.008) -> Float[Array, " levels"]:
    """Shares of the signal's variance of the cosine schedule, from noise to data ``[steps + 1]``.

    Raised by one part in 10^4 at the first level, where the formula has none and a step could not be undone.

    Args:
        steps: of the sampler, one or more.
        offset: keeps the last steps from getting too small, zero or more.

    Raises:
        TypeError: ``steps`` is no integer.
        ValueError: no step, or a negative offset.

    Source: Nichol and Dhariwal 2021, equation 17.

    Examples:
        >>> import parascan as ps
        >>> ps.samplers.cosine_levels(10).shape
        (11,)
    """
    times = _times(steps)
    if not offset >= 0:
        raise ValueError(f"offset: given {offset}, expected zero or more.")
    share = np.cos((times + offset) / (1 + offset) * math.pi / 2) ** 2
    return jnp.asarray(LEAST + (1 - LEAST) * share / share[-1])


def linear_levels(steps: int, low: float = 0.1, high: float = 20.0) -> Float[Array, " levels"]:
    """Shares of the signal's variance where the rate of the noise grows linearly, from noise to data ``[steps + 1]``.

    Args:
        steps: of the sampler, one or more.
        low: rate at the data, in 1/unit of time, positive.
        high: rate at the noise.

    Raises:
        TypeError: ``steps`` is no integer.
        ValueError: no step, or rates that do not grow from a positive one.

    Source: Ho et al. 2020; Song et al. 2021, equation 33.

    Examples:
        >>> import parascan as ps
        >>> ps.samplers.linear_levels(10).shape
        (11,)
    """
    times = _times(steps)
    if not 0 < low <= high:
        raise ValueError(f"low, high: given {low}, {high}, expected positive rates in ascending order.")
    return jnp.asarray(np.exp(-(low * times + (high - low) * times**2 / 2)))


def checked_levels(levels: Array) -> Float[Array, " levels"]:
    """Levels as a sampler takes them.

    Args:
        levels: what the user gave.

    Raises:
        ValueError: fewer than two, or not ascending within what is above 0 and at most 1.
    """
    levels = jnp.asarray(levels, jnp.result_type(float)) if not hasattr(levels, "dtype") else jnp.asarray(levels)
    if levels.ndim != 1 or levels.shape[0] < 2:
        raise ValueError(f"levels: given shape {list(levels.shape)}, expected [T + 1] with one step or more.")
    if not isinstance(levels, Tracer):
        known = np.asarray(levels)
        if not (np.all(known > 0) and np.all(known <= 1) and np.all(np.diff(known) > 0)):
            raise ValueError(
                "levels: given shares that do not ascend from above 0 to at most 1, expected the signal's share of the "
                "variance from noise to data, such as ps.samplers.cosine_levels(T)."
            )
    return levels


def _times(steps: int) -> np.ndarray:
    """Times from 1, noise, to 0, data."""
    steps = as_integer(steps)
    check_counts(steps=steps)
    return np.linspace(1.0, 0.0, steps + 1)
