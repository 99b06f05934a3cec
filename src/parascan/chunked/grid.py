"""Where each step of a sequence lies when chunks of it run side by side; all index arithmetic of chunks is here.

A sequence of ``P B`` steps is P chunks of B steps, and a batch of N sequences has ``N P`` chunks. Inputs and outputs
stay time-major, ``[N, P B, ...]``, and are never transposed as a whole: row i of every chunk is taken and put in one
strided move. States carry the chunks as their last axis, ``[..., N P]``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..solution import Tree


class Grid(NamedTuple):
    """A batch of sequences cut into chunks, on one device or on each device of a mesh axis.

    Attributes:
        batch: N, sequences.
        chunks: P, chunks of a sequence on this device.
        block: B, steps of a chunk.
        reverse: whether time runs from the last row to the first.
        axis: names of the mesh axes over which the sequence goes on, or None.
        devices: length of that axis, 1 without one.
        rest: steps of a sequence beyond the chunks, the last in time.
        turn: rows that are taken in one turn of a loop; a divisor of B.
        prepared: whether steps one after the other find computed what needs no carry, for all of them at once.
    """

    batch: int
    chunks: int
    block: int
    reverse: bool = False
    axis: tuple[str, ...] | None = None
    devices: int = 1
    rest: int = 0
    turn: int = 1
    prepared: bool = False

    @property
    def length(self) -> int:
        """Steps of a sequence, over all devices."""
        return self.devices * self.chunks * self.block

    def row(self, step: Int[Array, ""]) -> Int[Array, ""]:
        """Row of a chunk that holds its step 0, 1, .. B - 1 in the order of time."""
        return self.block - 1 - step if self.reverse else step

    def own(self, xs: Tree) -> Tree:
        """Inputs ``[N or 1, P B, ...]`` of the chunks, the first in time of ``[N or 1, T, ...]``."""
        steps = self.chunks * self.block
        return jax.tree.map(lambda leaf: leaf[:, leaf.shape[1] - steps :] if self.reverse else leaf[:, :steps], xs)

    def windows(self, xs: Tree, count: int, rows: int) -> Tree:
        """The first rows, in time, of evenly spaced chunks, ``[N or 1 times count, rows, ...]``, and of no others.

        Args:
            xs: inputs ``[N or 1, T, ...]``.
            count: how many chunks of each sequence.
            rows: of each of them.
        """
        apart = self.chunks // count * self.block
        skipped = self.block - rows if self.reverse else 0

        def one(leaf: Array) -> Array:
            first = skipped + (leaf.shape[1] - self.chunks * self.block if self.reverse else 0)
            parts = [leaf[:, first + index * apart : first + index * apart + rows] for index in range(count)]
            return jnp.stack(parts, axis=1).reshape(len(leaf) * count, rows, *leaf.shape[2:])

        return jax.tree.map(one, xs)

    def picked(self, xs: Tree, step: Int[Array, ""], count: int | None = None) -> Tree:
        """As ``take``, from inputs ``[N or 1, T, ...]`` that are not cut: slower for a row, but no copy of them all.

        Args:
            xs: inputs.
            step: of every chunk.
            count: of evenly spaced chunks; all when None.
        """
        few = self if count is None else self._replace(chunks=count)
        chunks = jnp.arange(few.chunks) * (self.chunks // few.chunks * self.block) + self.row(step)

        def one(leaf: Array) -> Array:
            first = leaf.shape[1] - self.chunks * self.block if self.reverse else 0
            rows = leaf.at[:, first + chunks].get(mode="promise_in_bounds")
            return few._gathered(rows.reshape(-1, *leaf.shape[2:]))

        return jax.tree.map(one, xs)

    def cut(self, xs: Tree) -> Tree:
        """Inputs ``[N or 1, T, ...]`` cut into chunks, ``[N P or P, B, ...]``, without the steps beyond them.

        This is done outside of loops: inside, XLA would divide every element's index anew.
        """

        def one(leaf: Array) -> Array:
            blocks = leaf.shape[0] * leaf.shape[1] // self.block
            return leaf.reshape(blocks, self.block, *leaf.shape[2:])

        return jax.tree.map(one, self.own(xs))

    def take(self, blocks: Tree, step: Int[Array, ""]) -> Tree:
        """The inputs ``[..., N P]`` of one step of every chunk."""
        return jax.tree.map(self._gathered, row_at(blocks, self.row(step), axis=1))

    def take_turn(self, blocks: Tree, first: Int[Array, ""]) -> list[Tree]:
        """As ``take``, for each of the steps of a turn that begins with step ``first``, in one move."""
        start = self._begin(first)
        rows = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, self.turn, 1), blocks)

        def one(place: int) -> Tree:
            return jax.tree.map(lambda leaf: self._gathered(leaf[:, place]), rows)

        return list(map(one, self._order()))

    def put_turn(self, ys: Tree, steps: list[Tree], first: Int[Array, ""]) -> Tree:
        """As ``put``, for each of the steps of a turn that begins with step ``first``, in one move."""
        start, ordered = self._begin(first), [steps[place] for place in self._order()]

        def one(room: Array, *values: Array) -> Array:
            rows = jnp.stack([jnp.moveaxis(value, -1, 0) for value in values], axis=1)
            return jax.lax.dynamic_update_slice_in_dim(room, rows, start, 1)

        return jax.tree.map(one, ys, *ordered)

    def room(self, y: Tree) -> Tree:
        """Uninitialized room ``[N P, B, ...]`` for the outputs of all steps, from shapes of those of one step."""
        shape = (self.batch * self.chunks, self.block)
        return jax.tree.map(lambda leaf: jax.lax.empty((*shape, *leaf.shape), leaf.dtype), y)

    def put(self, ys: Tree, y: Tree, step: Int[Array, ""]) -> Tree:
        """Outputs with the results ``[..., N P]`` of one step of every chunk in place."""

        def one(room: Array, values: Array) -> Array:
            return jax.lax.dynamic_update_index_in_dim(
                room, jnp.moveaxis(values, -1, 0), self.row(step), 1, allow_negative_indices=False
            )

        return jax.tree.map(one, ys, y)

    def joined(self, ys: Tree) -> Tree:
        """Outputs ``[N P, B, ...]`` of the chunks joined to sequences, ``[N, P B, ...]``."""
        return jax.tree.map(lambda leaf: leaf.reshape(self.batch, self.chunks * self.block, *leaf.shape[2:]), ys)

    def in_order(self, chunks: Tree) -> Tree:
        """Values of all chunks ``[..., N P]`` as those of each in the order of time, ``[P, ..., N]``."""

        def one(leaf: Array) -> Array:
            leaf = leaf.reshape(*leaf.shape[:-1], self.batch, self.chunks)
            return jnp.moveaxis(leaf[..., ::-1] if self.reverse else leaf, -1, 0)

        return jax.tree.map(one, chunks)

    def spread(self, init: Tree) -> Tree:
        """Every chunk's state when all start from the initial one, ``[N, ...]``."""
        return jax.tree.map(lambda leaf: jnp.repeat(jnp.moveaxis(leaf, 0, -1), self.chunks, axis=-1), init)

    def starts(self, ends: Tree, init: Tree) -> Tree:
        """Where each chunk starts if the chunk before it ended there; the first starts from the initial state."""

        def one(end: Array, first: Array) -> Array:
            end = end.reshape(*end.shape[:-1], self.batch, self.chunks)
            first = jnp.moveaxis(first, 0, -1)[..., None]
            kept, sent = (end[..., 1:], end[..., :1]) if self.reverse else (end[..., :-1], end[..., -1:])
            if self.axis is not None:
                first = jnp.where(self._is_first(), first, self._passed_on(sent))
            parts = (kept, first) if self.reverse else (first, kept)
            return jnp.concatenate(parts, axis=-1).reshape(*end.shape[:-2], self.batch * self.chunks)

        return jax.tree.map(one, ends, init)

    def final(self, ends: Tree) -> Tree:
        """The state ``[N, ...]`` after the whole sequence."""

        def one(end: Array) -> Array:
            end = end.reshape(*end.shape[:-1], self.batch, self.chunks)
            last = jnp.moveaxis(end[..., 0 if self.reverse else -1], -1, 0)
            if self.axis is None:
                return last
            mine = jax.lax.axis_index(self.axis) == (0 if self.reverse else self.devices - 1)
            return jax.lax.psum(jnp.where(mine, last, jnp.zeros_like(last)), self.axis)

        return jax.tree.map(one, ends)

    def together(self, totals: Tree) -> Tree:
        """Totals of all devices, from those of this one."""
        if self.axis is None:
            return totals
        return jax.tree.map(lambda leaf: jax.lax.psum(leaf, self.axis), totals)

    def _gathered(self, rows: Array) -> Array:
        """``[N P, ...]``, or ``[P, ...]`` for all sequences alike, with the chunks as the last axis, ``[..., N P]``."""
        if len(rows) < self.batch * self.chunks:
            rows = jnp.tile(rows, (self.batch, *(1 for _ in rows.shape[1:])))
        return jnp.moveaxis(rows, 0, -1)

    def _begin(self, first: Int[Array, ""]) -> Int[Array, ""]:
        """The least row of a turn that begins with step ``first``."""
        return self.row(first) - (self.turn - 1) if self.reverse else first

    def _order(self) -> list[int]:
        """Where the steps of a turn lie among its rows, in the order of time; the same order the other way round."""
        places = list(range(self.turn))
        return places[::-1] if self.reverse else places

    def _is_first(self) -> Array:
        """Whether this device holds the beginning of the sequence."""
        return jax.lax.axis_index(self.axis or ()) == (self.devices - 1 if self.reverse else 0)

    def _passed_on(self, sent: Array) -> Array:
        """A value of this device, passed on to the next one in time; returns that of the device before."""
        step = -1 if self.reverse else 1
        pairs = [(source, source + step) for source in range(self.devices) if 0 <= source + step < self.devices]
        return jax.lax.ppermute(sent, self.axis or (), pairs)


def row_at(tree: Tree, index: Int[Array, ""], axis: int = 0) -> Tree:
    """One row of every leaf.

    The index needs no check for being negative: one operation less in a loop of few, which XLA then runs without
    handing them to other threads.

    Args:
        tree: arrays.
        index: of the row; not negative.
        axis: of the rows.
    """

    def one(leaf: Array) -> Array:
        return jax.lax.dynamic_index_in_dim(leaf, index, axis, keepdims=False, allow_negative_indices=False)

    return jax.tree.map(one, tree)
