"""Bounds from theory on the singular values of the residual Jacobian, as functions of a few numbers.

Nothing is measured here. Everything works on arrays, under jit and under derivatives, and in logarithms, so that
neither a million steps nor an exponent of 50 overflows. ``sigma_min`` is the smallest singular value of the residual
Jacobian, whose square bounds the PL constant ``mu`` from below; ``sqrt(mu)`` in the paper is ``sigma_min`` here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Number = float | Float[Array, "*shape"]

SERIES_BELOW = 0.03
"""``log((1 - e^-y) / y)`` is summed as a series for y below this, so that its derivative does not cancel."""


class LogBounds(NamedTuple):
    """Natural logarithms of a lower and an upper bound."""

    lower: Float[Array, "*shape"]
    upper: Float[Array, "*shape"]


def log_geometric_sum(log_rate: Number, count: Number) -> Float[Array, "*shape"]:
    """``log(1 + q + ... + q^(n-1))`` with ``q = e^log_rate``, smooth through ``q = 1``.

    Args:
        log_rate: ``log q``, any sign.
        count: n, one or more.

    Source: theorem 2 of the paper, whose bound this is up to the factor a.

    Examples:
        >>> print(round(float(log_geometric_sum(0.0, 8.0)), 4))
        2.0794
    """
    log_rate, count = jnp.asarray(log_rate, jnp.result_type(float)), jnp.asarray(count, jnp.result_type(float))
    rate = jnp.abs(log_rate)
    growth = 0.5 * (log_rate + rate) * (count - 1)  # the positive part, with the slope at zero that the sum has
    return growth + jnp.log(count) + _log_mean_decay(rate * count) - _log_mean_decay(rate)


def _log_mean_decay(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``log((1 - e^-y) / y)`` for y zero or more; 0 at y = 0."""
    near = y < SERIES_BELOW
    series = y * (-1 / 2 + y * (1 / 24 + y**2 * (-1 / 2880)))
    far = jnp.where(near, 1.0, y)
    return jnp.where(near, series, jnp.log(-jnp.expm1(-far)) - jnp.log(far))


@jax.jit
def log_sigma_min_bounds(
    exponent: Number, length: Number, a: Number = 1.0, b: Number = 1.0, block: Number = 1.0
) -> LogBounds:
    """Both bounds of theorem 2 on the smallest singular value of the residual Jacobian.

    With blocks the bounds are those of the block boundaries: T becomes the number of blocks and the exponent that of a
    block; the constants stay. No residual Jacobian has a smallest singular value above one (its determinant is one),
    so the upper bound never exceeds one either.

    Args:
        exponent: largest Lyapunov exponent, in 1/step.
        length: T, number of steps.
        a: regularity constant of the upper envelope ``a e^(exponent k)``, one or more, over all windows.
        b: regularity constant of the lower envelope, positive and at most one, over all windows.
        block: B, steps of a block.

    Returns:
        Logarithms of the bounds; twice them bound ``log mu``.

    Source: theorem 2 and equation 11 of the paper.

    Examples:
        >>> lower, upper = log_sigma_min_bounds(0.0, 100.0, a=2.0)
        >>> print(round(float(jnp.exp(lower)), 4), float(jnp.exp(upper)))
        0.005 1.0
    """
    per_block, blocks = jnp.asarray(exponent) * block, jnp.ceil(jnp.asarray(length) / block)
    lower = -jnp.log(jnp.asarray(a, jnp.result_type(float))) - log_geometric_sum(per_block, blocks)
    upper = -jnp.log(jnp.asarray(b, jnp.result_type(float))) - per_block * (blocks - 1)
    return LogBounds(lower, jnp.minimum(upper, 0.0))


def log_sigma_min_from_norm(rho: Number, length: Number, condition: Number = 1.0) -> Float[Array, "*shape"]:
    """Logarithm of the lower bound that follows from the norms of single Jacobians alone.

    Args:
        rho: largest ``||J_t||``, in a constant or varying metric where one is used; zero or more.
        length: T, number of steps.
        condition: ``kappa_M = sqrt(lambda_max(M) / lambda_min(M))`` of that metric; 1 for the identity.

    Source: equations 21 and 24 and remark 2 of the paper.

    Examples:
        >>> print(round(float(jnp.exp(log_sigma_min_from_norm(0.5, 1000.0))), 4))
        0.5
    """
    rho = jnp.asarray(rho, jnp.result_type(float))
    tiny = jnp.finfo(rho.dtype).tiny
    return -jnp.log(jnp.asarray(condition, rho.dtype)) - log_geometric_sum(jnp.log(jnp.maximum(rho, tiny)), length)


def log_sigma_min_from_growth(log_growth: Float[Array, "*batch T"], condition: Number = 1.0) -> Float[Array, "*batch"]:
    """Logarithm of the lower bound that follows from any bound on products of j Jacobians.

    Args:
        log_growth: ``log g(j)`` with ``||J_(i+j-1) ... J_i|| <= g(j)`` for ``j = 0 .. T - 1`` along the last axis;
            ``g(0)`` is one.
        condition: ``kappa_M`` of the metric in which g bounds the products.

    Source: lemma 1 and remark 2 of the paper.

    Examples:
        >>> print(round(float(jnp.exp(log_sigma_min_from_growth(jnp.zeros(4)))), 4))
        0.25
    """
    return -jnp.log(jnp.asarray(condition, log_growth.dtype)) - jax.nn.logsumexp(log_growth, axis=-1)


def sigma_max_bounds(rho: Number) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Bounds on the largest singular value of the residual Jacobian: one, and ``1 + rho``.

    Args:
        rho: largest ``||J_t||``.

    Source: equations 22 and 23 of the paper.

    Examples:
        >>> lower, upper = sigma_max_bounds(0.5)
        >>> print(float(lower), float(upper))
        1.0 1.5
    """
    rho = jnp.asarray(rho, jnp.result_type(float))
    return jnp.ones_like(rho), 1 + rho


def log_basin_radius(log_sigma_min: Number, lipschitz: Number) -> Float[Array, "*shape"]:
    """Logarithm of ``mu / ell``, the residual norm below which Gauss-Newton converges quadratically.

    Args:
        log_sigma_min: logarithm of the smallest singular value.
        lipschitz: ``ell``, Lipschitz constant of ``J_t`` in the state; zero for a linear system, whose basin is all.

    Source: theorem 5 of the paper.

    Examples:
        >>> print(round(float(jnp.exp(log_basin_radius(jnp.log(0.1), 2.0))), 4))
        0.005
    """
    return 2 * jnp.asarray(log_sigma_min) - jnp.log(jnp.asarray(lipschitz, jnp.result_type(float)))


def sigma_min_near(sigma_min: Number, lipschitz: Number, radius: Number) -> Float[Array, "*shape"]:
    """Lower bound on the smallest singular value at any trajectory within a distance of one where it is known.

    Args:
        sigma_min: smallest singular value where it is known.
        lipschitz: ``ell``, Lipschitz constant of ``J_t`` in the state, and so of the residual Jacobian.
        radius: distance in the Euclidean norm of whole trajectories.

    Source: theorems 3 and 6 of the paper.

    Examples:
        >>> print(round(float(sigma_min_near(0.5, 2.0, 0.1)), 4))
        0.3
    """
    return jnp.maximum(jnp.asarray(sigma_min) - jnp.asarray(lipschitz) * radius, 0.0)
