"""Bounds from theory on the convergence of Gauss-Newton, as functions of a few numbers.

Bounds are in logarithms and hold for ``||e_i||``, the error of the i-th iterate over the whole trajectory. In two
formulas the paper has the logarithm of beta in the wrong place; they are given here as their derivation has them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..conditioning.bounds import Number


class Condition(eqx.Module):
    """Whether a sufficient condition holds, with its two sides: it does where ``value <= threshold``.

    Attributes:
        holds: whether it holds.
        value: the side that must be small.
        threshold: what it must not exceed.
        source: where the condition stands.
    """

    holds: Bool[Array, "*shape"]
    value: Float[Array, "*shape"]
    threshold: Float[Array, "*shape"]
    source: str = eqx.field(static=True)

    def __str__(self) -> str:
        verdict = "holds" if bool(jnp.all(self.holds)) else "does not hold"
        return f"{self.source} {verdict}: {self.value} <= {self.threshold}"


def log_weight(beta: Number, exponent: Number, a: Number, rho: Number) -> Float[Array, "*shape"]:
    """``log w`` of the weighted norm in which Gauss-Newton contracts by ``beta`` in every iteration, at most 0.

    Args:
        beta: rate of contraction, between 0 and 1.
        exponent: largest Lyapunov exponent, in 1/step.
        a: regularity constant of the upper envelope.
        rho: largest ``||J_t||`` over all states that the iterations visit.

    Source: equation 31 of the paper.
    """
    exponent, a, rho = (jnp.asarray(x, jnp.result_type(float)) for x in (exponent, a, rho))
    log_beta = jnp.log(jnp.asarray(beta, jnp.result_type(float)))
    denominator = jnp.logaddexp(jnp.log(2 * rho * a), log_beta + exponent)
    return jnp.minimum(log_beta - denominator, 0.0)


def log_error_bound(
    iterations: Number, length: Number, beta: Number, exponent: Number, a: Number, rho: Number
) -> Float[Array, "*shape"]:
    """Logarithm of the bound on ``||e_i|| / ||e_0||`` after i iterations of Gauss-Newton.

    Args:
        iterations: i.
        length: T, number of steps.
        beta: rate of contraction in the weighted norm, any number between 0 and 1.
        exponent: largest Lyapunov exponent, in 1/step.
        a: regularity constant of the upper envelope.
        rho: largest ``||J_t||`` over all states that the iterations visit.

    Source: theorem 4, equation 33 of the paper.

    Examples:
        >>> print(round(float(log_error_bound(3.0, 100.0, 0.5, -2.0, 1.0, 0.1)), 4))
        -2.0794
    """
    return jnp.asarray(iterations) * jnp.log(jnp.asarray(beta)) - length * log_weight(beta, exponent, a, rho)


def strongly_contracting(exponent: Number, beta: Number) -> Condition:
    """Whether a system that contracts by ``e^exponent`` in every step converges at rate ``beta`` without overshoot.

    Args:
        exponent: logarithm of the largest ``||J_t||``, in a constant metric where one is used; this is the exponent of
            a system with a = 1.
        beta: rate asked for, between 0 and 1.

    Source: remark 5 of the paper, and the corollary in its appendix F.

    Examples:
        >>> bool(strongly_contracting(-1.5, 0.6).holds)
        True
    """
    beta = jnp.asarray(beta, jnp.result_type(float))
    value, threshold = jnp.asarray(exponent, beta.dtype), jnp.log(beta / (2 + beta))
    return Condition(value <= threshold, value, threshold, "remark 5")


def converges_globally(log_one_step: Number, log_sensitivity: Number, beta: Number) -> Condition:
    """Whether Gauss-Newton converges from anywhere at rate ``beta``: ``2 g(1) G(T) <= beta``, stated in logarithms.

    Args:
        log_one_step: ``log g(1)``, logarithm of the bound on one Jacobian.
        log_sensitivity: ``log G(T)``, logarithm of the bound on the inverse residual Jacobian, such as minus a bound of
            ``bounds``.
        beta: rate asked for, between 0 and 1.

    Source: theorem in appendix F of the paper.

    Examples:
        >>> from parascan.diagnostics.conditioning.bounds import log_geometric_sum
        >>> bool(converges_globally(jnp.log(0.1), log_geometric_sum(jnp.log(0.1), 100.0), 0.5).holds)
        True
    """
    threshold = jnp.log(jnp.asarray(beta, jnp.result_type(float)))
    value = jnp.log(2.0) + jnp.asarray(log_one_step, threshold.dtype) + jnp.asarray(log_sensitivity)
    return Condition(value <= threshold, value, threshold, "appendix F")


def iterations_to_basin(
    beta: Number, exponent: Number, error: Number, lipschitz: Number, log_mu: Number
) -> Float[Array, "*shape"]:
    """``k_Q``, iterations until Gauss-Newton converges quadratically, for strongly contracting systems.

    Args:
        beta: rate of contraction, between 0 and 1.
        exponent: logarithm of the largest ``||J_t||``.
        error: ``||e_0||``, error of the guess over the whole trajectory.
        lipschitz: ``ell``, Lipschitz constant of ``J_t`` in the state.
        log_mu: logarithm of the PL constant.

    Source: appendix F of the paper: ``log(e^exponent ||e_0|| ell / mu) / log(1 / beta)``.

    Examples:
        >>> print(round(float(iterations_to_basin(0.5, 0.0, 1.0, 8.0, 0.0)), 4))
        3.0
    """
    distance = jnp.asarray(exponent) + jnp.log(jnp.asarray(error)) + jnp.log(jnp.asarray(lipschitz)) - log_mu
    return jnp.maximum(distance, 0.0) / -jnp.log(jnp.asarray(beta, jnp.result_type(float)))


def two_phase_iterations(
    beta: Number, overshoot: Number, residual: Number, lipschitz: Number, log_mu: Number, last: Number = 2.0
) -> Float[Array, "*shape"]:
    """Iterations of Gauss-Newton by the two-phase model: a linear approach to the basin, then one or two.

    A model of what is observed, not a bound: beta and the overshoot are taken not to depend on T.

    Args:
        beta: rate of the first phase, between 0 and 1.
        overshoot: ``chi``, one or more.
        residual: ``||r_0||``, residual of the guess.
        lipschitz: ``ell``, Lipschitz constant of ``J_t`` in the state.
        log_mu: logarithm of the PL constant.
        last: iterations of the second phase, one or two.

    Source: appendix J.1, equation 37 of the paper: ``log(chi ell ||r_0|| / mu) / log(1 / beta)``.

    Examples:
        >>> print(round(float(two_phase_iterations(0.5, 1.0, 1.0, 8.0, 0.0)), 4))
        5.0
    """
    distance = jnp.log(jnp.asarray(overshoot)) + jnp.log(jnp.asarray(residual)) + jnp.log(jnp.asarray(lipschitz))
    rate = -jnp.log(jnp.asarray(beta, jnp.result_type(float)))
    return jnp.maximum(distance - log_mu, 0.0) / rate + last


@jax.jit
def descent_iterations(residual: Number, log_mu: Number) -> Float[Array, "*shape"]:
    """Order of the number of gradient descent steps to the basin, ``(1 / mu) log(||r_0|| / mu)``; infinite on overflow.

    Args:
        residual: ``||r_0||``, residual of the guess.
        log_mu: logarithm of the PL constant.

    Source: equation 35 of the paper.

    Examples:
        >>> print(round(float(descent_iterations(1.0, -1.0)), 4))
        2.7183
    """
    log_mu = jnp.asarray(log_mu, jnp.result_type(float))
    return jnp.exp(-log_mu) * jnp.maximum(jnp.log(jnp.asarray(residual)) - log_mu, 0.0)
