"""Recurrent weights whose norm stays within a rate whatever values training gives to their parameters."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..problem.arguments import check_counts
from ._cell import resolve_dtype, uniform
from ._spectral import bjorck, cayley, within

Matrix = Float[Array, "D D"]
Rate = Float[Array, ""]


class AbstractWeight(eqx.Module):
    """A parameterization of matrices of bounded norm."""

    @abc.abstractmethod
    def bounded(self, rate: Rate) -> Float[Array, "D *D"]:
        """A matrix ``[D, D]``, or the diagonal ``[D]`` of one, of norm ``rate`` at most."""


class DiagonalWeight(AbstractWeight):
    """``rate tanh(b)`` on the diagonal, nothing beside it: the paper's scalar model for each entry.

    The Jacobian of the cell is then diagonal, which ``deer()`` finds and uses.

    Args:
        size: D.
        dtype: floating dtype; JAX's default when None.
        key: random key of ``b``, standard normal.

    Source: appendix I of the paper.
    """

    raw: Float[Array, " D"]

    def __init__(self, size: int, *, dtype: Any = None, key: PRNGKeyArray) -> None:
        check_counts(size=size)
        self.raw = jax.random.normal(key, (size,), resolve_dtype(dtype))

    def bounded(self, rate: Rate) -> Float[Array, " D"]:
        """The diagonal."""
        return rate * jnp.tanh(self.raw)


class ScaledWeight(AbstractWeight):
    """Any matrix, shrunk to the rate where a certified upper bound of its norm is above it.

    Reaches every matrix whose norm is within the rate (up to the two percent that the bound may be too high). Work of
    some 14 ``D^3`` a call of the layer, not a step.

    Args:
        size: D.
        dtype: floating dtype; JAX's default when None.
        key: random key of the entries, uniform within ``1 / sqrt(D)``.

    Source: appendix I of the paper; Gouk et al. 2021 for scaling by the norm; Delattre et al. 2023 for the bound.
    """

    raw: Matrix

    def __init__(self, size: int, *, dtype: Any = None, key: PRNGKeyArray) -> None:
        check_counts(size=size)
        self.raw = uniform(key, (size, size), size, dtype)

    def bounded(self, rate: Rate) -> Matrix:
        """The matrix."""
        return within(self.raw, rate)


class OrthogonalDiagonalWeight(AbstractWeight):
    """``rate U diag(tanh(b)) V`` with orthogonal U and V by Cayley's transform: a singular value decomposition.

    Reaches every matrix within the rate, with its singular values as parameters.

    Args:
        size: D.
        dtype: floating dtype; JAX's default when None.
        key: random key of U, V and ``b``.

    Source: Zhang et al. 2018 (spectral parameterization), with Cayley's transform in place of reflections.
    """

    left: Matrix
    right: Matrix
    raw: Float[Array, " D"]

    def __init__(self, size: int, *, dtype: Any = None, key: PRNGKeyArray) -> None:
        check_counts(size=size)
        keys = jax.random.split(key, 3)
        self.left, self.right = (uniform(k, (size, size), size, dtype) for k in keys[:2])
        self.raw = jax.random.normal(keys[2], (size,), resolve_dtype(dtype))

    def bounded(self, rate: Rate) -> Matrix:
        """The matrix."""
        return within((cayley(self.left) * (rate * jnp.tanh(self.raw))) @ cayley(self.right), rate)


class CayleyWeight(AbstractWeight):
    """``rate`` times an orthogonal matrix: every direction is forgotten at the same pace, none faster.

    Args:
        size: D.
        dtype: floating dtype; JAX's default when None.
        key: random key of the entries, uniform within ``1 / sqrt(D)``.

    Source: Helfrich et al. 2018.
    """

    raw: Matrix

    def __init__(self, size: int, *, dtype: Any = None, key: PRNGKeyArray) -> None:
        check_counts(size=size)
        self.raw = uniform(key, (size, size), size, dtype)

    def bounded(self, rate: Rate) -> Matrix:
        """The matrix."""
        return within(rate * cayley(self.raw), rate)


class BjorckWeight(AbstractWeight):
    """``rate`` times a matrix that Bjorck's iteration has made nearly orthogonal, without a linear solve.

    Args:
        size: D.
        dtype: floating dtype; JAX's default when None.
        key: random key of the entries, uniform within ``1 / sqrt(D)``.

    Source: Anil et al. 2019.
    """

    raw: Matrix

    def __init__(self, size: int, *, dtype: Any = None, key: PRNGKeyArray) -> None:
        check_counts(size=size)
        self.raw = uniform(key, (size, size), size, dtype)

    def bounded(self, rate: Rate) -> Matrix:
        """The matrix."""
        return within(rate * bjorck(self.raw), rate)
