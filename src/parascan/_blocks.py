"""A recurrence seen at the boundaries of blocks of steps, and the way back to every step.

The map of a whole block, ``F_k = f_{kB} o ... o f_{(k-1)B+1}``, is itself a step, so every method applies to the P
boundaries unchanged: T becomes P, the exponent ``lambda`` becomes ``B lambda``. Inside a block every residual is
exactly zero; only the jumps at the boundaries are left to solve for. Blocks of one step are the recurrence itself, one
block of T steps is sequential evaluation.
"""

from collections.abc import Callable
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._problem import Recurrence
from ._types import State, Trajectory, Tree
from .lanes.program import over_lanes


class BlockMap(eqx.Module):
    """The steps of one block, one after the other; rows marked as padding leave the state as it is."""

    advance: Callable[[State, Tree], State]

    def __call__(self, state: State, inputs: tuple[Tree, Bool[Array, " B"]]) -> State:
        """The state after the block."""

        def one(state: State, row: tuple[Tree, Bool[Array, ""]]) -> tuple[State, None]:
            x, real = row
            return jnp.where(real, self.advance(state, x), state), None

        return jax.lax.scan(one, state, inputs)[0]


class BlockRecurrence(Recurrence):
    """The recurrence of block maps, whose blocks run side by side as lanes wherever all of them are visited.

    Attributes:
        whole: whether all blocks are full, so that no row need be told from padding.
    """

    whole: bool = eqx.field(static=True)

    def images(self, states: Trajectory) -> Trajectory:
        """``F_k(s_{k-1})`` for all blocks."""
        advance = self._lanes()
        after = self._over_rows(lambda states, x, _: advance(states, x), self.previous(states).T)
        return after.T

    def pushforward(self, states: Trajectory, vectors: Float[Array, "V D"]) -> Float[Array, "V P D"]:
        """Products of the block maps' Jacobians with a few vectors: each step is linearized once for all of them."""
        advance = self._lanes()

        def forward(carry: tuple[Array, Array], x: Tree, _: Array) -> tuple[Array, Array]:
            after, linear = jax.linearize(lambda states: advance(states, x), carry[0])
            return after, jax.vmap(linear)(carry[1])

        start = jnp.broadcast_to(vectors[..., None], (*vectors.shape, self.length))
        pushed = self._over_rows(forward, (self.previous(states).T, start))[1]
        return jnp.moveaxis(pushed, -1, 1)

    def trajectories(self, states: Trajectory) -> Float[Array, "P B D"]:
        """The states after every step of all blocks, from the boundaries."""
        advance = self._lanes()

        def forward(carry: tuple[Array, Array], x: Tree, row: Array) -> tuple[Array, Array]:
            after = advance(carry[0], x)
            return after, jax.lax.dynamic_update_index_in_dim(carry[1], after.T, row, 1)

        room = jax.lax.empty((self.length, self._rows, self.size), self.dtype)
        start = (self.previous(states).T, room)
        return jax.lax.fori_loop(0, self._rows, lambda row, carry: forward(carry, self._row(row), row), start)[1]

    @property
    def _rows(self) -> int:
        """B."""
        return self.inputs[1].shape[1]

    def _row(self, row: Int[Array, ""]) -> Tree:
        """The inputs of one step of every block, ``[... P]``."""
        return jax.tree.map(
            lambda leaf: jnp.moveaxis(jax.lax.dynamic_index_in_dim(leaf, row, 1, keepdims=False), 0, -1),
            self.inputs[0],
        )

    def _over_rows(self, forward: Callable[[Tree, Tree, Array], Tree], start: Tree) -> Tree:
        """What all steps of all blocks make of a tree ``[... P]``; padding leaves it as it is."""

        def one(row: Int[Array, ""], carry: Tree) -> Tree:
            after = forward(carry, self._row(row), row)
            if self.whole:
                return after
            real = jax.lax.dynamic_index_in_dim(self.inputs[1], row, 1, keepdims=False)
            return jax.tree.map(lambda new, old: jnp.where(real, new, old), after, carry)

        return jax.lax.fori_loop(0, self._rows, one, start)

    def _lanes(self) -> Callable[[Array, Tree], Array]:
        """One step of every block, ``[D P] -> [D P]``."""
        step = cast(BlockMap, self.advance).advance
        x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), self.inputs[0])
        lanes = over_lanes(lambda step, state, x: step(state, x), (False, True, True), step, self.initial, x)
        return lambda states, x: lanes(step, states, x)


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
        coarse = BlockRecurrence(block_map, recurrence.initial, inputs, count, whole)
        return cls(coarse, block_map, length, block)

    def boundaries(self, states: Trajectory) -> Trajectory:
        """The last state of every block ``[P D]`` of a trajectory ``[T D]``."""
        ends = (jnp.arange(self.coarse.length) + 1) * self.block
        return states[jnp.minimum(ends, self.length) - 1]

    def burn_in(self, states: Trajectory, steps: int) -> Trajectory:
        """Boundaries reached by running the last steps of every block from where a trajectory says it stands then.

        Args:
            states: trajectory ``[T D]``.
            steps: how many steps of each block to run; all of them at most.
        """
        skipped = self.block - min(steps, self.block)
        starts = jnp.arange(self.coarse.length) * self.block + skipped
        before = jnp.concatenate([self.coarse.initial[None], states])[jnp.minimum(starts, self.length)]
        tails = jax.tree.map(lambda leaf: leaf[:, skipped:], self.coarse.inputs)
        return jax.vmap(self.coarse.advance)(before, tails)

    def fill(self, boundaries: Trajectory) -> Trajectory:
        """Every state ``[T D]`` from the boundaries ``[P D]``, all blocks in parallel."""
        return self.coarse.trajectories(boundaries).reshape(-1, self.coarse.size)[: self.length]
