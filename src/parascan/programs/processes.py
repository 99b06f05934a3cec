"""Several processes that run one program together: what one of them has chosen, for all; what fails on one, on all.

Processes exchange texts over the devices of a mesh, so that those without a device in it take no part. Every process
with a device of the mesh must make the same calls in the same order.
"""

import functools
import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from ..solution import Tree
from .device_axis import automatic

T = TypeVar("T")

KINDS = {kind.__name__: kind for kind in (TypeError, ValueError, ImportError, OSError)}
"""Kinds of errors that are raised on other processes as on the one that had it; others become a ``RuntimeError``."""

MOST_GATHERED = 2**30
"""Most bytes of arrays that are gathered from several processes onto each of them."""

ALL = "all"
"""Name of the axis of all devices."""


def processes_of(mesh: Mesh | AbstractMesh | None) -> list[int]:
    """Numbers of the processes that have devices of a mesh; none where it is not known which devices it has.

    Args:
        mesh: the mesh, or None.
    """
    return sorted({device.process_index for device in mesh.devices.flat}) if isinstance(mesh, Mesh) else []


def spans_processes(mesh: Mesh | AbstractMesh | None) -> bool:
    """Whether devices of a mesh are those of several processes.

    Args:
        mesh: the mesh, or None.
    """
    return len(processes_of(mesh)) > 1


def texts_of_all(text: str, mesh: Mesh) -> list[str]:
    """The text of every process of a mesh, in the order of their numbers.

    Args:
        text: of this process.
        mesh: with devices of this process and of others.
    """
    content = np.frombuffer(text.encode(), np.uint8)
    first = {}
    for place, device in enumerate(mesh.devices.flat):
        first.setdefault(device.process_index, place)
    places = [first[process] for process in sorted(first)]
    sizes = _exchanged(np.array([len(content)], np.int32), mesh)[places, 0]
    row = np.zeros(max(int(sizes.max()), 1), np.uint8)
    row[: len(content)] = content
    rows = _exchanged(row, mesh)[places]
    return [each[:size].tobytes().decode() for each, size in zip(rows, sizes, strict=True)]


def text_of_first(make: Callable[[], str], mesh: Mesh) -> str:
    """A text that the first process of a mesh makes, for all of them.

    Args:
        make: called on the first process alone.
        mesh: with devices of this process and of others.

    Raises:
        Exception: what ``make`` raised, on all processes.
    """
    first = jax.process_index() == processes_of(mesh)[0]
    return agreed(make if first else str, mesh)[0]


def agreed(make: Callable[[], str], mesh: Mesh) -> list[str]:
    """The texts that every process makes; an error of one of them is raised on all.

    Args:
        make: called on every process.
        mesh: with devices of this process and of others.

    Raises:
        Exception: what ``make`` raised here, or what it raised on the first other process where it failed.
    """
    own, kind, text = None, "", ""
    try:
        text = make()
    except Exception as error:
        own, kind, text = error, type(error).__name__, str(error)
    found = [json.loads(each) for each in texts_of_all(json.dumps([kind, text]), mesh)]
    if own is not None:
        raise own
    for process, (kind, text) in zip(processes_of(mesh), found, strict=True):
        if kind:
            name = "" if kind in KINDS else f"{kind}: "
            raise KINDS.get(kind, RuntimeError)(f"on process {process}: {name}{text}")
    return [text for _, text in found]


def on_this_process(name: str, tree: Tree) -> Tree:
    """Arrays whose parts lie on several processes, whole on this one; others as they are.

    Args:
        name: of the argument, for the error.
        tree: arrays.

    Raises:
        TypeError: they are spread in a way that is none of a mesh.
        ValueError: they are too large to be gathered.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(tree) if not _is_here(leaf))
    if size > MOST_GATHERED:
        raise ValueError(
            f"{name}: given {size} bytes that are spread over processes, expected {MOST_GATHERED} at most, or arrays "
            "that every process has, such as a part of them: a plan is made on the first process alone."
        )
    return jax.tree.map(lambda leaf: leaf if _is_here(leaf) else _apart(lambda: _gathered(name, leaf)), tree)


def _is_here(leaf: Any) -> bool:
    """Whether this process has the whole of an array."""
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable


def _gathered(name: str, leaf: jax.Array) -> jax.Array:
    """An array whose parts lie on several processes, whole on this one."""
    if leaf.is_fully_replicated:
        return leaf.addressable_data(0)
    if not isinstance(leaf.sharding, NamedSharding):
        given = type(leaf.sharding).__name__
        raise TypeError(f"{name}: given an array spread over processes by a {given}, expected a NamedSharding.")
    place = NamedSharding(automatic(leaf.sharding.mesh), PartitionSpec())
    return jax.jit(lambda whole: whole, out_shardings=place)(leaf).addressable_data(0)


def _exchanged(row: np.ndarray, mesh: Mesh) -> np.ndarray:
    """The rows of all devices, each of which has that of its process."""
    devices = Mesh(mesh.devices.reshape(-1), (ALL,))
    shape = (devices.size, *row.shape)

    def exchange() -> np.ndarray:
        rows = jax.make_array_from_callback(shape, NamedSharding(devices, PartitionSpec(ALL)), lambda _: row[None])
        return np.asarray(_on_all(devices)(rows).addressable_data(0))

    return _apart(exchange)


@functools.cache
def _on_all(devices: Mesh) -> Callable[[Any], Any]:
    """A program that gives every device all rows."""
    return jax.jit(lambda rows: rows, out_shardings=NamedSharding(devices, PartitionSpec()))


def _apart(function: Callable[[], T]) -> T:
    """A function's value in a thread of its own, where nothing is being traced and no mesh is set."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(function())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
