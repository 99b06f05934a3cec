"""Text, JSON and arrays as files that exist whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...api.files import write_atomically
from ...diagnostics.estimate import plain


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
