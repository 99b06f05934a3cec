"""Where a long Newton run is, on disk, so that it can be taken up again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .written_files import write_arrays


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
class IterateFile:
    """The iterate that a run goes on from.

    Attributes:
        path: the file, which need not exist.
    """

    path: Path

    def load(self) -> Iterate | None:
        """The iterate, None when there is none."""
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                return Iterate(stored["states"], int(stored["updates"]))
        except FileNotFoundError:
            return None

    def save(self, iterate: Iterate) -> None:
        """Store the iterate in place of the one before."""
        write_arrays(self.path, {"states": iterate.states, "updates": iterate.updates})
