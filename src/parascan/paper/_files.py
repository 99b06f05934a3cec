"""Files that exist whole or not at all: written under another name beside the target, then renamed onto it."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..diagnostics.estimate import plain


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Create or replace a file in one step, so that an interrupt at any moment leaves the old one or the new one.

    Args:
        path: the file; its folder is created.
        write: writes the content to an open binary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """A text file in UTF-8, atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """A JSON file, atomically; numbers that are not finite become null."""
    write_text(path, to_json(value))


def to_json(value: Any) -> str:
    """Strict, indented JSON; numbers that are not finite become null."""
    return json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """An npz file of numbers, atomically; NumPy 2.0 takes every further keyword for one more array."""
    write_atomically(path, lambda file: np.savez(file, **arrays))
