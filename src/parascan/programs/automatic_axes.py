"""Functions of arrays whose types name axes of a mesh, as those on a ``jax.make_mesh`` do.

They run with automatic axes: what is traced inside sees no mesh. What comes back has types again, as the caller says
for each result.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.sharding import NamedSharding, PartitionSpec

from ..solution import Tree
from .batched_axes import run_batched
from .closure import close_over
from .device_axis import automatic, explicit_mesh, without_mesh
from .shapes import shape_like


def run_automatic(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    specs_of: Callable[[Tree], list[PartitionSpec]],
    *,
    batched: bool = False,
) -> Any:
    """A function's value, with automatic axes inside where the types of its arguments name a mesh.

    Args:
        function: of the arguments; arrays that it closes over must have plain types.
        args: trees of arrays and other things.
        specs_of: how each array of the value is to be spread, in order, from the value with shapes in their place.
        batched: whether ``jax.vmap`` runs it for several elements, which may be spread over another axis of the mesh.
            Derivatives on a mesh of several axes are then those of reverse mode alone.
    """
    arrays, rest = eqx.partition(args, eqx.is_array)
    mesh = next((mesh for leaf in jax.tree.leaves(arrays) if (mesh := explicit_mesh(leaf)) is not None), None)
    if mesh is None:
        return function(*args)
    with without_mesh():
        shapes = jax.tree.map(shape_like, arrays)
        closed = close_over(lambda arrays: function(*eqx.combine(arrays, rest)), shapes)
    specs = specs_of(closed.shapes)
    if batched and len(mesh.axis_names) > 1:
        return closed.program.assembled(run_batched(closed, jax.tree.leaves(arrays), specs, mesh))
    places = [NamedSharding(mesh, spec) for spec in specs]
    run: Callable[..., Any] = jax.sharding.auto_axes(closed.flat, axes=mesh.axis_names, out_sharding=places)
    return closed.program.assembled(run(arrays))


def without_types(tree: Tree) -> Tree:
    """The same arrays where they lie, with types that name no mesh, so that each can be sliced and joined at will.

    Args:
        tree: of arrays that are not traced, and other things.
    """

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or explicit_mesh(leaf) is None:
            return leaf
        where: Any = leaf.sharding
        return jax.device_put(leaf, NamedSharding(automatic(where.mesh), where.spec))

    return jax.tree.map(place, tree)
