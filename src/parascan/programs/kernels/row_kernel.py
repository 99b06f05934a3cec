"""A kernel that runs a stretch of rows of all chunks, a tile of chunks in each of its programs, in one launch.

The states of the tile stay on the chip from row to row, and so do the weights where there is room for them. Inputs are
read from where the sequence has them, and outputs are written to where it wants them, row by row.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ...solution import Tree
from ..closure import Closed
from .entries import entries_of
from .packed import Packed
from .parts import Part, padded, parts_of
from .vectors import MatrixProduct, UnfitError

ON_CHIP, MOST_BYTES = 2**17, 5 * 2**17
"""Bytes of weights that stay in the registers of a tile, half of what they hold; and the most that are read anew in
every row, from the cache of the whole device."""

TILE, TILE_OF_SINGLE = 16, 32
"""Chunks of a tile: as few as a product of matrices takes, or one for each thread of a warp."""

MANY = 32
"""Entries of the largest part above which a tile has twice as many threads."""

INDEXABLE = 2**31
"""Entries of an array that a kernel's indices of 32 bits reach."""

MEMORY = frozenset({"bfloat16", "float16", "float32", "float64", "int32", "int64"} | {"uint16", "uint32"})
"""What a kernel reads and writes."""


class Stretch(NamedTuple):
    """What a stretch of rows gives.

    Attributes:
        states: after the last row ``[..., columns]``.
        kept: the states before the last rows and after each of them ``[kept + 1, ..., columns]``; None if not asked.
        ys: outputs ``[chunks, B, ...]`` with those of these rows in place; None if not asked.
    """

    states: Tree
    kept: Tree | None
    ys: Tree | None


def kernel_of(step: Closed, carry: Tree, x: Tree, steps: int) -> "RowKernel | str":
    """A step as a kernel, or why it cannot be one, in a few words.

    Args:
        step: ``(carry, x) -> (carry, y)``.
        carry: shapes of its carry.
        x: shapes of its inputs.
        steps: of all sequences together.
    """
    outside = [*jax.tree.leaves((carry, x)), *jax.tree.leaves(step.shapes)]
    if steps * max(math.prod(leaf.shape) for leaf in outside) >= INDEXABLE:
        return f"an array has {INDEXABLE} entries or more"
    try:
        return RowKernel(step, carry, x)
    except UnfitError as reason:
        return str(reason)
    except Exception:
        # An analysis that fails costs speed alone.
        return "its program could not be analyzed"


class RowKernel:
    """A step as a kernel for many rows of many chunks.

    Args:
        step: ``(carry, x) -> (carry, y)``.
        carry: shapes of its carry.
        x: shapes of its inputs.

    Raises:
        UnfitError: a kernel cannot run this step.
    """

    def __init__(self, step: Closed, carry: Tree, x: Tree) -> None:
        self._carry, self._x = (jax.tree.flatten(tree) for tree in (carry, x))
        self._y_structure = jax.tree.structure(step.shapes[1])
        outside = [*self._carry[0], *self._x[0], *jax.tree.leaves(step.shapes)]
        for kind in {str(leaf.dtype) for leaf in outside} - MEMORY:
            raise UnfitError(f"it takes or returns {kind}")
        entries = entries_of(step.closed)
        self._parts = parts_of(entries, len(self._carry[0]))
        self._packed = Packed(self._parts)
        if (size := self._packed.bytes) > MOST_BYTES:
            raise UnfitError(f"its weights take {size} bytes, more than {MOST_BYTES}")
        self._largest = max(size for parts in self._parts.of.values() for _, size in parts)
        # Made here, outside of the loops that launch the kernel.
        self._buffers = self._packed.buffers()

    def run(
        self,
        states: Tree,
        blocks: Tree,
        which: Int[Array, "columns"],
        rows: tuple[Int[Array, ""], Int[Array, ""]],
        ys: Tree | None = None,
        *,
        keep: int = 0,
        reverse: bool = False,
    ) -> Stretch:
        """The rows of all columns, of which each takes the inputs of one chunk.

        Args:
            states: before the first row ``[..., columns]``.
            blocks: inputs in chunks ``[chunks, B, ...]``.
            which: the chunk whose inputs a column takes; where there are fewer chunks, they are those of every batch.
            rows: the first row, and that which the stretch ends before; ``keep`` rows or more.
            ys: outputs ``[columns, B, ...]``, where those of these rows are to be put.
            keep: of so many last rows the states are kept.
            reverse: whether row 0 is the last in memory.
        """
        leaves = [leaf.reshape(-1, leaf.shape[-1]) for leaf in jax.tree.leaves(states)]
        given = [leaf.reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(blocks)]
        outputs = [leaf.reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(ys)]
        bounds = jnp.stack(rows).astype(jnp.int32)
        of_kept = [jax.ShapeDtypeStruct((keep + 1, *leaf.shape), leaf.dtype) for leaf in leaves if keep]
        results = [*(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves), *of_kept]
        results += [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in outputs]
        operands = [bounds, which.astype(jnp.int32), *self._buffers, *given, *leaves, *outputs]
        aliases = {len(operands) - len(outputs) + i: len(results) - len(outputs) + i for i in range(len(outputs))}
        body = partial(
            self._body, counts=(len(self._buffers), len(given), len(leaves), len(outputs)), keep=keep, reverse=reverse
        )
        found = list(self._launched(body, operands, results, aliases, which.size))
        shapes = [leaf.shape for leaf in jax.tree.leaves(states)]
        ends = [leaf.reshape(shape) for leaf, shape in zip(found, shapes, strict=False)]
        kept = [leaf.reshape(keep + 1, *shape) for leaf, shape in zip(found[len(ends) :], shapes, strict=False) if keep]
        pairs = zip(found[len(results) - len(outputs) :], jax.tree.leaves(ys), strict=True)
        return Stretch(
            jax.tree.unflatten(self._carry[1], ends),
            jax.tree.unflatten(self._carry[1], kept) if keep else None,
            None if ys is None else jax.tree.unflatten(self._y_structure, [a.reshape(b.shape) for a, b in pairs]),
        )

    @property
    def operations(self) -> int:
        """Operations of all products of one row of a tile, with padding."""
        of = self._parts.of
        products = (each for each in self._parts.entries.operations if isinstance(each, MatrixProduct))
        sizes = (
            sum(padded(size) for _, size in of[each.out]) * sum(padded(size) for _, size in of[each.operand])
            for each in products
        )
        return 2 * self.tile * sum(sizes)

    @property
    def tile(self) -> int:
        """Chunks of a tile."""
        return TILE_OF_SINGLE if self._parts.single else TILE

    def _launched(
        self, body: Any, operands: list[Array], results: list[Any], aliases: dict[int, int], columns: int
    ) -> Sequence[Array]:
        """The results of the kernel: compiled for a GPU, interpreted elsewhere."""
        from jax.experimental import pallas
        from jax.experimental.pallas import triton

        warps = 1 if self._parts.single else 8 if self._largest > MANY else 4
        launch = partial(
            pallas.pallas_call,
            body,
            out_shape=tuple(results),
            grid=(-(-columns // self.tile),),
            input_output_aliases=aliases,
            compiler_params=triton.CompilerParams(num_warps=warps, num_stages=1),
            name="rows",
        )
        on_gpu, interpreted = launch(), launch(interpret=True)
        return jax.lax.platform_dependent(*operands, cuda=on_gpu, rocm=on_gpu, default=interpreted)

    def _body(self, *refs: Any, counts: tuple[int, int, int, int], keep: int, reverse: bool) -> None:
        """What a program of the kernel does: the rows of one tile."""
        from jax.experimental import pallas

        known, given, carried, written = counts
        bounds, which, *rest = refs
        buffers, xs, starts = rest[:known], rest[known : known + given], rest[known + given : known + given + carried]
        found = rest[known + given + carried + written :]
        ends, kept, ys = found[:carried], found[carried : len(found) - written], found[len(found) - written :]
        tile, of = Tile(which, self.tile), self._parts.of
        inputs, outputs = self._parts.entries.inputs, self._parts.entries.outputs

        def cut(kind: str, first: int, size: int) -> Any:
            return buffers[self._packed.kinds.index(kind)][pallas.ds(first, size)]

        load = partial(self._packed.loader, cut, at_once=self._packed.bytes <= ON_CHIP)
        once = load() if self._packed.bytes <= ON_CHIP else None
        first, last = bounds[0], bounds[1]

        def in_memory(ref: Any, row: Any) -> Any:
            return ref.shape[1] - 1 - row if reverse else row

        def keep_states(states: list[list[Any]], number: Any) -> None:
            for ref, value, parts in zip(kept, inputs, states, strict=False):
                for part, values in zip(of[value], parts, strict=True):
                    tile.write(
                        ref, (jnp.maximum(number, 0), tile.entries(part), tile.columns), part, values, number >= 0
                    )

        def advance(row: Any, states: list[list[Any]]) -> list[list[Any]]:
            if keep:
                keep_states(states, row - (last - keep))
            x = [
                [
                    tile.read(
                        ref,
                        (jax.lax.rem(tile.chunks, jnp.int32(ref.shape[0])), in_memory(ref, row), tile.entries(part)),
                        part,
                    )
                    for part in of[value]
                ]
                for ref, value in zip(xs, inputs[carried:], strict=True)
            ]
            results = self._parts.run([*states, *x], once or load())
            for ref, value, parts in zip(ys, outputs[carried:], results[carried:], strict=False):
                for part, values in zip(of[value], parts, strict=True):
                    tile.write(ref, (tile.columns, in_memory(ref, row), tile.entries(part)), part, values)
            pairs = zip(results[:carried], states, strict=True)
            return [[jnp.broadcast_to(a, b.shape) for a, b in zip(new, old, strict=True)] for new, old in pairs]

        states = [
            [tile.read(ref, (tile.entries(part), tile.columns), part) for part in of[value]]
            for ref, value in zip(starts, inputs, strict=False)
        ]
        states = jax.lax.fori_loop(first, last, advance, states)
        for ref, value, parts in zip(ends, inputs, states, strict=False):
            for part, values in zip(of[value], parts, strict=True):
                tile.write(ref, (tile.entries(part), tile.columns), part, values)
        if keep:
            keep_states(states, jnp.int32(keep))


class Tile:
    """The columns that one program of a kernel runs.

    Args:
        which: reference to the chunk whose inputs a column takes.
        size: how many columns.
    """

    def __init__(self, which: Any, size: int) -> None:
        from jax.experimental import pallas
        from jax.experimental.pallas import triton

        numbers = pallas.program_id(0).astype(jnp.int32) * size + jnp.arange(size, dtype=jnp.int32)
        there = numbers < which.shape[0]
        self.columns = numbers[None, :]
        self.chunks = triton.load(which.at[numbers], mask=there, other=0)[None, :]
        self._there = there[None, :]

    def entries(self, part: Part) -> Array:
        """Numbers of the entries of a part, and of its padding ``[entries, 1]``."""
        return part[0] + jnp.arange(padded(part[1]), dtype=jnp.int32)[:, None]

    def read(self, ref: Any, index: tuple[Any, ...], part: Part) -> Array:
        """A part ``[entries, columns]`` of an array, zero where there is none."""
        from jax.experimental.pallas import triton

        return triton.load(ref.at[index], mask=self._inside(part), other=0)

    def write(self, ref: Any, index: tuple[Any, ...], part: Part, values: Array, when: Array | None = None) -> None:
        """Put a part into an array, if a flag is true."""
        from jax.experimental.pallas import triton

        inside = self._inside(part) if when is None else self._inside(part) & when
        triton.store(ref.at[index], jnp.broadcast_to(values, inside.shape).astype(ref.dtype), mask=inside)

    def _inside(self, part: Part) -> Array:
        """Which places of a part there are."""
        return self._there & (self.entries(part) < part[0] + part[1])
