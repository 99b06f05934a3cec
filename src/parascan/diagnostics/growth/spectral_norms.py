"""Largest singular values of many matrices at once: of stored ones, and of ones known by their products."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SQUARINGS = 12
"""Number of times that a Gram matrix is squared: the norm is then right to ``EXACTNESS`` for any singular values."""

EXACTNESS = 1e-4
"""Largest relative error of the norm of a stored matrix: ``r^p (1 - r) / 2 <= 1 / (2 e p)`` with ``p = 2^12``."""

LANCZOS_STEPS = 12
"""Steps of bidiagonalization for a matrix that is not stored; each takes a product and a transposed one."""


def stored_norms(matrices: Float[Array, "*batch M N"]) -> Float[Array, "*batch"]:
    """Spectral norms from below, by repeated squaring of the Gram matrix and a Rayleigh quotient.

    An SVD of each of many small matrices costs a hundred times as much.
    """
    largest = jnp.max(jnp.abs(matrices), axis=(-1, -2))
    image = jnp.einsum("...mi,...i->...m", _scaled(matrices), leading_vectors(matrices))
    return jnp.sqrt(jnp.sum(image**2, axis=-1)) * largest


def leading_vectors(matrices: Float[Array, "*batch M N"]) -> Float[Array, "*batch N"]:
    """Unit vectors that the matrices stretch most."""
    scaled = _scaled(matrices)

    def square(_: int, power: Array) -> Array:
        return _scaled(jnp.einsum("...ij,...jk->...ik", power, power))

    power = jax.lax.fori_loop(0, SQUARINGS, square, _scaled(jnp.einsum("...mi,...mj->...ij", scaled, scaled)))
    # All columns lean towards the leading vector; the longest has lost least to rounding.
    column = jnp.argmax(jnp.sum(power**2, axis=-2), axis=-1)
    vector = jnp.take_along_axis(power, column[..., None, None], axis=-1)[..., 0]
    length = jnp.sqrt(jnp.sum(vector**2, axis=-1, keepdims=True))
    return vector / jnp.where(length > 0, length, 1)


def _scaled(matrices: Float[Array, "*batch M N"]) -> Float[Array, "*batch M N"]:
    """The matrices with a largest entry of one; zero stays zero."""
    largest = jnp.max(jnp.abs(matrices), axis=(-1, -2), keepdims=True)
    return matrices / jnp.where(largest > 0, largest, 1)


def norms_of_products(
    push: Callable[[Array], Array], pull: Callable[[Array], Array], start: Float[Array, "D n"]
) -> Float[Array, " n"]:
    """Lower bounds on spectral norms, by Golub and Kahan's bidiagonalization, from products alone.

    Args:
        push: ``v -> J v`` in every place.
        pull: ``u -> J^T u``.
        start: random vectors.
    """

    def unit(vector: Array) -> tuple[Array, Array]:
        norm = jnp.sqrt(jnp.sum(vector**2, axis=0))
        return jnp.where(norm > 0, vector / jnp.where(norm > 0, norm, 1), 0), norm

    def one(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        v, u, beta = carry
        u, alpha = unit(push(v) - beta * u)
        v, beta = unit(pull(u) - alpha * v)
        return (v, u, beta), (alpha, beta)

    first = unit(start)[0]
    image = jax.eval_shape(push, first)
    begin = (first, jnp.zeros(image.shape, image.dtype), jnp.zeros_like(first[0]))
    alphas, betas = jax.lax.scan(one, begin, None, min(LANCZOS_STEPS, start.shape[0]))[1]
    alphas, betas = alphas.T, betas.T
    steps = alphas.shape[1]
    bidiagonal = alphas[:, :, None] * jnp.eye(steps, dtype=alphas.dtype)
    bidiagonal = bidiagonal + betas[:, :, None] * jnp.eye(steps, k=1, dtype=alphas.dtype)
    return stored_norms(bidiagonal)


def shortfall(size: int, level: float) -> float:
    """Part by which the largest eigenvalue of ``J^T J`` may be larger than the one found from a random start.

    Kuczynski and Wozniakowski 1992, theorem 4.2: Lanczos misses by more than the part e with a probability of at most
    ``1.648 sqrt(D) exp(-sqrt(e) (2 q - 1))`` after q steps.

    Args:
        size: D.
        level: probability that the bound should hold with.
    """
    steps = min(LANCZOS_STEPS, size)
    if steps == size:
        return 2 * EXACTNESS
    return min((math.log(1.648 * size**0.5 / (1 - level)) / (2 * steps - 1)) ** 2, 1.0)
