"""The devices that a sequence is cut over along time: an axis of a mesh, or several of its axes taken as one.

Each device holds the same number of consecutive steps. What is computed on a device for itself runs in ``over``, where
axes of the mesh other than time's, such as that of a batch, are left to the compiler.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from ..solution import Tree

TIME = "time"
"""Name of the axis of time on a mesh of several axes."""

NO_MESH = AbstractMesh((), ())
"""The mesh of no axis."""


def automatic(mesh: Any) -> Any:
    """The mesh with automatic axes only: the library decides how arrays are spread, not their types.

    Args:
        mesh: a mesh, or anything else, which is returned unchanged.
    """
    if isinstance(mesh, Mesh):
        return Mesh(mesh.devices, mesh.axis_names)
    return AbstractMesh(mesh.axis_sizes, mesh.axis_names) if isinstance(mesh, AbstractMesh) else mesh


@dataclasses.dataclass(frozen=True)
class DeviceAxis:
    """The axes of a mesh over which time is cut.

    Attributes:
        mesh: with automatic axes.
        names: of the axes, the first one outermost.
    """

    mesh: Mesh | AbstractMesh
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of parts that a sequence is cut into."""
        size = 1
        for name in self.names:
            size *= self.mesh.shape[name]
        return size

    @property
    def platform(self) -> str | None:
        """The platform of the devices; None where only the shape of the mesh is known, for the default platform."""
        return self.mesh.devices.flat[0].platform if isinstance(self.mesh, Mesh) else None

    def divides(self, length: int) -> bool:
        """Whether each device gets the same number of steps, and at least one."""
        return length > 0 and length % self.size == 0

    def rows(self, before: int = 0) -> PartitionSpec:
        """How an array is spread whose axis of time comes after some others."""
        return PartitionSpec(*(None for _ in range(before)), self.names)

    def over(self, function: Callable[..., Any], in_specs: Any, out_specs: Any) -> Callable[..., Any]:
        """A function that each device runs on its part of the arguments.

        Args:
            function: of the parts; collective operations in it go over ``names``.
            in_specs: ``rows()`` for arguments that are cut along time, ``PartitionSpec()`` for those that all share.
            out_specs: the same for results.
        """
        # Which values are alike on all devices is not tracked through loops.
        axes = frozenset(self.names)
        spread = jax.shard_map(
            function, mesh=self.mesh, axis_names=axes, in_specs=in_specs, out_specs=out_specs, check_vma=False
        )

        def run(*args: Any) -> Any:
            # Only in a compiled program may other axes of the mesh be left to the compiler.
            traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(args))
            return spread(*args) if traced else jax.jit(spread)(*args)

        return run

    def kept(self, rows: Tree) -> Tree:
        """The same arrays, each device holding its steps; unchanged where the devices do not divide the steps.

        Args:
            rows: leaves with leading axis T.
        """
        leaves, structure = jax.tree.flatten(rows)
        cut = [index for index, leaf in enumerate(leaves) if self.divides(len(leaf))]
        if cut:
            held = self.over(lambda *parts: parts, self.rows(), self.rows())(*(leaves[index] for index in cut))
            for index, leaf in zip(cut, held, strict=True):
                leaves[index] = leaf
        return jax.tree.unflatten(structure, leaves)


def one_later(first: Array, rows: Array, devices: DeviceAxis | None) -> Array:
    """Rows moved to the place of the next row: ``first`` and all rows but the last.

    Each device sends its last row to the next one. Left to the compiler, every device would get all rows.

    Args:
        first: the row that comes first.
        rows: with leading axis T.
        devices: that the rows are cut over.
    """
    if devices is None or not devices.divides(len(rows)):
        return jnp.concatenate([first[None], rows[:-1]])
    pairs = [(source, source + 1) for source in range(devices.size - 1)]

    def part(first: Array, rows: Array) -> Array:
        arriving = jax.lax.ppermute(rows[-1], devices.names, pairs)
        arriving = jnp.where(jax.lax.axis_index(devices.names) == 0, first, arriving)
        return jnp.concatenate([arriving[None], rows[:-1]])

    return devices.over(part, (PartitionSpec(), devices.rows()), devices.rows())(first, rows)


def one_earlier(rows: Array, last: Array, devices: DeviceAxis | None) -> Array:
    """Rows moved to the place of the row before: all rows but the first, and ``last``.

    Args:
        rows: with leading axis T.
        last: the row that comes last.
        devices: that the rows are cut over.
    """
    if devices is None or not devices.divides(len(rows)):
        return jnp.concatenate([rows[1:], last[None]])
    pairs = [(source + 1, source) for source in range(devices.size - 1)]

    def part(rows: Array, last: Array) -> Array:
        arriving = jax.lax.ppermute(rows[0], devices.names, pairs)
        arriving = jnp.where(jax.lax.axis_index(devices.names) == devices.size - 1, last, arriving)
        return jnp.concatenate([rows[1:], arriving[None]])

    return devices.over(part, (devices.rows(), PartitionSpec()), devices.rows())(rows, last)


def axis_of(mesh: Any, like: DeviceAxis | None = None) -> DeviceAxis:
    """The axes of a mesh over which time is cut: its only one, those of the inputs, or the one called "time".

    Args:
        mesh: given by the user.
        like: axes that the inputs are spread over along time, or None.

    Raises:
        TypeError: it is no mesh.
        ValueError: it has several axes, of which none is known to be that of time.
    """
    if not isinstance(mesh, Mesh | AbstractMesh):
        raise TypeError(f"mesh: given {type(mesh).__name__}, expected a jax.sharding.Mesh or None.")
    if len(mesh.axis_names) == 1:
        return DeviceAxis(automatic(mesh), mesh.axis_names)
    if like is not None and set(like.names) <= set(mesh.axis_names):
        return DeviceAxis(automatic(mesh), like.names)
    if TIME in mesh.axis_names:
        return DeviceAxis(automatic(mesh), (TIME,))
    raise ValueError(
        f"mesh: given axes {mesh.axis_names}, expected one axis, or one of them called {TIME!r}, or inputs that are "
        "spread over one of them along time."
    )


def explicit_mesh(leaf: Any) -> AbstractMesh | None:
    """The mesh that the type of an array names, with axes by which types say how arrays are spread; None without one.

    None too within ``jax.shard_map``, where an array is the part of one device.

    Args:
        leaf: the array.
    """
    mesh = jax.typeof(leaf).sharding.mesh if on_mesh(leaf) else None
    return mesh if mesh is not None and AxisType.Explicit in mesh.axis_types else None


def on_mesh(leaf: Any) -> bool:
    """Whether the type of an array names a mesh, and the array is not the part of one device within ``jax.shard_map``.

    Args:
        leaf: the array.
    """
    mesh = getattr(getattr(jax.typeof(leaf), "sharding", None), "mesh", None)
    return mesh is not None and not mesh.empty and AxisType.Manual not in mesh.axis_types


def sharded_axis(leaf: Any) -> DeviceAxis | None:
    """The axes over which the leading axis of an array is spread, by its type or by where it lies; None for no axis.

    Args:
        leaf: the array.
    """
    place = None if isinstance(leaf, Tracer) else getattr(leaf, "sharding", None)
    if not isinstance(place, NamedSharding):
        if explicit_mesh(leaf) is None:
            return None
        place = jax.typeof(leaf).sharding
    first = place.spec[0] if place.spec else None
    if first is None:
        return None
    found = DeviceAxis(automatic(place.mesh), first if isinstance(first, tuple) else (first,))
    # An axis of one device cuts nothing, but types that name it are to be taken off all the same.
    return found if found.size > 1 or explicit_mesh(leaf) is not None else None


def devices_of(mesh: Any, xs: Tree) -> DeviceAxis | None:
    """The devices that a call is spread over along time: those of a mesh, or of its inputs; None for one device.

    Args:
        mesh: given by the user, or None; or what this function has found before.
        xs: inputs with leading axis T.

    Raises:
        TypeError: the mesh is none.
        ValueError: it has several axes, of which none is known to be that of time.
    """
    if isinstance(mesh, DeviceAxis):
        return mesh
    found = (sharded_axis(leaf) for leaf in jax.tree.leaves(xs) if isinstance(leaf, jax.Array))
    theirs = next((each for each in found if each is not None), None)
    return theirs if mesh is None else axis_of(mesh, theirs)


@contextmanager
def without_mesh() -> Iterator[None]:
    """A context in which no mesh is set, unless it is within ``jax.shard_map``.

    What is traced in it can be run both outside and inside of the library's own ``jax.shard_map``.
    """
    now = jax.sharding.get_abstract_mesh()
    if now.empty or AxisType.Manual in now.axis_types:
        yield
    else:
        with jax.sharding.use_abstract_mesh(NO_MESH):
            yield


@contextmanager
def automatic_mesh() -> Iterator[None]:
    """A context in which the mesh that is set, if one is, has automatic axes; nothing changes inside of ``jax.jit``."""
    try:
        now = jax.sharding.get_mesh()
    except ValueError:
        # Inside of ``jax.jit`` no concrete mesh is known.
        now = None
    if now is None or AxisType.Explicit not in now.axis_types:
        yield
    else:
        with jax.set_mesh(automatic(now)):
            yield
