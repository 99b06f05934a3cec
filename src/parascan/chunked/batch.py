"""How large a batch a call is part of, as far as its arguments show, and a batch of batches as a larger one."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array

from ..solution import Tree


def batch_size(tree: Tree) -> int:
    """Number of elements that ``jax.vmap`` runs a call for at once; one outside of ``jax.vmap``.

    It is found by calling a function whose batching rule, which JAX runs at once, notes the size. A batch is not seen
    if it comes about later (``jax.vmap`` of a function compiled before), or if no argument has it.

    Args:
        tree: the arguments of the call.
    """
    # Such a function cannot be differentiated in reverse mode, and what it sees need not be.
    leaves = [jax.lax.stop_gradient(leaf) for leaf in jax.tree.leaves(tree) if isinstance(leaf, Tracer)]
    sizes: list[int] = []

    @jax.custom_batching.custom_vmap
    def look(leaves: list[Any]) -> list[Any]:
        return leaves

    @look.def_vmap
    def note(size: int, mapped: list[Any], leaves: list[Any]) -> tuple[list[Any], list[Any]]:
        sizes.append(size)
        return look(leaves), mapped[0]

    if leaves:
        look(leaves)
    total = 1
    for size in sizes:
        total *= size
    return total


def merged(count: int, batch: int, shared: bool, leaf: Array, mapped: bool) -> Array:
    """A leaf of a batch of batches as one of a larger batch; one that all share may stay single.

    Args:
        count: how many batches.
        batch: N, their size.
        shared: whether a leaf of one row that all batches share may stay as it is.
        leaf: rows ``[N or 1, ...]``, or ``[count, N or 1, ...]`` where mapped.
        mapped: whether the batches differ in it.
    """
    if not mapped and shared and len(leaf) == 1:
        return leaf
    rows = leaf.shape[2:] if mapped else leaf.shape[1:]
    leaf = leaf if mapped else leaf[None]
    return jnp.broadcast_to(leaf, (count, batch, *rows)).reshape(count * batch, *rows)
