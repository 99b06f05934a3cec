"""The file of a sweep: it keeps every measured point, so that a sweep that was stopped goes on from there."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...solution import Tree
from ..files import write_atomically
from .measure_point import Found, Measure
from .parameter_values import Point

FORMAT = 1
"""Version of the file's layout."""

PACKAGES = ("parascan", "jax", "jaxlib", "numpy")
"""Packages whose versions are stored with a sweep, since another version may change its numbers."""


class Store:
    """Measured points by the values of their parameters, on disk after each of them.

    Args:
        path: the file, which need not exist.
        measure: what measures the points.
        names: of the parameters.

    Raises:
        ValueError: the file is no store of a sweep, or was written for another call.
    """

    def __init__(self, path: Path, measure: Measure, names: list[str]) -> None:
        self.path = path
        self._measure = measure
        self._setting = _setting(measure, names)
        self._checked: dict[str, Any] = {}
        self._entries: dict[str, dict[str, Any]] = {}
        if path.exists():
            self._read()

    def known(self, point: Point) -> Found | None:
        """What is stored of a point; None for one that failed, which is measured again."""
        entry = self._entries.get(_name(point))
        if entry is None:
            return None
        found = Found.from_dict({**_numbers(entry["found"]), "index": point.index, "length": entry["found"]["length"]})
        return None if found.reason else found

    def keep(self, point: Point, found: Found) -> None:
        """Add a point, and write the file."""
        if not self._checked and not found.reason:
            self._checked = {"values": dict(point.values), "digest": _digest(self._measure, point)}
        entry = {"values": dict(point.values), "found": _words(found.to_dict())}
        self._entries[_name(point)] = entry
        content = {**self._setting, "checked": self._checked, "points": list(self._entries.values())}
        text = json.dumps(content, indent=1, allow_nan=False)
        write_atomically(self.path, lambda file: file.write(text.encode()))

    def _read(self) -> None:
        """Take in what the file holds."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            stored = {name: content.pop(name) for name in ("checked", "points")}
            self._entries = {json.dumps(each["values"], sort_keys=True): each for each in stored["points"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"store: given {self.path}, which is no file of a sweep, expected one or none.") from error
        for name, expected in self._setting.items():
            if content.get(name) != expected:
                raise ValueError(
                    f"store: given {self.path}, written with {name} {content.get(name)!r}, expected {expected!r}. "
                    "Remove the file to start anew."
                )
        self._checked = stored["checked"]
        if self._checked:
            point = Point(0, self._checked["values"])
            if _digest(self._measure, point) != self._checked["digest"]:
                raise ValueError(
                    f"store: given {self.path}, written for another make: step, init or xs at {point} are others, "
                    "expected the same. Remove the file to start anew."
                )


def _setting(measure: Measure, names: list[str]) -> dict[str, Any]:
    """All that must be the same for the points of one file, as JSON; a raw key is an array of numbers already."""
    key = measure.key
    data = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    return {
        "format": FORMAT,
        "parameters": names,
        "length": measure.length,
        "max_iterations": measure.max_iterations,
        "budget": measure.budget,
        "solver": eqx.tree_pformat(measure.solver, short_arrays=False),
        "criterion": eqx.tree_pformat(measure.criterion, short_arrays=False),
        "key": np.asarray(data).tolist(),
        "dtype": str(jnp.result_type(float)),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The versions of all packages that may change a number."""
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    """The installed version of a package, ``unknown`` for one that runs without being installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _digest(measure: Measure, point: Point) -> str:
    """A fingerprint of step, initial state and inputs at a point."""
    step, init, xs, length = measure.problem(point)
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf)[1:], jnp.result_type(leaf)), xs)
    traced = jax.make_jaxpr(step)(init, x)
    found = hashlib.blake2b(f"{length}".encode(), digest_size=16)
    # Addresses of objects, which some operations show, are others in every process.
    found.update(re.sub(r"0x[0-9a-f]+", "", str(traced)).encode())
    for leaf in jax.tree.leaves((traced.consts, init, xs)):
        found.update(array_bytes(leaf))
    return found.hexdigest()


def array_bytes(leaf: Tree) -> bytes:
    """Values of an array, a key or a number, with shape and dtype."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()


def _name(point: Point) -> str:
    """The name of a point in the file; its numbers are written so that they are read back the same."""
    return json.dumps(dict(point.values), sort_keys=True)


def _words(tree: Any) -> Any:
    """The tree with words in place of NaN and infinities, which JSON does not have."""
    if isinstance(tree, Mapping):
        return {name: _words(each) for name, each in tree.items()}
    return repr(tree) if isinstance(tree, float) and not math.isfinite(tree) else tree


def _numbers(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with NaN and infinities in place of their words."""
    words = ("outcome", "verdict", "reason")
    return {
        name: _numbers(each) if isinstance(each, Mapping) else each if name in words else float(each)
        for name, each in tree.items()
    }
