"""Products of many matrices as a matrix of moderate size times a power of two, so that none of them overflows.

A tree of partial products multiplies matrices over every stretch of time. Where the system grows, such a product may
exceed the largest floating number although every state is moderate, because the states do not point into the growing
directions, or the offsets are small; infinity times zero would then be NaN. Kept as a pair, the product is exact to
rounding at any size, and so are the states that it is applied to.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from ..solution import State
from ._abstract import AbstractComposableTransition

Pair = tuple[PyTree[Array], Int[Array, ""]]
"""Entries of magnitude about one, and the power of two that multiplies them."""


class ScaledTransition(AbstractComposableTransition):
    """A transition whose rows carry a power of two each; what trees of partial products are built on.

    Args:
        inner: the entries.
        exponents: the power of two of every row, shape [T], integer.
    """

    inner: AbstractComposableTransition
    exponents: Int[Array, " T"]

    @classmethod
    def of(cls, transition: AbstractComposableTransition) -> "ScaledTransition":
        """The same matrices as pairs."""
        rows, exponents = jax.vmap(_normalized)(transition.slices, jnp.zeros(transition.length, jnp.int32))
        return cls(transition.with_slices(rows), exponents)

    @property
    def length(self) -> int:
        """T, the number of matrices."""
        return self.inner.length

    @property
    def size(self) -> int:
        """D, the size of the state."""
        return self.inner.size

    @property
    def dtype(self) -> Any:
        """Dtype of the entries."""
        return self.inner.dtype

    @property
    def slices(self) -> tuple[PyTree[Array], Int[Array, " T"]]:
        """Entries and exponents."""
        return self.inner.slices, self.exponents

    def scale(self, factor: float | Float[Array, ""]) -> "ScaledTransition":
        """The same structure with every ``A_t`` multiplied by one number."""
        return ScaledTransition(self.inner.scale(factor), self.exponents)

    def clip(self, bound: float | Float[Array, ""]) -> "ScaledTransition":
        """Every stored entry limited to a magnitude, powers of two included."""
        rows = jax.vmap(lambda row, exponent: jax.tree.map(lambda leaf: _scaled(leaf, exponent), row))(*self.slices)
        return ScaledTransition.of(self.inner.with_slices(rows).clip(bound))

    def guarded(self) -> "ScaledTransition":
        """The same structure with zeros for what is not finite."""
        return ScaledTransition(self.inner.guarded(), self.exponents)

    def product(self, row: Pair, v: State) -> State:
        """``A v`` for one row."""
        return _scaled(self.inner.product(row[0], v), row[1])

    def transposed_product(self, row: Pair, v: State) -> State:
        """``A^T v`` for one row."""
        return _scaled(self.inner.transposed_product(row[0], v), row[1])

    def compose(self, later: Pair, earlier: Pair) -> Pair:
        """Pair that stands for ``A_later A_earlier``."""
        return _normalized(self.inner.compose(later[0], earlier[0]), later[1] + earlier[1])


def _normalized(row: PyTree[Array], exponent: Int[Array, ""]) -> Pair:
    """The same pair with its largest entry between one half and one; entries that are not finite stay so."""
    leaves = jax.tree.leaves(row)
    if not leaves:
        return row, exponent
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0.0) for leaf in leaves]))
    shift = jnp.where(jnp.isfinite(largest) & (largest > 0), jnp.frexp(largest)[1], 0)
    return jax.tree.map(lambda leaf: jnp.ldexp(leaf, -shift), row), jnp.where(largest > 0, exponent + shift, 0)


def _scaled(v: Array, exponent: Int[Array, ""]) -> Array:
    """``2^exponent v``, exact wherever the result is a number; zero stays zero however large the power."""
    bounded = jnp.clip(exponent, -4096, 4096)
    return jnp.ldexp(v, bounded)
