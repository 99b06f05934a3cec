"""Dtypes as ``jax.lax.scan`` keeps them: the widest of several, weak types, keys, and bfloat16 as bits."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from ..solution import Tree


def widest(dtypes: Iterable[Any]) -> Any:
    """The real dtype that holds values of all of these, however JAX is set to promote.

    Args:
        dtypes: floating dtypes, one or more.
    """
    by_size = sorted({jnp.dtype(each) for each in dtypes}, key=lambda each: each.itemsize)
    last = by_size[-1]
    # Two of the widest are kinds of sixteen bits or fewer (bfloat16 and float16), neither of which holds the other.
    alike = [each for each in by_size if each.itemsize == last.itemsize]
    return last if len(alike) == 1 else jnp.dtype("float32")


def is_key(leaf: Any) -> bool:
    """Whether an array holds keys of random numbers.

    Args:
        leaf: an array.
    """
    return jnp.issubdtype(leaf.dtype, jax.dtypes.extended)


def weak_as(tree: Tree, kinds: list[Any]) -> Tree:
    """The same arrays, weakly typed (as Python's numbers are) where some other arrays are.

    Args:
        tree: arrays.
        kinds: types or shapes of as many others, in the order of the tree's leaves.
    """
    leaves, treedef = jax.tree.flatten(tree)
    pairs = zip(leaves, kinds, strict=True)
    return jax.tree.unflatten(treedef, [_weak(leaf) if _wants_weak(leaf, kind) else leaf for leaf, kind in pairs])


def _wants_weak(leaf: Any, kind: Any) -> bool:
    """Whether a leaf has a strong type where a weak one is wanted."""
    return getattr(kind, "weak_type", False) and not is_key(leaf) and not jax.typeof(leaf).weak_type


def _weak(leaf: Any) -> Any:
    """The array with a weak type, which it gets from a Python number that its entries replace."""
    return jax.lax.full(leaf.shape, leaf.dtype.type(0).item()).at[...].set(leaf)


def as_bits(tree: Tree) -> Tree:
    """Leaves of bfloat16 as integers of the same bits, all others as they are.

    XLA copies the whole output of a loop at every step where it is of bfloat16 on a CPU: T steps take the time of T^2
    (14 s for 40000 steps of 16 units, which chunks take in 0.01 s).

    Args:
        tree: arrays.
    """
    return jax.tree.map(
        lambda leaf: jax.lax.bitcast_convert_type(leaf, jnp.uint16) if leaf.dtype == jnp.bfloat16 else leaf, tree
    )


def from_bits(tree: Tree, dtypes: list[Any]) -> Tree:
    """The inverse of ``as_bits``; not to be differentiated.

    Args:
        tree: arrays, leaves of bfloat16 as integers of the same bits.
        dtypes: of the leaves before, in their order.
    """
    leaves, treedef = jax.tree.flatten(tree)
    pairs = zip(leaves, dtypes, strict=True)
    back = [jax.lax.bitcast_convert_type(leaf, dtype) if leaf.dtype != dtype else leaf for leaf, dtype in pairs]
    return jax.tree.unflatten(treedef, back)
