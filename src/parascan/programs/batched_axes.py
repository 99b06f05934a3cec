"""Functions with automatic axes in ``jax.vmap`` of arrays whose types name an axis for the batch.

JAX's rules for batches broadcast along that axis by its name, which they take from outside of the function, and which
automatic axes refuse (seen in 0.10.2). Here the whole batch is an argument before types are taken off, and so it is for
the derivative, since JAX has none of its own for functions with a rule for batches.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from .closure import Closed
from .device_axis import explicit_mesh, without_mesh

Flat = Callable[[list[Any]], list[Any]]


def spec_of(leaf: Any) -> PartitionSpec:
    """How the type of an array says that it is spread.

    Args:
        leaf: the array.
    """
    return PartitionSpec() if explicit_mesh(leaf) is None else jax.typeof(leaf).sharding.spec


def run_batched(closed: Closed, arrays: list[Any], specs: list[PartitionSpec], mesh: AbstractMesh) -> list[Array]:
    """The arrays of a function's value, each element of a batch with automatic axes inside.

    The reverse pass runs the function again: how what is between its arguments and its value is to be spread is not
    known.

    Args:
        closed: the function, traced without a mesh.
        arrays: its arguments.
        specs: how each array of the value of one element is to be spread.
        mesh: with the axes that types name.
    """
    held, program = len(closed.closed_over), closed.program
    floats = [_floats(atom.aval) for atom in program.jaxpr.outvars]

    def run(leaves: list[Any]) -> list[Any]:
        return Closed(leaves[:held], program).flat(leaves[held:])

    def forward(leaves: list[Any]) -> tuple[list[Any], list[Any]]:
        return _over_batch(run, specs, mesh)(leaves), leaves

    def backward(leaves: list[Any], cotangents: list[Any]) -> tuple[list[Any]]:
        count = len(leaves)
        moving = [index for index, leaf in enumerate(leaves) if _floats(leaf)]

        def pulled(given: list[Any]) -> list[Any]:
            def of_moving(parts: list[Any]) -> list[Any]:
                known = dict(zip(moving, parts, strict=True))
                results = run([known.get(index, leaf) for index, leaf in enumerate(given[:count])])
                return [each for each, each_floats in zip(results, floats, strict=True) if each_floats]

            return jax.vjp(of_moving, [given[index] for index in moving])[1](given[count:])[0]

        wanted = [each for each, each_floats in zip(cotangents, floats, strict=True) if each_floats]
        places = [spec_of(leaves[index]) for index in moving]
        found = dict(zip(moving, _over_batch(pulled, places, mesh)([*leaves, *wanted]), strict=True))
        return ([found[i] if i in found else np.zeros(leaf.shape, jax.dtypes.float0) for i, leaf in enumerate(leaves)],)

    call = jax.custom_vjp(lambda leaves: forward(leaves)[0])
    call.defvjp(forward, backward)
    return call([*closed.closed_over, *arrays])


def _floats(leaf: Any) -> bool:
    """Whether an array has a derivative."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def _over_batch(run: Flat, specs: list[PartitionSpec], mesh: AbstractMesh) -> Flat:
    """A function with automatic axes inside, of which ``jax.vmap`` makes one of the whole batch.

    Args:
        run: of arrays that have no types.
        specs: how each of its results is to be spread.
        mesh: with the axes that types name.
    """

    @jax.custom_batching.custom_vmap
    def call(leaves: list[Any]) -> list[Any]:
        places = [NamedSharding(mesh, spec) for spec in specs]
        automatic: Any = jax.sharding.auto_axes(run, axes=mesh.axis_names, out_sharding=places)
        return automatic(leaves)

    @call.def_vmap
    def of_batch(size: int, mapped: list[Any], leaves: list[Any]) -> tuple[list[Any], list[bool]]:
        flags = mapped[0]
        over = [spec_of(leaf) for leaf, flag in zip(leaves, flags, strict=True) if flag]
        axis = next((spec[0] for spec in over if spec and spec[0] is not None), None)
        each = jax.vmap(run, in_axes=([0 if flag else None for flag in flags],), axis_size=size)
        with without_mesh():
            whole = _over_batch(each, [PartitionSpec(axis, *spec) for spec in specs], mesh)(leaves)
        return whole, [True] * len(specs)

    return call
