"""The counted programs as JSON and as the table of ``docs/accelerators.md``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "benchmarks" / "results" / "accelerator" / "h100-compiled.json"
DOCUMENT = ROOT / "docs" / "accelerators.md"
BEGIN, END = "<!-- table of the compiled programs: begin -->", "<!-- table of the compiled programs: end -->"
HEADER = (
    "| row | method | launches (counted) | of the plain loop's | reads of the host (counted) | bytes (counted) | "
    "temporary memory (counted) | seconds (modeled) | |\n|---|---|---|---|---|---|---|---|---|"
)


def written(found: Sequence[dict[str, Any]]) -> str:
    """The table.

    Args:
        found: records as ``__main__`` makes them, those of a system one after the other.
    """
    lines, system, plain = [], None, 1.0
    for each in found:
        if each["system"] != system:
            system, plain = each["system"], each["launches"]
            lines += ["", f"**{system}**", "", HEADER]
        share = (
            ""
            if each["method"] == "jax.lax.scan"
            else f"1 / {plain / each['launches']:,.{1 if plain < 100 * each['launches'] else 0}f}"
        )
        cells = [
            str(each["row"]),
            f"`{each['method']}`",
            f"{each['launches']:,.0f}",
            share,
            f"{each['reads']:,.0f}",
            _bytes(each["bytes"]),
            _bytes(each["temporary"]),
            f"{each['seconds']:.2g}",
            each["note"],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines).strip()


def _place(each: dict[str, Any]) -> tuple[bool, int, str]:
    """Where a record stands: systems by row, the GRU before all others."""
    return each["row"] != 4, each["row"], each["system"]


def _bytes(count: float) -> str:
    """A number of bytes with three digits."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def store(found: Sequence[dict[str, Any]]) -> None:
    """Keep the records in the place of those of the same systems, and put the table of all into the document."""
    anew = {each["system"] for each in found}
    kept = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else []
    found = sorted([each for each in kept if each["system"] not in anew] + list(found), key=_place)
    STORE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{written(found)}\n{END}{rest.split(END)[1]}", encoding="utf-8")
