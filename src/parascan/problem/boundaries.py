"""A recurrence seen at the boundaries of blocks of steps, and the way back to every step.

The map of a whole block, ``F_k = f_{kB} o ... o f_{(k-1)B+1}``, is itself a step, so every method applies to the P
boundaries unchanged: T becomes P, the exponent ``lambda`` becomes ``B lambda``. Inside a block every residual is
exactly zero; only the jumps at the boundaries are left to solve for. Blocks of one step are the recurrence itself, one
block of T steps is sequential evaluation.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..chunked import chunks_at_once
from ..programs.batching import over_chunks
from ..programs.built_in import here
from ..programs.closure import Function
from ..programs.linearize import Linearize, linearized
from ..programs.partial_evaluation import partially_evaluated
from ..programs.work import costly
from ..solution import State, Trajectory, Tree
from .flat_recurrence import Recurrence


class BlockMap(Function):
    """The steps of one block, one after the other; rows marked as padding leave the state as it is."""

    advance: Callable[[State, Tree], State]

    def __call__(self, state: State, inputs: tuple[Tree, Bool[Array, " B"]]) -> State:
        """The state after the block."""

        def one(state: State, row: tuple[Tree, Bool[Array, ""]]) -> tuple[State, None]:
            x, real = row
            return jnp.where(real, self.advance(state, x), state), None

        return jax.lax.scan(one, state, inputs)[0]


class BlockRecurrence(Recurrence):
    """The recurrence of block maps; blocks run side by side, as the last axis of arrays.

    Attributes:
        whole: whether all blocks are full, so that no row need be told from padding.
        total: T, number of steps in all blocks together.
        known: number of leading boundaries that are exact; their blocks need no visit.
    """

    whole: bool = eqx.field(static=True)
    total: int = eqx.field(static=True)
    known: Int[Array, ""] | int = 0

    @property
    def steps(self) -> int:
        """T, which counts the steps inside of blocks too."""
        return self.total

    @property
    def entrance(self) -> tuple[Callable[[State, Tree], State], Tree]:
        """The first step of a block, and shapes of its inputs."""
        return cast(BlockMap, self.advance).advance, self._x()

    def knowing(self, prefix: Int[Array, ""]) -> "BlockRecurrence":
        """The same recurrence, told that its first boundaries are exact."""
        return dataclasses.replace(self, known=prefix)

    def predictions(self, states: Trajectory) -> Trajectory:
        """``F_k(s_{k-1})`` for all blocks; those that are known to be exact are ``s_k``."""

        def visit(part: "BlockRecurrence", rows: tuple[Trajectory, ...], _: None) -> Array:
            return part._in_groups(lambda group, before: group.run(before, 0), rows[0], rows[1], 0)

        return self.by_device(visit, (self.previous(states), states))

    def part(self, inputs: Tree, first: Int[Array, ""], length: int) -> "BlockRecurrence":
        """The recurrence of some of the blocks, of which the leading ones may be known."""
        known = jnp.clip(self.known - first, 0, length)
        return dataclasses.replace(super().part(inputs, first, length), known=known)

    def pushforward(self, states: Trajectory, vectors: Float[Array, "V D"]) -> Float[Array, "V P D"]:
        """Products of the block maps' Jacobians with a few vectors: each step is linearized once for all of them.

        Zero in blocks that are known to be exact, where no correction arrives.
        """

        def visit(part: "BlockRecurrence", rows: tuple[Trajectory, ...], vectors: Array) -> Array:
            none = jnp.zeros((len(vectors), *rows[0].shape), self.dtype)
            return part._in_groups(lambda group, before: group.pushed(before, vectors), rows[0], none, 1)

        return self.by_device(visit, (self.previous(states),), vectors, axis=1)

    def pushed(self, before: Trajectory, vectors: Float[Array, "V D"]) -> Float[Array, "V P D"]:
        """Products of the Jacobians of all block maps with a few vectors, from the states before the blocks."""
        advance, first = self._side_by_side(), before.T
        linearize, push = linearized(advance, first, self._row(jnp.int32(0)))
        few = len(vectors) <= here().apart

        def all_through(linear: list[Array], vectors: Any) -> Any:
            return tuple(push(linear, v) for v in vectors) if few else jax.vmap(partial(push, linear))(vectors)

        start = jnp.broadcast_to(vectors[..., None], (*vectors.shape, self.length))
        columns = tuple(start) if few else start
        if costly(self.entrance[0], self.initial, self.entrance[1]):
            pushed = self._one_turn_later(linearize, all_through, first, columns)
        else:

            def forward(carry: tuple[Array, Any], x: Tree) -> tuple[Array, Any]:
                after, linear = linearize(carry[0], x)
                return after, all_through(linear, carry[1])

            pushed = self._over_rows(forward, (first, columns))[1]
        return jnp.moveaxis(jnp.asarray(pushed), -1, 1)

    def _one_turn_later(self, linearize: Linearize, push: Callable[..., Any], states: Array, columns: Any) -> Any:
        """The columns pushed through all rows, with each step linearized one turn of the loop before it is used.

        So the intermediate values of a step that its derivative needs are stored from one turn to the next. Within one
        turn XLA would compute them anew for every column, which is faster only where they are cheap.
        """

        def forward(row: Int[Array, ""], carry: tuple[Array, list[Array], Any]) -> tuple[Array, list[Array], Any]:
            after, linear, columns = carry
            moved = self._where_real(row, push(linear, columns), columns)
            return *linearize(after, self._row(jnp.minimum(row + 1, self._rows - 1))), moved

        first = linearize(states, self._row(jnp.int32(0)))
        return jax.lax.fori_loop(0, self._rows, forward, (*first, columns))[2]

    def run(self, states: Trajectory, skipped: int) -> Trajectory:
        """The states ``[P D]`` after all blocks, without the first rows of each.

        Args:
            states: where each block starts ``[P D]``.
            skipped: rows left out.
        """
        return self._over_rows(self._side_by_side(), states.T, skipped).T

    def trajectories(
        self, states: Trajectory, known: tuple[Float[Array, "P B D"], Bool[Array, ""]] | None = None
    ) -> Float[Array, "P B D"]:
        """The states after every step of all blocks, from the boundaries.

        Args:
            states: the boundaries ``[P D]``.
            known: an earlier result, and whether it is still right; the loop then takes no turn, which copies less than
                a branch does. With it, reverse mode is not possible.
        """
        advance = self._side_by_side()

        def forward(row: Int[Array, ""], carry: tuple[Array, Array]) -> tuple[Array, Array]:
            after = advance(carry[0], self._row(row))
            return after, jax.lax.dynamic_update_index_in_dim(carry[1], after.T, row, 1)

        rows: Any = self._rows
        if known is None:
            # No jax.lax.empty: in JAX 0.10 jax.vmap takes that, and all that is put into it, for batched.
            room = jnp.zeros((self.length, rows, self.size), self.dtype)
        else:
            room, done = known
            rows = jnp.where(done, 0, rows)
        return jax.lax.fori_loop(0, rows, forward, (self.previous(states).T, room))[1]

    def _in_groups(
        self, visit: Callable[["BlockRecurrence", Trajectory], Array], before: Trajectory, known: Array, axis: int
    ) -> Array:
        """The results of a visit to all blocks, in groups that fit the caches; groups known to be exact are skipped.

        Args:
            visit: gives the result of some of the blocks from the states before them.
            before: the boundary before each block ``[P D]``.
            known: the result for blocks that are not visited.
            axis: of the result that counts blocks.
        """
        size = min(chunks_at_once(self.size), self.length)
        count = -(-self.length // size)
        if count == 1:
            return visit(self, before)

        def one(index: Int[Array, ""], found: Array) -> Array:
            # The last group overlaps the one before it.
            first = jnp.minimum(index * size, self.length - size)
            cut = partial(jax.lax.dynamic_slice_in_dim, start_index=first, slice_size=size)
            group = dataclasses.replace(self, inputs=jax.tree.map(cut, self.inputs), length=size)
            return jax.lax.dynamic_update_slice_in_dim(found, visit(group, cut(before)), first, axis)

        return jax.lax.fori_loop(jnp.minimum(self.known // size, count), count, one, known)

    @property
    def _rows(self) -> int:
        """B, the number of steps of a block."""
        return self.inputs[1].shape[1]

    def _row(self, row: Int[Array, ""]) -> Tree:
        """The inputs of one step of every block, ``[... P]``."""
        return jax.tree.map(
            lambda leaf: jnp.moveaxis(jax.lax.dynamic_index_in_dim(leaf, row, 1, keepdims=False), 0, -1),
            self.inputs[0],
        )

    def _over_rows(self, forward: Callable[[Tree, Tree], Tree], start: Tree, first: int = 0) -> Tree:
        """A tree ``[... P]`` carried through all steps of all blocks, from a row on."""

        def one(row: Int[Array, ""], carry: Tree) -> Tree:
            return self._where_real(row, forward(carry, self._row(row)), carry)

        return jax.lax.fori_loop(first, self._rows, one, start)

    def _where_real(self, row: Int[Array, ""], after: Tree, before: Tree) -> Tree:
        """The one tree in blocks that have that row, the other where it is padding."""
        if self.whole:
            return after
        real = jax.lax.dynamic_index_in_dim(self.inputs[1], row, 1, keepdims=False)
        return jax.tree.map(lambda new, old: jnp.where(real, new, old), after, before)

    def _side_by_side(self) -> Callable[[Array, Tree], Array]:
        """One step of every block, ``[D P] -> [D P]``."""
        step, x = self.entrance
        together = over_chunks(lambda step, state, x: step(state, x), (False, True, True), step, self.initial, x)
        states = jnp.broadcast_to(self.initial[:, None], (self.size, self.length))
        return partially_evaluated(together, step, states, jax.eval_shape(lambda: self._row(jnp.int32(0))))

    def _x(self) -> Tree:
        """Shapes of the inputs of one step."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), self.inputs[0])


class Blocked(eqx.Module):
    """A recurrence cut into P blocks of B steps, the last one shorter where B does not divide T.

    Attributes:
        coarse: the recurrence of the P block maps.
        block_map: the map of one block.
        length: T, number of steps of the original.
        block: B, steps of a block.
    """

    coarse: BlockRecurrence
    block_map: BlockMap
    length: int = eqx.field(static=True)
    block: int = eqx.field(static=True)

    @classmethod
    def of(cls, recurrence: Recurrence, block: int) -> "Blocked":
        """The recurrence in blocks of ``block`` steps, or in one block where it has fewer.

        Args:
            recurrence: what to cut, with at least one step.
            block: B, one or more.
        """
        length, block = recurrence.length, min(block, recurrence.length)
        count = -(-length // block)
        whole = length == count * block
        rows = jnp.arange(count * block).reshape(count, block)

        def cut(leaf: Array) -> Array:
            # Padding repeats the last input: the step has seen it, so it cannot fail there.
            return leaf.reshape(count, block, *leaf.shape[1:]) if whole else leaf[jnp.minimum(rows, length - 1)]

        block_map = BlockMap(recurrence.advance)
        inputs = (jax.tree.map(cut, recurrence.inputs), rows < length)
        sizes = count, whole, length
        coarse = BlockRecurrence(block_map, recurrence.initial, inputs, *sizes, devices=recurrence.devices)
        return cls(coarse, block_map, length, block)

    def boundaries(self, states: Trajectory) -> Trajectory:
        """The last state of every block ``[P D]`` of a trajectory ``[T D]``."""
        ends = (jnp.arange(self.coarse.length) + 1) * self.block
        return states[jnp.minimum(ends, self.length) - 1]

    def burn_in(self, states: Trajectory, steps: int) -> Trajectory:
        """Boundaries reached by running the last steps of every block from the state that a trajectory has before them.

        Args:
            states: trajectory ``[T D]``.
            steps: how many steps of each block to run; all of them at most.
        """
        skipped = self.block - min(steps, self.block)
        starts = jnp.arange(self.coarse.length) * self.block + skipped
        before = jnp.concatenate([self.coarse.initial[None], states])[jnp.minimum(starts, self.length)]
        return self.coarse.run(before, skipped)

    def fill(self, boundaries: Trajectory, known: tuple[Trajectory, Bool[Array, ""]] | None = None) -> Trajectory:
        """Every state ``[T D]`` from the boundaries ``[P D]``, all blocks in parallel.

        Args:
            boundaries: the last state of every block.
            known: an earlier result, and whether it is still right.
        """
        if known is not None:
            missing = self.coarse.length * self.block - self.length
            filled = jnp.pad(known[0], ((0, missing), (0, 0))).reshape(-1, self.block, self.coarse.size)
            known = filled, known[1]
        return self.coarse.trajectories(boundaries, known).reshape(-1, self.coarse.size)[: self.length]
