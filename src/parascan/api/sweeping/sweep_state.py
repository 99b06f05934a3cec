"""The state file of a sweep over points: every value is added to its end as it comes, under a digest of its point."""

import functools
import hashlib
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .parameter_store import array_bytes, versions

FORMAT = 1
"""Version of the file's layout."""


class SweepState:
    """Values by point, on disk after each of them.

    The file is a row of pickles: a head, and a digest with a value for each point. What a process that was killed left
    half written at its end is cut off.

    Args:
        path: the file, which need not exist.
        function: whose values are kept.

    Raises:
        ValueError: the file is no state file of a sweep, or was written for another function or by other versions.
    """

    def __init__(self, path: Path, function: Callable[[Any], Any]) -> None:
        self.path = path
        self._head = {"format": FORMAT, "function": _name(function), "versions": versions()}
        self._values: dict[str, Any] = {}
        if path.exists():
            self._read()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._add(self._head)

    def known(self, digest: str) -> bool:
        """Whether the value of a point is in the file."""
        return digest in self._values

    def value(self, digest: str) -> Any:
        """The value of a point that is known."""
        return self._values[digest]

    def keep(self, digest: str, value: Any) -> None:
        """Add the value of a point, which is on disk when this returns.

        Raises:
            Exception: of ``pickle``, for a value that it cannot write; the file is as before.
        """
        self._add((digest, value))
        self._values[digest] = value

    def _add(self, record: Any) -> None:
        """Write a record at the end."""
        content = pickle.dumps(record)
        with self.path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> None:
        """Take in what the file holds, and cut off what is not whole."""
        with self.path.open("r+b") as file:
            try:
                head = pickle.load(file)
                given = {name: head[name] for name in self._head}
            except Exception as error:  # whatever the bytes of another file make of themselves
                expected = "expected one that ps.sweep wrote, or none"
                raise ValueError(f"state_file: given {self.path}, which is no state file, {expected}.") from error
            for name, expected in self._head.items():
                if given[name] != expected:
                    raise ValueError(
                        f"state_file: given {self.path}, written with {name} {given[name]!r}, expected {expected!r}. "
                        "Remove the file to start anew."
                    )
            whole = file.tell()
            while True:
                try:
                    digest, value = pickle.load(file)
                except (EOFError, pickle.UnpicklingError):
                    break
                self._values[digest] = value
                whole = file.tell()
            file.truncate(whole)


def digest_of_point(point: Any, place: str) -> str:
    """A name for a point that is the same in every process.

    Args:
        point: numbers, words, arrays, keys, and tuples, lists, mappings and dataclasses of them.
        place: of the point in the caller's arguments, for the error.

    Raises:
        TypeError: the point holds something else.
    """
    found = hashlib.blake2b(digest_size=16)
    _describe(point, place, found.update)
    return found.hexdigest()


def _describe(part: Any, place: str, add: Callable[[bytes], None]) -> None:
    """Add the bytes of a part of a point, with its kind and its size, so that no two points have the same."""
    if isinstance(part, np.generic) and part.dtype.kind in "biufc":
        part = part.item()
    kind = f"{type(part).__module__}.{type(part).__qualname__}"
    if part is None or isinstance(part, bool | int | float | complex | str | bytes | Path | Enum):
        add(f"{kind} {part!r};".encode())
    elif isinstance(part, np.ndarray | jax.Array) and part.dtype != object:
        is_key = jnp.issubdtype(part.dtype, jax.dtypes.prng_key)
        add(f"array {part.dtype if is_key else ''};".encode() + array_bytes(part))
    elif isinstance(part, Mapping):
        add(f"mapping {len(part)};".encode())
        for name in sorted(part, key=repr):
            _describe(name, place, add)
            _describe(part[name], f"{place}[{name!r}]", add)
    elif isinstance(part, tuple | list):
        add(f"{kind} {len(part)};".encode())
        for index, each in enumerate(part):
            _describe(each, f"{place}[{index}]", add)
    elif is_dataclass(part) and not isinstance(part, type):
        add(f"{kind};".encode())
        for each in fields(part):
            _describe(getattr(part, each.name), f"{place}.{each.name}", add)
    else:
        raise TypeError(
            f"{place}: given {type(part).__name__}, by which no state file can know a point again, expected numbers, "
            "words, arrays, and tuples, lists, mappings and dataclasses of them."
        )


def _name(function: Callable[[Any], Any]) -> str:
    """Module and name of a function, with the arguments that ``functools.partial`` has bound."""
    if isinstance(function, functools.partial):
        bound = digest_of_point((function.args, dict(function.keywords)), "function")
        return f"{_name(function.func)} with {bound}"
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
