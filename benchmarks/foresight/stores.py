"""What is measured, as one JSON file each: truth, which is made once, and answers of ``diagnose``."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..documents import write_text

FOLDER = Path(__file__).parent.parent / "results" / "foresight"
TRUTH, ANSWERS = FOLDER / "truth.json", FOLDER / "answers.json"


def load(path: Path) -> dict[str, dict[str, Any]]:
    """What is stored, by the name of the system."""
    return json.loads(path.read_text()) if path.exists() else {}


def add(path: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Put more beside what is stored of each system, in one stroke.

    Args:
        path: of the file.
        found: fields by system.
    """
    known = load(path)
    for name, fields in found.items():
        known[name] = {**known.get(name, {}), **fields}
    lines = (f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in sorted(known.items()))
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def rounded(value: float, digits: int = 6) -> float | None:
    """A number of few digits; None where it is none."""
    return None if math.isnan(value) else float(f"{value:.{digits}g}")
