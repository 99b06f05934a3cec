"""What the command line prints: data in, rich tables out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from .paper._claims import Claim
from .paper.table1 import PUBLISHED, Config, Report, Row

WIDTH = 120
"""Columns where there is no terminal to ask, as in a file or a pipe."""

PASSED, FAILED = "[green]holds[/]", "[bold red]FAILS[/]"


def console() -> Console:
    """Where everything is printed."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)


def progress() -> Progress:
    """A bar that leaves nothing behind; without a total it only shows that something is going on."""
    columns = (SpinnerColumn(), BarColumn(16), MofNCompleteColumn(table_column=Column(min_width=5)))
    elapsed = TimeElapsedColumn(table_column=Column(min_width=7))
    return Progress(
        *columns, elapsed, TextColumn("{task.description}", markup=False), console=console(), transient=True
    )


def show(bar: Progress, task: TaskID, at: Report) -> None:
    """Bring a bar up to where a run of table 1 is; without a terminal, print a line for each finished row.

    Args:
        bar: of ``progress``.
        task: its task.
        at: where the run is.
    """
    stages = {
        "exponent": "exponent",
        "newton": f"Newton, {at.updates} updates, merit/T {at.merit:.1e}",
        "finished": f"{at.updates} updates, merit/T {at.merit:.1e}",
        "stored": f"{at.updates} updates (stored by an earlier run)",
    }
    line = f"{at.case.label}: {stages[at.stage]}"
    bar.update(task, completed=at.number, description=line)
    if at.stage in ("finished", "stored") and not bar.console.is_terminal:
        bar.console.print(f"{at.number:2d}/{at.cases} {line}", markup=False)


def systems(descriptions: Iterable[Mapping[str, Any]]) -> Table:
    """One line a system.

    Args:
        descriptions: name, family, size, dt, exponent and equations of each.
    """
    title = "Systems (dt in the system's unit of time)"
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


def _exponent(description: Mapping[str, Any]) -> str:
    """The known exponent with its unit."""
    for unit in ("time", "step"):
        value = description[f"exponent_per_{unit}"]
        if value is not None:
            return f"{value:.4g} /{unit}"
    return "-"


def summary(title: str, lines: Mapping[str, str]) -> Table:
    """A run as names and values.

    Args:
        title: what was run.
        lines: what to say about it, values with their units.
    """
    table = Table(box=box.SIMPLE, title=escape(title), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in lines.items():
        table.add_row(name, escape(value))
    return table


def table1(rows: Sequence[Row]) -> Table:
    """Table 1: exponents and steps of each flow and its observer, ours beside the paper's.

    Args:
        rows: of ``paper.table1.run``.
    """
    headings = ("exponent", "paper", "T", "updates", "+ 1", "paper")
    return _rows(
        "Table 1: exponents per unit of time, and steps of Newton's method",
        headings,
        rows,
        lambda row: (
            f"{row.exponent:.3f}",
            f"{row.published_exponent:.2f}",
            f"{row.length}",
            f"{row.updates}",
            f"{row.counted}",
            f"{row.published_steps}",
        ),
    )


def distances(rows: Sequence[Row]) -> Table:
    """How far each trajectory of table 1 is from the sequential one.

    Args:
        rows: of ``paper.table1.run``.
    """
    return _rows(
        "Distance from the sequential trajectory, in units of the state",
        ("error", "tolerance", "over steps", "of T"),
        rows,
        lambda row: (f"{row.error:.0e}", f"{row.tolerance:.0e}", f"{row.compared}", f"{row.length}"),
    )


def _rows(title: str, headings: Sequence[str], rows: Iterable[Row], cells: Callable[[Row], tuple[str, ...]]) -> Table:
    """A line for each flow and one for its observer below it; fits into 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.label if row.kind == "flow" else "  its observer", *cells(row))
    return table


def notes(config: Config) -> str:
    """How the numbers of table 1 are to be read.

    Args:
        config: what was run.
    """
    lines = [
        f"Exponents: over {config.exponent_length} forward Euler steps of {PUBLISHED.DT}. Updates: of Newton's method "
        f"from standard normals until merit/T <= {config.tolerance:g}, in float64. The paper's loop tests each iterate "
        "one update late: its count is ours + 1. Its counts of flows are for T = 30000 and depend on how iterates that "
        "overflow are put back; they are shown, not claimed.",
        "Distances. Of observers: root mean square over all steps; the tolerance is what the criterion and theorem 2 "
        "(a = 1) allow. Of flows: largest entry up to the prediction horizon (equation 7), where rounding errors, "
        "growing with the exponent, pass the tolerance, or to where the criterion lets residuals exceed rounding.",
    ]
    return "\n".join(lines)


def claims(verdicts: Iterable[Claim]) -> Table:
    """Claims with their verdicts, and every row that contradicts one.

    Args:
        verdicts: of ``paper.table1.claims``.
    """
    table = Table(box=box.SIMPLE, title="Claims", title_justify="left", show_header=False)
    for claim in verdicts:
        lines = "".join(f"\n  {escape(line)}" for line in (*claim.failures, *claim.remarks))
        verdict = PASSED if claim.passed else FAILED
        table.add_row(verdict, f"{claim.checked - len(claim.failures)} of {claim.checked}", claim.statement + lines)
    return table
