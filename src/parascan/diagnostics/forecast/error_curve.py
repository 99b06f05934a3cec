"""How many updates theory expects near the solution, for every length at once, from one run along a trajectory.

By the rate theorem (``update_rate``) errors obey ``e^(k+1)_t = A_t e^(k+1)_{t-1} + (J_t - A_t) e^(k)_{t-1}``. Multiply
by ``z^(k+1)`` and add over k: the sum ``E_t(z) = e^(0)_t + z e^(1)_t + z^2 e^(2)_t + ...`` obeys one recurrence,

    ``E_t = (A_t + z (J_t - A_t)) E_{t-1} + e^(0)_t - A_t e^(0)_{t-1}``,

that of the step's own Jacobian at z = 1. So the errors of all updates follow from runs of *interpolated* systems. By
Cauchy's inequality ``|e^(k)_t| <= r^-k max over |z| = r of |E_t(z)|``, and the mean square of ``|E_t|`` over the circle
is the sum of all ``r^(2 k) |e^(k)_t|^2``: errors shrink by ``1/r`` in each update exactly where the systems
``A + z (J - A)`` do not grow for ``|z| = r``. Jacobi's are ``z J``, whose exponent is ``log r`` above the system's,
which gives the memory horizon; Picard's on ``s' = (1 - h) s`` is ``1 - z h``, which gives ``(h T)^k / k!``; Newton's do
not depend on z.

The circle is looked at in a few directions, the largest of which stands for all, and for a few radii. Between them the
logarithm of ``|E_t|`` is convex in that of r (Hadamard's three circles): it lies below the chord and above both
neighboring chords continued, and the middle between these is taken.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...linear import AbstractTransition
from ...programs.device_axis import one_later
from ...solution import Trajectory

LOG_RADII = np.geomspace(0.02, 12.0, 16)
"""Logarithms of the radii, by which an update shrinks an error at most: from slow convergence to a few updates."""

ANGLES = np.linspace(0.0, np.pi, 5)
"""Directions of z; the other half of the circle gives complex conjugates."""

BETWEEN = (0.2, 0.4, 0.6, 0.8)
"""Places between two radii at which the curve is interpolated, as parts of the way."""

LARGEST = 1e12
"""Magnitude from which numbers are scaled back."""

SMALLEST = 1e-30
"""Errors below this part of the scale count as this part, so that logarithms exist."""


def error_curve(exact: AbstractTransition, replaced: AbstractTransition, error: Trajectory) -> Float[Array, "T R"]:
    """Logarithm of the largest entry of ``|E_t(z)|`` over the directions of z, for each radius.

    Depth T; work two products for each of ``2 R A`` vectors a step, side by side.

    Args:
        exact: the Jacobians at the solution.
        replaced: what an update has in their place.
        error: that of the guess ``[T D]``.
    """
    radii = np.exp(LOG_RADII)[:, None]
    real, imaginary = (
        jnp.asarray((radii * part).reshape(-1, 1), error.dtype) for part in (np.cos(ANGLES), np.sin(ANGLES))
    )
    source = error - replaced.apply(one_later(jnp.zeros_like(error[0]), error, None))

    def several(transition: AbstractTransition, row: Any, v: Array) -> Array:
        return jax.vmap(jax.vmap(lambda each: transition.product(row, each)))(v)

    def one(carry: tuple[Array, Array], row: tuple[Any, Any, Array]) -> tuple[tuple[Array, Array], Array]:
        (v, log_scale), (of_exact, of_replaced, arriving) = carry, row
        kept = several(replaced, of_replaced, v)
        left = several(exact, of_exact, v) - kept
        turned = jnp.stack([real * left[:, 0] - imaginary * left[:, 1], real * left[:, 1] + imaginary * left[:, 0]], 1)
        v = kept + turned
        v = v.at[:, 0].add(arriving * jnp.exp(-log_scale)[:, None])
        size = jnp.sqrt(jnp.max(jnp.sum(v**2, axis=1), axis=1))
        grown = size > LARGEST
        shrunk = (size < 1 / LARGEST) & (log_scale > 0)
        factor = jnp.where(grown, size, jnp.where(shrunk, jnp.maximum(size, jnp.exp(-log_scale)), 1.0))
        log_scale = log_scale + jnp.log(factor)
        return (v / factor[:, None, None], log_scale), jnp.log(jnp.maximum(size / factor, SMALLEST)) + log_scale

    count = len(real)
    start = (jnp.zeros((count, 2, error.shape[1]), error.dtype), jnp.zeros(count, error.dtype))
    sizes = jax.lax.scan(one, start, (exact.slices, replaced.slices, source))[1]
    return jnp.max(sizes.reshape(len(error), len(LOG_RADII), len(ANGLES)), axis=2)


def refined(curve: Float[np.ndarray, "T R"]) -> tuple[Float[np.ndarray, " F"], Float[np.ndarray, "T F"]]:
    """The curve at more radii, and the logarithms of these.

    Args:
        curve: of ``error_curve``.
    """
    slopes = np.diff(curve, axis=1) / np.diff(LOG_RADII)
    flat, steep = np.zeros_like(slopes[:, :1]), np.full_like(slopes[:, :1], np.inf)
    before, after = np.concatenate([flat, slopes[:, :-1]], 1), np.concatenate([slopes[:, 1:], steep], 1)
    radii, values = [LOG_RADII], [curve]
    for part in BETWEEN:
        step = part * np.diff(LOG_RADII)
        rest = (1 - part) * np.diff(LOG_RADII)
        chord = curve[:, :-1] + slopes * step
        right = np.where(np.isfinite(after), curve[:, 1:] - np.where(np.isfinite(after), after, 0.0) * rest, -np.inf)
        least = np.maximum(curve[:, :-1] + before * step, right)
        radii.append(LOG_RADII[:-1] + step)
        values.append((chord + np.minimum(least, chord)) / 2)
    return np.concatenate(radii), np.concatenate(values, axis=1)


def log_error_after(curve: Float[np.ndarray, "T R"], updates: int) -> Float[np.ndarray, " T"]:
    """Logarithm of what theory says is left of the error of every step after so many updates.

    Args:
        curve: of ``error_curve``.
        updates: k.
    """
    left = np.min(curve - updates * LOG_RADII, axis=1)
    # A causal method has the first k states exactly after k updates.
    return np.where(np.arange(len(curve)) < updates, -np.inf, left)


def updates_by_theory(
    curve: Float[np.ndarray, "T R"], log_allowed: float, length: int | None = None
) -> Int[np.ndarray, " T"]:
    """The updates after which all errors up to each step are allowed ones, by theory.

    Args:
        curve: of ``error_curve``.
        log_allowed: logarithm of the error that is allowed.
        length: a longer T, whose count is the last; its curve goes on at the rates of the known one.
    """
    ends = np.arange(1, len(curve) + 1)
    if length is not None and length > len(curve):
        curve, ends = np.concatenate([curve, _continued(curve, length)]), np.append(ends, length)
    radii, values = refined(curve)
    needed = np.ceil(np.min(np.maximum(values - log_allowed, 0.0) / radii, axis=1))
    needed = np.where(np.isnan(needed), np.inf, needed)
    return np.maximum.accumulate(np.minimum(needed, ends)).astype(int)


def _continued(curve: Float[np.ndarray, "T R"], length: int) -> Float[np.ndarray, "1 R"]:
    """The curve at a later step: what grew over the second half goes on growing, and nothing falls."""
    quarter = max(len(curve) // 4, 1)
    late, early = curve[-quarter:], curve[-3 * quarter : -2 * quarter] if len(curve) >= 4 else curve[:1]
    rates = np.maximum(np.mean(late, axis=0) - np.mean(early, axis=0), 0.0) / (2 * quarter)
    return (np.max(late, axis=0) + rates * (length - len(curve)))[None]
