"""Files that a command is to write: refused before time is spent on their content."""

import tempfile
from collections.abc import Collection
from pathlib import Path

import typer

from ..pictures import style
from ._errors import wrong_usage

PICTURES = "--plot", "--html"
"""Options whose files hold pictures."""


def check_file(option: str, path: Path | None, known: Collection[str]) -> None:
    """Refuse a file that could not be written.

    Args:
        option: that names it.
        path: the file; None where none is wanted.
        known: endings of its name, one of which it must have.
    """
    if path is None:
        return
    if path.suffix not in known:
        expected = f"expected a name ending in {' or '.join(sorted(known))}"
        raise typer.BadParameter(f"given {path.name}, {expected}.", param_hint=option)
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if path.is_dir() or not _takes_files(folder):
        raise typer.BadParameter(f"given {path}, which cannot be written, expected another name.", param_hint=option)
    if option in PICTURES:
        with wrong_usage():
            style.require()


def _takes_files(folder: Path) -> bool:
    """Whether a file can be made in a folder, found out by making one that has no name and goes at once."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
