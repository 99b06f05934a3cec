"""Whether states are finite, and up to which step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..solution import Tree


def finite_prefix(states: Tree, length: int, *, reverse: bool) -> Int[Array, ""]:
    """Number of steps, in the order of computation, before the first that has an entry which is not finite.

    Args:
        states: arrays with leading axis T.
        length: T.
        reverse: whether the last row is computed first.
    """
    leaves = _inexact(states)
    whole = jnp.asarray(length, jnp.int32)
    if not leaves or length == 0:
        return whole

    def count() -> Array:
        flags = [jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim))) for leaf in leaves]
        steps = jnp.all(jnp.stack(flags), axis=0)
        return jnp.argmin(steps[::-1] if reverse else steps).astype(jnp.int32)

    return jax.lax.cond(all_finite(leaves), lambda: whole, count)


def all_finite(tree: Tree) -> Bool[Array, ""]:
    """Whether no entry of a tree is infinite or NaN.

    Args:
        tree: arrays; those that are not floating are left out.
    """
    return jnp.all(jnp.asarray([jnp.all(jnp.isfinite(leaf)) for leaf in _inexact(tree)], bool))


def _inexact(tree: Tree) -> list[Array]:
    """The floating and complex arrays of a tree."""
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
