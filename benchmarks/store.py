"""Results as data, one file a machine, and the table in the documentation that is made from them."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .case import Case
from .documents import put_between, write_text

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def add(cases: Iterable[Case], row: int, about: dict[str, Any], path: Path, *, anew: bool = True) -> None:
    """Replace what a row has yielded before, in one stroke."""
    known = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    known["machine"] = about
    before = [] if anew else known["rows"].get(str(row), [])
    known["rows"][str(row)] = [*before, *(asdict(case) for case in cases)]
    write_text(path, json.dumps(known, indent=1) + "\n")


def cases(path: Path) -> list[Case]:
    """All stored cases, in the order of their rows."""
    rows = json.loads(path.read_text())["rows"].values()
    return sorted((Case(**entry) for entries in rows for entry in entries), key=lambda case: case.row)


def losing_first(found: list[Case]) -> list[Case]:
    """The cases that miss their target before those that meet it."""
    return sorted(found, key=lambda case: case.met)


def table(path: Path) -> str:
    """A table in Markdown, missed targets first."""
    about = json.loads(path.read_text())["machine"]
    found = cases(path)
    lines = [
        f"{about['processor']}, {about['cores']} cores, {about['platform']}; jax {about['jax']}, "
        f"Python {about['python']}. {sum(case.met for case in found)} of {len(found)} targets met.",
        "",
        "| row | workload | measure | ratio (quartiles) | target | | of the limit | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in losing_first(found):
        spread = f"{number(case.value)} ({number(case.low)} to {number(case.high)})"
        sign = "at most" if case.most else "at least"
        limit = "" if case.limit is None else f"{100 * case.limit:.0f} %"
        verdict = "met" if case.met else "**missed**"
        lines.append(
            f"| {case.row} | {case.name} | {case.measure} | {spread} | {sign} {number(case.target)} | {verdict} | "
            f"{limit} | {case.note} |"
        )
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:.3g}"


def write_document() -> None:
    """Put the tables of all machines between the marks of the document."""
    tables = "\n\n".join(table(path) for path in sorted(RESULTS.glob("*.json")))
    put_between(DOCUMENT, (BEGIN, END), tables)
