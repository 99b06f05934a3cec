"""How small random errors of single steps grow or fade along a trajectory: the spread of their sum at each step."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ...linear import (
    AbstractTransition,
    Bidiagonal,
    DenseTransition,
    DiagonalTransition,
    MatrixFreeTransition,
    ZeroTransition,
    linear_recurrence,
)
from ...solution import Trajectory

EXACT_SIZE = 8
"""Largest D for which whole covariances are computed; beyond it their traces are estimated from random probes."""

PROBES = 16
"""Random right-hand sides of an estimated trace, whose square root is then right to about 18 percent."""

FIRST = 4
"""Number of first steps whose rounding errors are taken as typical."""

COHERENT_PROBES = 4
"""Number of right-hand sides whose signs stay the same over time."""


class Sandwich(eqx.Module):
    """``A P A^T`` for flat matrices P."""

    size: int = eqx.field(static=True)

    def __call__(self, matrix: Float[Array, "D D"], v: Float[Array, " DD"]) -> Float[Array, " DD"]:
        """The product."""
        covariance = v.reshape(self.size, self.size)
        return jnp.matmul(jnp.matmul(matrix, covariance, precision="highest"), matrix.T, precision="highest").ravel()


def independent_spread(transition: AbstractTransition, errors: Trajectory, key: Key[Array, ""]) -> Float[Array, " T"]:
    """Root mean square norm of ``J^-1 e`` at each step, for independent entries of e with given standard deviations.

    Exact by one recurrence of covariances for small D and for diagonal matrices, else estimated by 16 random
    right-hand sides of one linear recurrence.

    Args:
        transition: ``A_1 .. A_T``.
        errors: standard deviations of the errors of single steps ``[T D]``.
        key: random key of the probes.
    """
    scale, scaled = brought_to_range(errors)
    if isinstance(transition, ZeroTransition):
        squares = jnp.sum(scaled**2, axis=1)
    elif isinstance(transition, DiagonalTransition):
        squares = jnp.sum(linear_recurrence(DiagonalTransition(transition.diagonal**2), scaled**2), axis=1)
    elif isinstance(transition, DenseTransition) and transition.size <= EXACT_SIZE:
        squares = _traces(transition, scaled)
    else:
        signs = jax.random.rademacher(key, (PROBES, *errors.shape), errors.dtype)
        squares = jnp.mean(jnp.sum(jax.vmap(Bidiagonal(transition).solve)(signs * scaled) ** 2, axis=2), axis=0)
    return scale * (jnp.sqrt(jnp.maximum(squares, 0.0)) + float(jnp.finfo(errors.dtype).tiny) ** 0.5)


def _traces(transition: DenseTransition, errors: Trajectory) -> Float[Array, " T"]:
    """Traces of the covariances ``P_t = A_t P_{t-1} A_t^T + diag(e_t^2)``."""
    size = transition.size
    sources = jax.vmap(jnp.diag)(errors**2).reshape(transition.length, size * size)
    products = MatrixFreeTransition(Sandwich(size), transition.matrices, size * size)
    covariances = linear_recurrence(products, sources)
    return jnp.sum(covariances[:, :: size + 1], axis=1)


def coherent_spread(transition: AbstractTransition, errors: Trajectory, key: Key[Array, ""]) -> Float[Array, " T"]:
    """Root mean square norm of ``J^-1 e`` at each step, for errors whose entries keep one unknown sign over all steps.

    Args:
        transition: ``A_1 .. A_T``.
        errors: sizes of the errors of single steps ``[T D]``.
        key: random key of the signs.
    """
    count = 1 if transition.size == 1 else COHERENT_PROBES
    signs = jax.random.rademacher(key, (count, 1, transition.size), errors.dtype)
    scale, scaled = brought_to_range(errors)
    solutions = jax.vmap(Bidiagonal(transition).solve)(signs * scaled)
    return scale * jnp.sqrt(jnp.mean(jnp.sum(solutions**2, axis=2), axis=0))


def brought_to_range(errors: Trajectory) -> tuple[Float[Array, ""], Trajectory]:
    """A scale, and errors in units of it whose squares neither overflow nor vanish near the start.

    The scale lies between the errors of the first steps, which belong to the true trajectory whatever the rest is, and
    the largest. Errors beyond the range that squares have from there are infinite.

    Args:
        errors: sizes ``[T D]``, finite and zero or more.
    """
    numbers = jnp.finfo(errors.dtype)
    positive = jnp.min(jnp.where(errors > 0, errors, jnp.inf), initial=jnp.inf)
    first = jnp.max(errors[:FIRST])
    first = jnp.where(first > 0, first, jnp.where(jnp.isfinite(positive), positive, 1.0))
    most = float(numbers.max) ** 0.75
    ratios = errors / first
    largest = jnp.max(jnp.where(ratios <= most, ratios, 0.0), initial=1.0)
    scale = first * jnp.sqrt(largest)
    return scale, jnp.where(ratios <= most, errors / scale, jnp.inf)
