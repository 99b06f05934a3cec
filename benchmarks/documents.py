"""Files of the benchmarks: written in one stroke, and tables put between the marks of a page."""

from pathlib import Path
from typing import Any

from parascan.api.files import write_atomically


def write_text(path: Path, text: str) -> None:
    """Create or replace a text file; half a file, as an interrupt may leave it, cannot come about."""
    write_atomically(path, lambda file: file.write(text.encode()))


def put_between(document: Path, marks: tuple[str, str], text: str) -> None:
    """Replace what stands between two marks of a page.

    Args:
        document: the page.
        marks: the first and the last, each a line of its own.
        text: what is to stand there.
    """
    begin, end = marks
    before, _, rest = document.read_text().partition(begin)
    write_text(document, f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


def table_line(*cells: Any) -> str:
    """A line of a table in Markdown."""
    return "| " + " | ".join(map(str, cells)) + " |"
