"""The state file of a sweep over points: every value is added to its end as it comes, under a digest of its point."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from .digest import name_of
from .parameter_store import versions

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
        self._head = {
            "format": FORMAT,
            "function": name_of(function),
            "versions": versions(),
            "floats": str(jnp.result_type(float)),
        }
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
        """Write a record at the end, if it can be read again."""
        content = pickle.dumps(record)
        pickle.loads(content)
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
                expected = "expected one that ps.sweep wrote, or none. Remove the file to start anew"
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
                except Exception as error:  # of the classes of the values
                    raise ValueError(
                        f"state_file: given {self.path}, with a value that cannot be read again ({error}), expected "
                        "the classes of the values as they were. Remove the file to start anew."
                    ) from error
                self._values[digest] = value
                whole = file.tell()
            file.truncate(whole)
