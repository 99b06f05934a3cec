"""Spectral norms of products of consecutive Jacobians, ``||J_{t+k-1} ... J_t||``, for many windows (t, k) at once."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from .paths import Paths
from .side_by_side import SideBySideStep
from .spectral_norms import stored_norms

STORED_SIZE = 16
"""Largest D for which products of Jacobians are stored; they come from D vectors pushed from every first step."""

LENGTHS_PER_OCTAVE = 3
"""Number of window lengths between one length and its double."""

POWER_STEPS = 5
"""Power iterations for each length, each a product with a window and its transpose, where products are not stored."""


def log_norms(
    paths: Paths, starts: np.ndarray, lengths: np.ndarray, key: Key[Array, ""], *, stored: bool | None = None
) -> Float[Array, "m n"]:
    """Logarithms of the norms of windows; NaN where one goes beyond the end of its path.

    Stored products give them up to rounding; else they are lower bounds, found by power iterations in which every
    length starts from the vector that the length before it grows most.

    Args:
        paths: where the Jacobians are taken.
        starts: flat indices of first steps ``[n]``.
        lengths: numbers of steps in ascending order ``[m]``.
        key: of the vectors that power iterations start from.
        stored: whether to store products, for D up to ``STORED_SIZE`` when None.
    """
    stored = paths.size <= STORED_SIZE if stored is None else stored
    norms = _by_storing if stored else _by_power
    inside = starts % paths.length + lengths[:, None] <= paths.length
    return jnp.where(jnp.asarray(inside), norms(paths, jnp.asarray(starts), jnp.asarray(lengths), key), jnp.nan)


def geometric(longest: int) -> np.ndarray:
    """Lengths from one to the longest, as many in every octave.

    Args:
        longest: one or more.
    """
    exponents = np.arange(0, np.log2(longest) + 1e-9, 1 / LENGTHS_PER_OCTAVE)
    return np.unique(np.append(np.floor(2**exponents).astype(int), longest))


def products_needed(size: int, starts: int, lengths: np.ndarray, *, stored: bool | None = None) -> int:
    """Jacobian-vector products that ``log_norms`` takes, transposed ones included."""
    if size <= STORED_SIZE if stored is None else stored:
        return size * starts * int(lengths[-1])
    return 2 * POWER_STEPS * starts * int(lengths.sum())


def _by_storing(paths: Paths, starts: Array, lengths: Array, key: Key[Array, ""]) -> Float[Array, "m n"]:
    """Norms of matrices that grow step by step."""
    del key
    step, size = SideBySideStep(paths.advance), paths.size

    def grow(row: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        matrix, log_scale = carry
        matrix = step.push(*paths.at(starts + row), matrix)
        scale = jnp.max(jnp.abs(matrix), axis=(0, 1))
        return matrix / jnp.where(scale > 0, scale, 1), log_scale + jnp.log(scale)

    def to_length(carry: tuple[Array, Array], ends: Array) -> tuple[tuple[Array, Array], Array]:
        matrix, log_scale = jax.lax.fori_loop(ends[0], ends[1], grow, carry)
        return (matrix, log_scale), jnp.log(stored_norms(jnp.moveaxis(matrix, -1, 0))) + log_scale

    eye = jnp.eye(size, dtype=paths.before.dtype)
    start = (
        jnp.broadcast_to(eye[..., None], (size, size, len(starts))),
        jnp.zeros(len(starts), eye.dtype),
    )
    ends = jnp.stack([jnp.concatenate([jnp.zeros_like(lengths[:1]), lengths[:-1]]), lengths], axis=1)
    return jax.lax.scan(to_length, start, ends)[1]


def _by_power(paths: Paths, starts: Array, lengths: Array, key: Key[Array, ""]) -> Float[Array, "m n"]:
    """Lower bounds by products with a window and its transpose in turn."""
    step = SideBySideStep(paths.advance)

    def unit(vector: Array) -> tuple[Array, Array]:
        norm = jnp.sqrt(jnp.sum(vector**2, axis=0))
        return vector / jnp.where(norm > 0, norm, 1), norm

    def forward(row: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        vector, norm = unit(step.push(*paths.at(starts + row), carry[0]))
        return vector, carry[1] + jnp.log(norm)

    def of_length(vector: Array, length: Array) -> tuple[Array, Array]:
        def backward(row: Array, vector: Array) -> Array:
            return unit(step.pull(*paths.at(starts + length - 1 - row), vector))[0]

        def iterate(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
            image, log_norm = jax.lax.fori_loop(0, length, forward, (carry[0], jnp.zeros_like(carry[1])))
            return (jax.lax.fori_loop(0, length, backward, image), jnp.maximum(log_norm, carry[1])), None

        begin = (vector, jnp.full_like(vector[0], -jnp.inf))
        return jax.lax.scan(iterate, begin, None, POWER_STEPS)[0]

    start = unit(jax.random.normal(key, (paths.size, len(starts)), paths.before.dtype))[0]
    return jax.lax.scan(of_length, start, lengths)[1]
