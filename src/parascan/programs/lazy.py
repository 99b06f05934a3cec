"""Lazy values of a program over chunks: arrays kept as parts, and products that will be summed over chunks.

The reverse mode of a cell with gates joins the gates' cotangents into one array and multiplies it by the weights. XLA
fuses the joining with the computation of the parts, entry by entry behind a branch, which takes three times as long as
a product of each part with its rows of the weights. And the contribution of a chunk to a weight's cotangent is an outer
product; the sum of these over all chunks is one matrix product.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

Dimensions = tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]]
"""``dimension_numbers`` of a product."""


class Pieces(eqx.Module):
    """An array that is kept as its parts along one axis, with zeros between them.

    Attributes:
        parts: arrays of the whole's shape but for the axis, in order and disjoint.
        starts: where each part begins.
        axis: the axis, counted from the front.
        size: length of the axis.
    """

    parts: tuple[Array, ...]
    starts: tuple[int, ...] = eqx.field(static=True)
    axis: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def ends(self) -> tuple[int, ...]:
        """Where each part ends."""
        return tuple(start + part.shape[self.axis] for start, part in zip(self.starts, self.parts, strict=True))

    def whole(self) -> Array:
        """The array itself."""
        filled, end = [], 0
        for start, part, stop in zip(self.starts, self.parts, self.ends(), strict=True):
            filled.extend([self._zeros(part, start - end), part])
            end = stop
        filled.append(self._zeros(self.parts[-1], self.size - end))
        kept = [part for part in filled if part.shape[self.axis]]
        return kept[0] if len(kept) == 1 else jnp.concatenate(kept, axis=self.axis)

    def plus(self, other: "Pieces") -> "Pieces | None":
        """The sum, as pieces; None where the parts of the two overlap."""
        if (self.axis, self.size) != (other.axis, other.size):
            return None
        spans = [*zip(self.starts, self.ends(), self.parts, strict=True)]
        spans += [*zip(other.starts, other.ends(), other.parts, strict=True)]
        spans.sort(key=lambda span: span[0])
        if any(left[1] > right[0] for left, right in itertools.pairwise(spans)):
            return None
        return Pieces(tuple(span[2] for span in spans), tuple(span[0] for span in spans), self.axis, self.size)

    def map(self, function: Any) -> "Pieces":
        """The array after a function of each part that maps zero to zero and keeps all axes."""
        return Pieces(tuple(function(part) for part in self.parts), self.starts, self.axis, self.size)

    def along(self, array: Array, axis: int) -> tuple[Array, ...]:
        """The slices of another array, along one of its axes, that face the parts."""
        spans = zip(self.starts, self.ends(), strict=True)
        return tuple(jax.lax.slice_in_dim(array, start, end, axis=axis) for start, end in spans)

    def _zeros(self, like: Array, count: int) -> Array:
        """A stretch of zeros."""
        shape = (*like.shape[: self.axis], count, *like.shape[self.axis + 1 :])
        return jnp.zeros(shape, like.dtype)


class Product(eqx.Module):
    """A product of two arrays that both differ from chunk to chunk, not computed yet.

    Attributes:
        left: ``[.. chunks]``, or pieces along an axis that is not summed over.
        right: ``[.. chunks]``.
        dimensions: of the product in one chunk.
        permutation: of the axes of the result in one chunk.
        options: the product's other parameters.
    """

    left: Any
    right: Array
    dimensions: Dimensions = eqx.field(static=True)
    permutation: tuple[int, ...] = eqx.field(static=True)
    options: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def whole(self) -> Array:
        """The result in every chunk, ``[.. chunks]``."""
        left = self.left.whole() if isinstance(self.left, Pieces) else self.left
        return jax.vmap(
            lambda left, right: jax.lax.transpose(
                jax.lax.dot_general(left, right, self.dimensions, **dict(self.options)), self.permutation
            ),
            in_axes=-1,
            out_axes=-1,
        )(left, self.right)

    def transposed(self, permutation: Sequence[int]) -> "Product":
        """The same with its axes in another order."""
        order = tuple(self.permutation[axis] for axis in permutation)
        return Product(self.left, self.right, self.dimensions, order, self.options)

    def summed(self) -> Array | Pieces:
        """The sum over chunks, by a product that contracts the axis of chunks too."""
        (left, right), batch = self.dimensions
        dimensions = ((*left, -1), (*right, -1)), batch
        if not isinstance(self.left, Pieces):
            return self._contracted(self.left, dimensions)
        parts = tuple(self._contracted(part, dimensions) for part in self.left.parts)
        free = [axis for axis in range(self.left.parts[0].ndim - 1) if axis not in left and axis not in batch[0]]
        place = len(batch[0]) + free.index(self.left.axis)
        return Pieces(parts, self.left.starts, self.permutation.index(place), self.left.size)

    def _contracted(self, left: Array, dimensions: Dimensions) -> Array:
        """One product over chunks."""
        (first, second), batch = dimensions
        first = [axis % left.ndim for axis in first]
        second = [axis % self.right.ndim for axis in second]
        out = jax.lax.dot_general(left, self.right, ((first, second), batch), **dict(self.options))
        return jax.lax.transpose(out, self.permutation)


def sum_over_chunks(value: Any) -> Array | Pieces:
    """The sum of a value ``[.. chunks]`` over its chunks."""
    if isinstance(value, Product):
        return value.summed()
    if isinstance(value, Pieces):
        return value.map(lambda part: jnp.sum(part, axis=-1))
    return jnp.sum(value, axis=-1)


def add_into(total: Array, value: Array | Pieces) -> Array:
    """A running total with a sum added: each part where it belongs, in place."""
    if not isinstance(value, Pieces):
        return total + value
    for start, end, part in zip(value.starts, value.ends(), value.parts, strict=True):
        where = (*(slice(None) for _ in range(value.axis)), slice(start, end))
        total = total.at[where].add(part)
    return total
