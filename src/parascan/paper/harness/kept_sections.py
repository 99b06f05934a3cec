"""What the page of results says of experiments that a run has no dataset of: their sections stay as they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROW = re.compile(r"^\| \[([^\]]+)\]\(#([^)]*)\)", re.MULTILINE)
"""A line of the table at the top: label and anchor of an experiment."""

MACHINES = re.compile(r"Computed on (.*?)\. A step count")
"""Where the page says which machines it is of."""


@dataclass(frozen=True)
class Kept:
    """Parts of a page as it was written before.

    Attributes:
        rows: lines of the table at the top by label.
        sections: text of the sections by label.
        machines: what the numbers were computed on.
    """

    rows: Mapping[str, str]
    sections: Mapping[str, str]
    machines: tuple[str, ...]


def kept(page: Path) -> Kept:
    """The parts of a page; none where there is no page yet.

    Args:
        page: the page.
    """
    if not page.exists():
        return Kept({}, {}, ())
    text = page.read_text(encoding="utf-8")
    head, *parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    by_anchor = {anchor(part.partition("\n")[0].removeprefix("## ")): part for part in parts}
    rows, sections = {}, {}
    for line in head.splitlines():
        found = ROW.match(line)
        if found and found[2] in by_anchor:
            rows[found[1]] = line
            # The page is put together with one empty line between its parts.
            sections[found[1]] = by_anchor[found[2]].rstrip("\n") + "\n"
    machines = MACHINES.search(" ".join(head.split()))
    return Kept(rows, sections, tuple(machines[1].split("; ")) if machines else ())


def anchor(heading: str) -> str:
    """Where a section of a heading is."""
    return "".join(each for each in heading.lower() if each.isalnum() or each in " -_").replace(" ", "-")
