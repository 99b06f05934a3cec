"""Stretches of a trajectory, of a few pilots or all of it, on which growth is measured."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...problem.flat_recurrence import Recurrence
from ...solution import State, Trajectory, Tree


class Paths(eqx.Module):
    """P stretches of L steps each.

    Attributes:
        advance: one step, from a flat state and its inputs.
        before: states before the steps.
        inputs: inputs of the steps ``[P L ...]``.
        total: T, steps of the trajectory that the stretches are taken from.
    """

    advance: Callable[[State, Tree], State]
    before: Float[Array, "P L D"]
    inputs: Tree
    total: int = eqx.field(static=True)

    @classmethod
    def whole(cls, recurrence: Recurrence, states: Trajectory) -> "Paths":
        """All of a trajectory as one stretch.

        Args:
            recurrence: the system.
            states: its trajectory ``[T D]``.
        """
        inputs = jax.tree.map(lambda leaf: leaf[None], recurrence.inputs)
        return cls(recurrence.advance, recurrence.previous(states)[None], inputs, recurrence.length)

    @property
    def count(self) -> int:
        """P, the number of stretches."""
        return self.before.shape[0]

    @property
    def length(self) -> int:
        """L, steps of a stretch."""
        return self.before.shape[1]

    @property
    def size(self) -> int:
        """D, entries of a state."""
        return self.before.shape[2]

    @property
    def complete(self) -> bool:
        """Whether every step of the trajectory is there."""
        return self.count == 1 and self.length == self.total

    def joined(self) -> "Paths":
        """Stretches that cover a trajectory, one after the other, as one; others as they are."""
        if self.count == 1 or self.count * self.length != self.total:
            return self

        def join(leaf: Array) -> Array:
            return leaf.reshape(1, self.total, *leaf.shape[2:])

        return Paths(self.advance, join(self.before), jax.tree.map(join, self.inputs), self.total)

    def spread_places(self, count: int) -> np.ndarray:
        """Flat indices of some of the P L steps, evenly spread; all of them where there are no more."""
        available = self.count * self.length
        if count >= available:
            return np.arange(available)
        return np.floor((np.arange(count) + 0.5) * available / count).astype(int)

    def spread_starts(self, count: int, longest: int) -> np.ndarray:
        """Flat indices of at most so many steps, spread over and within the paths, with as many steps from them on."""
        used = np.floor((np.arange(min(count, self.count)) + 0.5) * self.count / min(count, self.count)).astype(int)
        each = min(max(count // self.count, 1), self.length - longest + 1)
        within = np.floor((np.arange(each) + 0.5) * (self.length - longest + 1) / each).astype(int)
        return (used[:, None] * self.length + within).reshape(-1)

    def at(self, places: Int[Array, " n"] | np.ndarray) -> tuple[Float[Array, "D n"], Tree]:
        """States and inputs of steps by their flat index, with the places as the last axis."""

        def gather(leaf: Array) -> Array:
            return jnp.moveaxis(leaf.reshape(-1, *leaf.shape[2:])[places], 0, -1)

        return gather(self.before), jax.tree.map(gather, self.inputs)
