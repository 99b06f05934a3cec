"""Measured points on disk, one file each, under a name that everything which decides its numbers goes into."""

import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .provenance import versions
from .source import digest_of
from .written_files import to_json, write_arrays

ABOUT = "about"
"""Name under which a file tells what its numbers were computed with."""


@dataclass(frozen=True)
class PointStore:
    """The points of one measurement; experiments that share the measurement share its points.

    Attributes:
        folder: where all points lie, of whatever measurement.
        measure: the function that measures them.
    """

    folder: Path
    measure: Callable[[Any, Path], Mapping[str, Any]]

    def key(self, point: Any) -> str:
        """A name that changes with the point, the code that measures it and the versions of what that stands on."""
        decides = {"kind": type(point).__name__, "point": asdict(point), **self._decides}
        text = json.dumps(decides, sort_keys=True, default=_plain)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def scratch(self, point: Any) -> Path:
        """The folder of a point's own, for what lets a long measurement be taken up again."""
        return self._home / f"{self.key(point)}.partial"

    def has(self, point: Any) -> bool:
        """Whether a point is measured."""
        return self._path(point).exists()

    def load(self, point: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values of a measured point, and what they were computed with."""
        with np.load(self._path(point), allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files if name != ABOUT}
            about = json.loads(str(stored[ABOUT]))
        return {name: value[()] if value.ndim == 0 else value for name, value in values.items()}, about

    def save(self, point: Any, values: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Store a point in one step; what was left for taking it up again goes."""
        content = {"point": json.loads(json.dumps(asdict(point), default=_plain)), "versions": versions(), **about}
        write_arrays(self._path(point), {**values, ABOUT: np.asarray(to_json(content))})
        shutil.rmtree(self.scratch(point), ignore_errors=True)

    def sweep(self) -> None:
        """Remove the unfinished files of a run that was killed while it wrote one."""
        for path in self._home.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def _path(self, point: Any) -> Path:
        """The file of a point."""
        return self._home / f"{self.key(point)}.npz"

    @functools.cached_property
    def _decides(self) -> dict[str, Any]:
        """What decides the numbers of every point."""
        return {"versions": versions(), "source": digest_of(self.measure)}

    @property
    def _home(self) -> Path:
        """The folder of the measurement."""
        return self.folder / f"{self.measure.__module__.rpartition('.')[2]}.{self.measure.__name__}"


def _plain(value: Any) -> Any:
    """A NumPy number as a Python number."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"point: given a {type(value).__name__}, expected plain numbers, words and tuples of them.")
