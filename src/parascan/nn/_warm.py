"""``WarmStart``: trajectories of a training step as the guesses of the next one."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..solution import Solution, Tree
from ._layer import AbstractLayer


class WarmStart(eqx.Module):
    """The states of every example of a data set at the last training step, as guesses for the next one.

    Weights change little from one step to the next, so an iterative solver that starts from the last trajectory of the
    same example needs fewer iterations. Memory: the states of all examples. The answer does not depend on it.

    Args:
        trajectories: states with leading axes ``[examples, T]``, a tuple of them for a layer made of layers.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> xs = jax.random.normal(jax.random.key(1), (6, 50, 3))
        >>> layer = ps.nn.Recurrent(ps.nn.GRUCell(3, 8, key=jax.random.key(0)), solver=ps.deer())
        >>> warm = ps.nn.WarmStart.zeros(layer, xs)
        >>> batch = jnp.array([4, 1])
        >>> run = jax.vmap(lambda x, guess: layer.rollout(x, guess=guess))
        >>> solution = run(xs[batch], warm[batch])[2]
        >>> warm = warm.updated(batch, solution)
        >>> int(run(xs[batch], warm[batch])[2].stats.iterations.max())
        0
    """

    trajectories: Tree

    @classmethod
    def zeros(cls, layer: AbstractLayer, xs: Float[Array, "N T I"]) -> "WarmStart":
        """Zero states for every example of a data set.

        Args:
            layer: the layer that the guesses are for.
            xs: inputs of all examples; only their shape matters.
        """
        example = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
        structs = eqx.filter_eval_shape(lambda layer, x: states_of(layer.rollout(x)[2]), layer, example)
        return cls(jax.tree.map(lambda struct: jnp.zeros((len(xs), *struct.shape), struct.dtype), structs))

    def __getitem__(self, examples: Int[Array, " B"]) -> Tree:
        """Guesses of some examples, to be mapped over by ``jax.vmap`` together with their inputs."""
        return jax.tree.map(lambda leaf: leaf[examples], self.trajectories)

    def updated(self, examples: Int[Array, " B"], solution: Any) -> "WarmStart":
        """A copy with the trajectories of some examples replaced.

        Args:
            examples: which ones.
            solution: what ``rollout`` under ``jax.vmap`` returned for them, or its ``states_of``.
        """
        states = jax.lax.stop_gradient(states_of(solution))
        return type(self)(jax.tree.map(lambda all_, new: all_.at[examples].set(new), self.trajectories, states))


def states_of(solution: Any) -> Tree:
    """States of a solution, or of each of a tuple of them: all that a guess needs.

    Args:
        solution: what a layer's ``rollout`` returned third.
    """
    is_solution = lambda node: isinstance(node, Solution)  # noqa: E731
    return jax.tree.map(lambda node: node.states if is_solution(node) else node, solution, is_leaf=is_solution)
