"""Extreme singular values of a residual Jacobian by Lanczos iterations on products and solves; no matrix is formed.

The largest eigenvalue of ``J^T J`` gives the largest singular value of J, that of ``J^-1 J^-T`` the smallest. A Ritz
value never exceeds the eigenvalue it approaches; for a random start the distance to it is bounded with a stated
probability whatever the spectrum (Kuczynski and Wozniakowski 1992), which fixes the number of iterations in advance.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ...linear import AbstractTransition, Bidiagonal
from ...programs.hashed_keys import hashed
from ...solution import Trajectory
from ..estimate import Estimate

Operator = Callable[[Trajectory], tuple[Trajectory, Int[Array, ""]]]
"""``v -> (w, e)`` with ``w 2^e`` a symmetric, positive map of v."""

ROUNDING = 32
"""Units of rounding by which intervals are widened on either side."""

ASSUMPTIONS = ("exact arithmetic up to rounding in the products and solves of a Lanczos iteration",)


class Extremes(eqx.Module):
    """The ends of the spectrum of singular values.

    Attributes:
        sigma_max: the largest.
        log_sigma_min: natural logarithm of the smallest.
    """

    sigma_max: Estimate
    log_sigma_min: Estimate


def extreme_singular_values(
    transition: AbstractTransition, key: Key[Array, ""], accuracy: float = 0.02, level: float = 0.99
) -> Extremes:
    """The largest and smallest singular value of the residual Jacobian of a transition.

    Takes ``lanczos_steps(...)`` times two products and two linear recurrences, and the memory of a few trajectories.
    Where the inverse leaves the range of the dtype, as it does on long unpredictable systems, the recurrences carry
    powers of two beside their rows and run one step after the other.

    Args:
        transition: ``A_1 .. A_T``.
        key: random key of the start vectors.
        accuracy: largest relative error of either singular value, between 0 and 1.
        level: probability with which that accuracy is reached, between 0 and 1.
    """
    count = transition.length * transition.size
    steps = lanczos_steps(count, accuracy, level)
    system = Bidiagonal(transition)
    starts = jax.random.normal(hashed(key), (2, transition.length, transition.size), transition.dtype)
    largest = largest_eigenvalue(
        lambda v: (system.transposed_mv(system.mv(v)), jnp.zeros((), jnp.int32)), starts[0], steps
    )
    smallest = _inverse_lanczos(system, starts[1], steps)
    # Lanczos iterations are exact once they span the whole space.
    margin = 0.0 if steps >= count else -math.log1p(-accuracy)
    finite = jnp.all(jnp.isfinite(transition.apply(jnp.ones_like(starts[0]))))
    slack = ROUNDING * float(jnp.finfo(transition.dtype).eps)

    def estimate(low: Array, value: Array, high: Array, worst: tuple[float, float], place: str) -> Estimate:
        known = finite & jnp.isfinite(value)
        low, high = jnp.where(known, low, worst[0]), jnp.where(known, high, worst[1])
        method = f"Lanczos on {place}, {steps} iterations"
        return Estimate(jnp.where(known, value, jnp.nan), low, high, method, level=level, assumptions=ASSUMPTIONS)

    top, bottom = 0.5 * largest, -0.5 * smallest
    sigma_max = estimate(
        jnp.maximum(jnp.exp(top) * (1 - slack), 1.0),
        jnp.maximum(jnp.exp(top), 1.0),
        jnp.exp(top + margin) * (1 + slack),
        (1.0, jnp.inf),
        "the residual Jacobian",
    )
    log_sigma_min = estimate(
        jnp.minimum(bottom - margin, 0.0) - slack * (1 + jnp.abs(bottom)),
        jnp.minimum(bottom, 0.0),
        jnp.minimum(bottom + slack * (1 + jnp.abs(bottom)), 0.0),
        (-jnp.inf, 0.0),
        "the inverse of the residual Jacobian",
    )
    return Extremes(sigma_max, log_sigma_min)


def lanczos_steps(count: int, accuracy: float, level: float) -> int:
    """Iterations that find the largest singular value of a map to a relative accuracy from a random start.

    Args:
        count: number of entries of a vector.
        accuracy: largest relative error, between 0 and 1.
        level: probability with which it is reached, between 0 and 1.

    Source: Kuczynski and Wozniakowski 1992, theorem 4.2: an eigenvalue is missed by more than its share ``e`` with a
    probability of at most ``1.648 sqrt(n) exp(-sqrt(e) (2 k - 1))``.

    Examples:
        >>> lanczos_steps(10**6, 0.02, 0.99)
        31
    """
    share = 1 - (1 - accuracy) ** 2
    needed = 0.5 + math.log(1.648 * math.sqrt(count) / (1 - level)) / (2 * math.sqrt(share))
    return max(1, min(count, math.ceil(needed)))


def _inverse_lanczos(system: Bidiagonal, start: Trajectory, steps: int) -> Float[Array, ""]:
    """Logarithm of the largest eigenvalue of ``J^-1 J^-T``."""

    def plain(v: Trajectory) -> tuple[Trajectory, Int[Array, ""]]:
        return system.solve(system.transposed_solve(v)), jnp.zeros((), jnp.int32)

    def scaled(v: Trajectory) -> tuple[Trajectory, Int[Array, ""]]:
        w, first = scaled_solve(system.transition, v, transpose=True)
        w, second = scaled_solve(system.transition, w, transpose=False)
        return w, first + second

    image = jnp.max(jnp.abs(plain(start)[0]))
    moderate = image < float(jnp.finfo(start.dtype).max) ** 0.25
    return jax.lax.cond(
        moderate, lambda: largest_eigenvalue(plain, start, steps), lambda: largest_eigenvalue(scaled, start, steps)
    )


def scaled_solve(
    transition: AbstractTransition, b: Trajectory, *, transpose: bool
) -> tuple[Trajectory, Int[Array, ""]]:
    """``(y, e)`` such that ``y 2^e`` solves the recurrence, or the transposed one, however much it grows.

    Depth T. Rows that are smaller than the largest by more than the range of the dtype come out as zero.

    Args:
        transition: ``A_1 .. A_T``.
        b: right-hand side ``[T D]``.
        transpose: whether to solve the transposed recurrence.
    """
    multiply = transition.transposed_product if transpose else transition.product
    last = len(b) - 1

    def step(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        state, exponent = carry
        joining = jnp.minimum(k + 1, last) if transpose else k
        arriving = multiply(transition.row(joining), state)
        arriving = jnp.where(k == (last if transpose else 0), jnp.zeros_like(state), arriving)
        state = arriving + jnp.ldexp(b[k], -exponent)
        grown = jnp.frexp(jnp.max(jnp.abs(state)))[1]
        # Exponents never fall below zero: what shrinks may underflow, as it does in any solve.
        shift = jnp.maximum(grown, -exponent)
        state, exponent = jnp.ldexp(state, -shift), exponent + shift
        return (state, exponent), (state, exponent)

    start = (jnp.zeros_like(b[0]), jnp.zeros((), jnp.int32))
    states, exponents = jax.lax.scan(step, start, jnp.arange(last + 1), reverse=transpose)[1]
    most = jnp.max(exponents)
    return jnp.ldexp(states, (exponents - most)[:, None]), most


def largest_eigenvalue(apply: Operator, start: Trajectory, steps: int) -> Float[Array, ""]:
    """Logarithm of the largest Ritz value; without reorthogonalization, which only repeats values already found.

    Args:
        apply: the symmetric, positive map.
        start: a random vector.
        steps: iterations, such as ``lanczos_steps`` gives.
    """
    tiny = float(jnp.finfo(start.dtype).eps)
    unit = start / jnp.linalg.norm(start)
    reference = apply(unit)[1]

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        before, v, beta = carry
        image, exponent = apply(v)
        w = jnp.ldexp(image, exponent - reference) - beta * before
        alpha = jnp.vdot(w, v)
        w = w - alpha * v
        size = jnp.linalg.norm(w)
        # Nothing is left once the Krylov space is invariant; its noise would only repeat what is known.
        size = jnp.where(size > tiny * jnp.abs(alpha), size, 0.0)
        following = jnp.where(size > 0, w / jnp.where(size > 0, size, 1.0), 0.0)
        return (v, following, size), (alpha, size)

    first = (jnp.zeros_like(unit), unit, jnp.zeros((), start.dtype))
    alphas, betas = jax.lax.scan(step, first, None, length=steps)[1]
    between = betas[:-1]
    ritz = jnp.linalg.eigvalsh(jnp.diag(alphas) + jnp.diag(between, 1) + jnp.diag(between, -1))
    return jnp.log(ritz[-1]) + reference * math.log(2.0)
