"""Where ``jax.vmap`` keeps the batch axis of what a custom derivative returns."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..solution import Tree


def batch_first(tree: Tree) -> Tree:
    """The same arrays with the batch axis of ``jax.vmap`` in front, brought there by a reshape.

    Under ``vmap`` of ``jit`` JAX takes the batch axes of a custom derivative's outputs from the function, and those of
    the derivative itself from the rule, without comparing them (seen in 0.10.2): they have to agree beforehand.
    """

    def move(leaf: Array) -> Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
            return leaf
        return leaf.reshape(1, *leaf.shape).reshape(leaf.shape)

    return jax.tree.map(move, tree)
