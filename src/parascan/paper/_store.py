"""Finished rows and unfinished iterates on disk, each under its configuration, so that a run can be taken up again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ._files import write_arrays, write_json


@dataclass(frozen=True)
class Iterate:
    """Where a solver was when it was last stored.

    Attributes:
        states: trajectory [T, D].
        updates: number of updates that led to it.
    """

    states: Float[np.ndarray, "T D"]
    updates: int


@dataclass(frozen=True)
class Slot:
    """The files of one row under one configuration; another configuration has other files.

    Attributes:
        folder: where the files lie.
        name: start of their names.
        config: everything that decides the numbers, as JSON values.
    """

    folder: Path
    name: str
    config: Mapping[str, Any]

    def load(self) -> dict[str, Any] | None:
        """The finished row, None when there is none."""
        try:
            return json.loads(self._path("json").read_text(encoding="utf-8"))["row"]
        except FileNotFoundError:
            return None

    def save(self, row: Mapping[str, Any], arrays: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Store a finished row; its JSON file comes last, because it is what says that the row is finished."""
        write_arrays(self._path("npz"), arrays)
        write_json(self._path("json"), {"row": row, "config": self.config, "provenance": provenance})
        self._path("iterate.npz").unlink(missing_ok=True)

    def load_iterate(self) -> Iterate | None:
        """The iterate to go on from, None when there is none."""
        try:
            with np.load(self._path("iterate.npz"), allow_pickle=False) as stored:
                return Iterate(stored["states"], int(stored["updates"]))
        except FileNotFoundError:
            return None

    def save_iterate(self, iterate: Iterate) -> None:
        """Store the iterate that a later run may go on from."""
        write_arrays(self._path("iterate.npz"), {"states": iterate.states, "updates": iterate.updates})

    def _path(self, kind: str) -> Path:
        """A file of this row."""
        text = json.dumps(self.config, sort_keys=True)
        return self.folder / f"{self.name}_{hashlib.sha256(text.encode()).hexdigest()[:10]}.{kind}"
