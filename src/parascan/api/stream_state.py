"""The state files of a stream: one, or one for each of several processes that go on from the same moment."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from ..programs.processes import agreed, processes_of
from .checkpoint import Mark, load_mark, save_mark
from .stream_window import Window


class StateFile:
    """Where a stream stands, on disk.

    Several processes have a file each, whose name ends in the number of the process. One of them may have been ended
    after the others had written theirs; so each keeps the mark before the last one too, and they go on from the last
    one that all have.

    Args:
        path: as the user gave it.
        setting: what must be the same when it is read again, as JSON.
        window: of the stream.
    """

    def __init__(self, path: Path, setting: dict[str, Any], window: Window) -> None:
        processes = processes_of(window.mesh) or [jax.process_index()]
        self._alone = len(processes) == 1
        self._given, self._window = path, window
        self.path = path if self._alone else _of(path, jax.process_index())
        devices = 1 if window.mesh is None else window.mesh.size
        self._setting = {"processes": len(processes), "devices": devices, **setting, "own": list(window.own)}

    def load(self, start: Mark, take: Callable[[Mark, str | None], None]) -> Mark:
        """Where the stream stands: a stored mark, or the start where no file is.

        Args:
            start: the mark of a stream without a file.
            take: called with the mark and the fingerprint of the inputs before it, to look whether they are the same.

        Raises:
            ValueError: a file belongs to another stream, or to another number of processes; on all of these.
        """
        found: dict[int, tuple[Mark, str | None]] = {}

        def read() -> str:
            self._refuse_others()
            like = Mark(start.position, start.carry, self._window.stored(start.guess))
            for path in [self.path] if self._alone else [_before(self.path), self.path]:
                if (stored := load_mark(path, like, self._setting)) is not None:
                    found[stored[0].position] = stored
            if not _before(self.path).exists():
                # Without a mark before it there was none but the start.
                found.setdefault(start.position, (like, None))
            return json.dumps(sorted(found))

        if self._alone:
            read()
            position = max(found)
        else:
            everywhere = [set(json.loads(each)) for each in agreed(read, self._mesh)]
            common = set.intersection(*everywhere)
            if not common:
                raise ValueError(
                    f"state_file: given {self._given}, of whose files no two have a moment in common: they stand after "
                    f"steps {[sorted(each) for each in everywhere]}. Remove them to start anew."
                )
            position = max(common)
        mark, inputs = found[position]

        def check() -> str:
            take(mark, inputs)
            return ""

        self._together(check)
        return Mark(mark.position, mark.carry, self._window.restored(mark.guess))

    def save(self, mark: Mark, inputs: str) -> None:
        """Write where the stream stands; every process has, when this returns.

        Args:
            mark: where it stands.
            inputs: fingerprint of the inputs before it.
        """

        def write() -> str:
            own = Mark(mark.position, mark.carry, self._window.stored(mark.guess))
            if not self._alone and self.path.exists():
                self.path.replace(_before(self.path))
            save_mark(self.path, own, {**self._setting, "inputs": inputs})
            return ""

        self._together(write)

    @property
    def _mesh(self) -> Any:
        """The devices over which processes tell each other what they have."""
        return self._window.mesh

    def _together(self, action: Callable[[], str]) -> None:
        """An action on every process, whose error on one of them is raised on all."""
        if self._alone:
            action()
        else:
            agreed(action, self._mesh)

    def _refuse_others(self) -> None:
        """Refuse to begin anew where another number of processes has left its files."""
        other = _of(self._given, 0) if self._alone else self._given
        if other.exists() and not self.path.exists():
            by = "several processes" if self._alone else "one process"
            raise ValueError(
                f"state_file: given {self._given}, but {other} is there, written by {by}, expected the same number of "
                "processes as before. Remove it to start anew."
            )


def _of(path: Path, process: int) -> Path:
    """The file of a process."""
    return path.with_name(f"{path.name}.{process}")


def _before(path: Path) -> Path:
    """The file with the mark before the last one."""
    return path.with_name(f"{path.name}.before")
