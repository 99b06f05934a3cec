"""One step at many places of a trajectory at once, and products with its Jacobians there.

Places are the last axis of every array: products are then matrix products with as many columns, and everything
else one loop over places.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...programs.batching import over_chunks
from ...programs.closure import Function
from ...programs.derivatives import refuse_without_derivative
from ...solution import State, Tree


class SideBySideStep(Function):
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

        return over_chunks(one, (False, True, True), arrays, *place)(arrays, states, x)

    def push(
        self, states: Float[Array, "D P"], x: Tree, vectors: Float[Array, "*several D P"]
    ) -> Float[Array, "*several D P"]:
        """Products ``J v``, one linearization for several vectors of a place.

        Raises:
            ValueError: the step has no forward derivative.
        """
        return _for_several(self.linearized(states, x)[1], vectors)

    def pull(
        self, states: Float[Array, "D P"], x: Tree, vectors: Float[Array, "*several D P"]
    ) -> Float[Array, "*several D P"]:
        """Products ``J^T v``; by D products ``J v`` where the step has no reverse mode, as loops have none."""
        return _for_several(transposed(self.linearized(states, x)[1], states), vectors)

    def linearized(
        self, states: Float[Array, "D P"], x: Tree
    ) -> tuple[Float[Array, "D P"], Callable[[Float[Array, "D P"]], Float[Array, "D P"]]]:
        """The states after the step, and ``v -> J v``.

        Raises:
            ValueError: the step has no forward derivative.
        """
        place = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[:-1], leaf.dtype), (states, x))
        refuse_without_derivative(self.advance, *place)
        return jax.linearize(lambda states: self(states, x), states)

    def matrices(self, states: Float[Array, "D P"], x: Tree) -> Float[Array, "P D D"]:
        """The Jacobians themselves, by D products."""
        size, places = states.shape
        eye = jnp.broadcast_to(jnp.eye(size, dtype=states.dtype)[..., None], (size, size, places))
        return jnp.moveaxis(self.push(states, x, eye), (0, 1, 2), (2, 1, 0))


def transposed(
    linear: Callable[[Float[Array, "D P"]], Float[Array, "M P"]], like: Float[Array, "D P"]
) -> Callable[[Float[Array, "M P"]], Float[Array, "D P"]]:
    """``v -> A^T v`` in every place, of a linear map; by D products with A where JAX cannot transpose it.

    Args:
        linear: ``v -> A v``.
        like: any operand of it.
    """
    image = jax.eval_shape(linear, like)
    try:
        pull = jax.linear_transpose(linear, like)
        jax.eval_shape(pull, image)
        return lambda vector: pull(vector)[0]
    except Exception:
        # Loops whose number of turns is not known have no transpose.
        return lambda vector: jax.lax.map(
            lambda direction: jnp.sum(vector * linear(jnp.broadcast_to(direction[:, None], like.shape)), axis=0),
            jnp.eye(like.shape[0], dtype=like.dtype),
        )


def _for_several(linear: Callable[[Array], Array], vectors: Array) -> Array:
    """A linear map of ``[D P]`` for leading axes of vectors."""
    for _ in range(vectors.ndim - 2):
        linear = jax.vmap(linear)
    return linear(vectors)


def last(tree: Tree) -> Tree:
    """The tree with its leading axis, that of places, as the last."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), tree)
