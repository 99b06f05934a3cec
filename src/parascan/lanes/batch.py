"""How large a batch a call is part of, as far as its arguments show."""

from typing import Any

import jax
from jax.core import Tracer

from .._types import Tree


def batch_size(tree: Tree) -> int:
    """Number of elements that ``jax.vmap`` runs a call for at once; one outside of it.

    A function with a batching rule of its own is called, and its rule, which JAX runs at once, takes note. Batches that
    come about later (``jax.vmap`` of a function compiled before) are not seen, and what is not an argument neither.

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
