"""What the command line prints: data in, rich tables out."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from ..paper.harness.claims import Claim, Verdict
from ..paper.harness.run import Report

WIDTH = 120
"""Columns of the output where it goes to no terminal, but to a file or a pipe."""

NARROW = 70
"""Columns of a terminal below which names and values are not put beside each other."""

COLORS = {
    Verdict.met: "[green]met[/]",
    Verdict.explained: "[yellow]explained[/]",
    Verdict.missed: "[bold red]MISSED[/]",
}
"""Verdicts of claims as they are printed."""

MOST_FAILURES = 5
"""Most rows that are named of those that contradict a claim."""


def console(*, aside: bool = False) -> Console:
    """The console to which everything is printed.

    Args:
        aside: whether to print to the standard error, which leaves the standard output to what other programs read.
    """
    found = Console(highlight=False, stderr=aside)
    return (
        found if found.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, stderr=aside, width=WIDTH)
    )


def progress() -> Progress:
    """A bar that leaves nothing behind; without a total it only shows that something is going on."""
    columns = (SpinnerColumn(), BarColumn(16), MofNCompleteColumn(table_column=Column(min_width=5)))
    elapsed = TimeElapsedColumn(table_column=Column(min_width=7))
    return Progress(
        *columns, elapsed, TextColumn("{task.description}", markup=False), console=console(aside=True), transient=True
    )


def reproduction() -> Progress:
    """A bar over points with the time left; it stays when it is done."""
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(min_width=12)),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console(aside=True),
        speed_estimate_period=600,
    )


def show(bar: Progress, task: TaskID, at: Report) -> None:
    """Bring a bar up to where a run is; without a terminal, print a line at every tenth of the points.

    Args:
        bar: of ``reproduction``.
        task: its task.
        at: where the run is.
    """
    before = int(bar.tasks[task].completed)
    bar.update(task, completed=at.finished, total=at.total)
    tenth = max(1, at.total // 10)
    if not bar.console.is_terminal and at.finished // tenth > before // tenth:
        seconds = bar.tasks[task].elapsed or 0.0
        left = f"{seconds / at.fresh * (at.total - at.finished):.0f} s left" if at.fresh else "stored by an earlier run"
        bar.console.print(f"{at.finished} of {at.total} points, {seconds:.0f} s, {left}")


def systems(descriptions: Iterable[Mapping[str, Any]]) -> Table | Group:
    """One line a system; on a narrow terminal two, without its equations.

    Args:
        descriptions: name, family, size, dt, exponent and equations of each.
    """
    title = "Systems (dt in the system's unit of time)"
    if console().width < NARROW:
        return _stacked(title, {each["name"]: _in_short(each) for each in descriptions})
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", expand=True)
    for heading in ("name", "D", "kind", "dt", "exponent"):
        table.add_column(heading, justify="right" if heading in ("D", "dt") else "left", no_wrap=True)
    # The only column that gives way to a narrow terminal; --json has it whole.
    table.add_column("equations", no_wrap=True, overflow="ellipsis", ratio=1)
    for each in descriptions:
        dt = "-" if each["dt"] is None else f"{each['dt']:g}"
        cells = (each["name"], str(each["size"]), each["family"], dt, _exponent(each), each["equations"])
        table.add_row(*map(escape, cells))
    return table


def _in_short(description: Mapping[str, Any]) -> str:
    """A system in a line."""
    dt = "" if description["dt"] is None else f", dt {description['dt']:g}"
    known = _exponent(description)
    exponent = "" if known == "-" else f", exponent {known}"
    return f"D = {description['size']}, {description['family']}{dt}{exponent}"


def _exponent(description: Mapping[str, Any]) -> str:
    """The known exponent with its unit."""
    for unit in ("time", "step"):
        value = description[f"exponent_per_{unit}"]
        if value is not None:
            return f"{value:.4g} /{unit}"
    return "-"


def summary(title: str, lines: Mapping[str, str]) -> Table | Group:
    """A run as names and values; on a narrow terminal each value is below its name.

    Args:
        title: what was run.
        lines: what to say about it, values with their units.
    """
    if console().width < NARROW:
        return _stacked(title, lines)
    table = Table(box=box.SIMPLE, title=escape(title), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in lines.items():
        table.add_row(name, escape(value))
    return table


def _stacked(title: str, lines: Mapping[str, str]) -> Group:
    """Names, and below each its value."""
    entries = [Text.assemble((name, "bold"), f"\n  {value}") for name, value in lines.items()]
    return Group(Text(f"{title}\n", style="italic"), *entries)


def cells(lines: Sequence[Sequence[str]]) -> Table | Group:
    """Lines of cells as a table, numbers to the right; where the terminal is too narrow, one block for each line.

    Args:
        lines: the first one holds the headings.
    """
    headings, *rows = lines
    if sum(max(map(len, column)) + 3 for column in zip(*lines, strict=True)) > console().width:
        named = [[f"{name} {cell}".strip() for name, cell in zip(headings, row, strict=True) if cell] for row in rows]
        return _stacked("", {row[0]: ", ".join(row[1:]) for row in named})
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for line in rows:
        table.add_row(*map(escape, line))
    return table


def claims(verdicts: Iterable[Claim]) -> Group:
    """Claims with their verdicts; below them the rows that contradict one, and why.

    Args:
        verdicts: of an experiment's ``claims``.
    """
    table = Table(box=box.SIMPLE_HEAD, title="Claims", title_justify="left", pad_edge=False)
    for heading in ("quantity", "published", "tolerance", "ours", "verdict"):
        table.add_column(heading)
    details = []
    for claim in verdicts:
        cells = (claim.quantity, claim.published, claim.tolerance, claim.ours)
        table.add_row(*map(escape, cells), COLORS[claim.verdict])
        reasons = (*claim.remarks, *claim.failures[:MOST_FAILURES], claim.explanation)
        details += [f"{claim.quantity}: {reason}" for reason in reasons if reason]
        if len(claim.failures) > MOST_FAILURES:
            details.append(f"{claim.quantity}: {len(claim.failures) - MOST_FAILURES} more")
    return Group(table, *map(Text, details))
