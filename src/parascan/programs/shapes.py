"""Shapes and dtypes in place of arrays."""

from typing import Any

import jax

from ..solution import Tree


def shape_like(aval: Any) -> jax.ShapeDtypeStruct:
    """Shape, dtype and weak type of a value in a program.

    Args:
        aval: its type.
    """
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))


def row_of(tree: Tree) -> Tree:
    """Shapes, dtypes and weak types of one row of arrays that share a leading axis.

    Args:
        tree: the arrays, or shapes of them.
    """
    return jax.tree.map(lambda leaf: shape_like(leaf).update(shape=leaf.shape[1:]), tree)
