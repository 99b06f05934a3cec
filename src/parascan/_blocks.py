"""A recurrence seen at the boundaries of blocks of steps, and the way back to every step.

The map of a whole block, ``F_k = f_{kB} o ... o f_{(k-1)B+1}``, is itself a step, so every method applies to the P
boundaries unchanged: T becomes P, the exponent ``lambda`` becomes ``B lambda``. Inside a block every residual is
exactly zero; only the jumps at the boundaries are left to solve for. Blocks of one step are the recurrence itself, one
block of T steps is sequential evaluation.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ._problem import Recurrence
from ._types import State, Trajectory, Tree


class BlockMap(eqx.Module):
    """The steps of one block, one after the other; rows marked as padding leave the state as it is."""

    advance: Callable[[State, Tree], State]

    def __call__(self, state: State, inputs: tuple[Tree, Bool[Array, " B"]]) -> State:
        """The state after the block."""
        return self.run(state, inputs)[0]

    def run(self, state: State, inputs: tuple[Tree, Bool[Array, " B"]]) -> tuple[State, Trajectory]:
        """The state after the block, and after each of its steps."""

        def one(state: State, row: tuple[Tree, Bool[Array, ""]]) -> tuple[State, State]:
            x, real = row
            state = jnp.where(real, self.advance(state, x), state)
            return state, state

        return jax.lax.scan(one, state, inputs)


class Blocked(eqx.Module):
    """A recurrence cut into P blocks of B steps, the last one shorter where B does not divide T.

    Attributes:
        coarse: the recurrence of the P block maps.
        block_map: the map of one block.
        length: T, number of steps of the original.
        block: B, steps of a block.
    """

    coarse: Recurrence
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
        rows = jnp.arange(count * block).reshape(count, block)
        # Padding repeats the last input: the step has seen it, so it cannot fail there.
        inputs = jax.tree.map(lambda leaf: leaf[jnp.minimum(rows, length - 1)], recurrence.inputs)
        block_map = BlockMap(recurrence.advance)
        coarse = Recurrence(block_map, recurrence.initial, (inputs, rows < length), count)
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
        starts = self.coarse.previous(boundaries)
        states = jax.vmap(lambda start, inputs: self.block_map.run(start, inputs)[1])(starts, self.coarse.inputs)
        return states.reshape(-1, self.coarse.size)[: self.length]
