"""One step at many places of a trajectory at once, and products with its Jacobians there.

Places are lanes, the last axis of every array: products are then matrix products with as many columns, and everything
else one loop over lanes.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import State, Tree
from ..lanes.program import over_lanes


class LaneStep(eqx.Module):
    """``f_t`` at places ``[D P]`` with inputs ``[... P]``.

    Attributes:
        advance: one step, from a flat state and its inputs.
    """

    advance: Callable[[State, Tree], State]

    def __call__(self, states: Float[Array, "D P"], x: Tree) -> Float[Array, "D P"]:
        """The states after the step."""
        place = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[:-1], leaf.dtype), (states, x))
        arrays, rest = eqx.partition(self.advance, eqx.is_array)

        def one(arrays: Tree, state: State, x: Tree) -> State:
            return eqx.combine(arrays, rest)(state, x)

        return over_lanes(one, (False, True, True), arrays, *place)(arrays, states, x)

    def push(
        self, states: Float[Array, "D P"], x: Tree, vectors: Float[Array, "*several D P"]
    ) -> Float[Array, "*several D P"]:
        """Products ``J v``, one linearization for several vectors of a place."""
        return _for_several(jax.linearize(lambda states: self(states, x), states)[1], vectors)

    def pull(
        self, states: Float[Array, "D P"], x: Tree, vectors: Float[Array, "*several D P"]
    ) -> Float[Array, "*several D P"]:
        """Products ``J^T v``."""
        linear = jax.linearize(lambda states: self(states, x), states)[1]
        transposed = jax.linear_transpose(linear, states)
        return _for_several(lambda vector: transposed(vector)[0], vectors)

    def matrices(self, states: Float[Array, "D P"], x: Tree) -> Float[Array, "P D D"]:
        """The Jacobians themselves, by D products."""
        size, places = states.shape
        eye = jnp.broadcast_to(jnp.eye(size, dtype=states.dtype)[..., None], (size, size, places))
        return jnp.moveaxis(self.push(states, x, eye), (0, 1, 2), (2, 1, 0))


def _for_several(linear: Callable[[Array], Array], vectors: Array) -> Array:
    """A linear map of ``[D P]`` for leading axes of vectors."""
    for _ in range(vectors.ndim - 2):
        linear = jax.vmap(linear)
    return linear(vectors)


def last(tree: Tree) -> Tree:
    """The tree with its leading axis, that of places, as the last."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), tree)
