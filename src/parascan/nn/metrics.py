"""Metrics in which a cell contracts: distances ``||P (s - s')||`` that shrink where plain ones may grow for a while."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..problem.arguments import check_counts
from ._cell import uniform
from ._spectral import cayley

Matrix = Float[Array, "D D"]


class AbstractMetric(eqx.Module):
    """A learned ``P`` whose condition number stays within a bound.

    Attributes:
        condition: the bound.
    """

    condition: eqx.AbstractVar[float]

    @abc.abstractmethod
    def factor(self) -> Matrix:
        """P."""

    @abc.abstractmethod
    def inverse(self) -> Matrix:
        """The inverse of P."""


class DiagonalMetric(AbstractMetric):
    """One weight for each entry of the state: ``P = diag(exp(c tanh(l)))``.

    Commutes with the slopes of an elementwise activation, so the cell keeps its form, with ``P^-1 K P`` as its matrix.

    Args:
        size: D.
        condition: largest condition number of P, above one; transients grow by this factor at most.
        dtype: floating dtype; JAX's default when None.
        key: random key of ``l``, uniform within ``1 / sqrt(D)``.

    Raises:
        ValueError: ``condition`` is not above one.

    Source: contraction in a metric, Lohmiller and Slotine 1998; appendix C of the paper.
    """

    raw: Float[Array, " D"]
    condition: float = eqx.field(static=True)

    def __init__(self, size: int, *, condition: float = 100.0, dtype: Any = None, key: PRNGKeyArray) -> None:
        check_counts(size=size)
        _check_condition(condition)
        self.raw, self.condition = uniform(key, (size,), size, dtype), condition

    def scales(self) -> Float[Array, " D"]:
        """The diagonal of P."""
        return jnp.exp(0.5 * np.log(self.condition) * jnp.tanh(self.raw))

    def factor(self) -> Matrix:
        """P."""
        return jnp.diag(self.scales())

    def inverse(self) -> Matrix:
        """The inverse of P."""
        return jnp.diag(1 / self.scales())


class FullMetric(AbstractMetric):
    """Any metric: ``P = diag(exp(c tanh(l))) Q`` with an orthogonal Q by Cayley's transform.

    Does not commute with the slopes of an activation, so the cell becomes ``s' = P^-1 tanh(K P s + W x + b)``.

    Args:
        size: D.
        condition: largest condition number of P, above one; transients grow by this factor at most.
        dtype: floating dtype; JAX's default when None.
        key: random key of ``l`` and Q, uniform within ``1 / sqrt(D)``.

    Raises:
        ValueError: ``condition`` is not above one.

    Source: contraction in a metric, Lohmiller and Slotine 1998; appendix C of the paper.
    """

    raw: Float[Array, " D"]
    rotation: Matrix
    condition: float = eqx.field(static=True)

    def __init__(self, size: int, *, condition: float = 100.0, dtype: Any = None, key: PRNGKeyArray) -> None:
        check_counts(size=size)
        _check_condition(condition)
        drawn = uniform(key, (size + 1, size), size, dtype)
        self.raw, self.rotation, self.condition = drawn[0], drawn[1:], condition

    def scales(self) -> Float[Array, " D"]:
        """The singular values of P."""
        return jnp.exp(0.5 * np.log(self.condition) * jnp.tanh(self.raw))

    def factor(self) -> Matrix:
        """P."""
        return self.scales()[:, None] * cayley(self.rotation)

    def inverse(self) -> Matrix:
        """The inverse of P."""
        return cayley(self.rotation).T / self.scales()


def _check_condition(condition: float) -> None:
    """Refuse a condition number that no metric but the plain one has."""
    if not condition > 1:
        raise ValueError(f"condition: given {condition}, expected a number above one.")
