"""Proven bounds on the largest singular value of a matrix, and matrices made orthogonal."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Matrix = Float[Array, "D D"]

SQUARINGS = 6
"""Number n of squarings: the bound is at most ``D^(1 / 2^(n + 2))`` times the norm, 1.8 percent above it at D = 100."""

ORTHOGONALIZATIONS = 12
"""Steps of Bjorck's iteration; each makes a small singular value half as large again, and squares a small defect."""


def norm_bound(matrix: Float[Array, "M N"]) -> Float[Array, ""]:
    """An upper bound on a matrix's largest singular value, rounding included.

    Power iteration on all vectors at once: ``||W||^(2 p) = ||(W^T W)^p||``, bounded by the Frobenius norm and by the
    largest row sum of a power that repeated squaring reaches. Every such bound holds, a higher power is closer. A
    plain power iteration approaches the norm from below, which certifies nothing.

    Args:
        matrix: W.

    Source: Gram iteration, Delattre et al. 2023.
    """
    tiny = jnp.finfo(matrix.dtype).tiny
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(matrix)))
    unit = jnp.where(largest > 0, largest, 1)
    scaled = matrix / unit
    gram, power = _product(scaled.T, scaled), 2
    logarithm = jnp.zeros((), matrix.dtype)
    for _ in range(SQUARINGS):
        peak = jax.lax.stop_gradient(jnp.max(jnp.abs(gram)))
        peak = jnp.where(peak > 0, peak, 1)
        gram = _product(gram / peak, gram / peak)
        logarithm, power = 2 * (logarithm + jnp.log(peak)), 2 * power
    frobenius = jnp.sqrt(jnp.maximum(jnp.sum(gram**2), tiny))
    row_sum = jnp.max(jnp.sum(jnp.abs(gram), axis=1))
    bound = jnp.exp((logarithm + jnp.log(jnp.maximum(jnp.minimum(frobenius, row_sum), tiny))) / power)
    # The products round by at most D eps ||W||_F^2 each, and each root halves what came before.
    size = max(matrix.shape)
    rank = jax.lax.stop_gradient(jnp.sum(scaled**2) / jnp.maximum(bound**2, tiny))
    margin = jnp.finfo(matrix.dtype).eps * (size * rank + 8)
    return unit * bound * (1 + margin)


def within(matrix: Matrix, rate: Float[Array, ""]) -> Matrix:
    """The matrix, shrunk where its norm might be above ``rate``."""
    return matrix * (rate / jnp.maximum(norm_bound(matrix), rate))


def cayley(raw: Matrix) -> Matrix:
    """An orthogonal matrix from any one: ``(I + A)^-1 (I - A)`` with ``A = V - V^T``.

    Source: Cayley 1846; Helfrich et al. 2018 for its use in recurrent networks.
    """
    identity = jnp.eye(len(raw), dtype=raw.dtype)
    skew = raw - raw.T
    return jnp.linalg.solve(identity + skew, identity - skew)


def bjorck(raw: Matrix) -> Matrix:
    """The nearly orthogonal matrix that ``V <- 3/2 V - 1/2 V V^T V`` leads to, from a V of norm one at most.

    Singular values in [0, 1] stay there and move toward one, so that the norm is bounded after any number of steps.

    Source: Bjorck and Bowie 1971; Anil et al. 2019.
    """
    matrix = raw / jnp.maximum(norm_bound(raw), jnp.finfo(raw.dtype).tiny)
    for _ in range(ORTHOGONALIZATIONS):
        matrix = 1.5 * matrix - 0.5 * _product(_product(matrix, matrix.T), matrix)
    return matrix


def _product(first: Array, second: Array) -> Array:
    """A product in the full precision of the dtype."""
    return jnp.matmul(first, second, precision="highest")
