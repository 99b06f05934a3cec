"""What the command line prints: data in, rich tables out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

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
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(24), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=console(), transient=True)


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
    """Table 1: exponents and steps of each flow and its observer, ours beside the published.

    Args:
        rows: of ``paper.table1.run``.
    """
    title = "Table 1: chaotic flows and their observers"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True)
    # Broken by hand, so that the whole table fits into 80 columns.
    columns = (
        "expo-\nnent",
        "publi-\nshed",
        "\nT",
        "updates\n+ 1",
        "publi-\nshed",
        "\nerror",
        "tole-\nrance",
        "com-\npared",
    )
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.label if row.kind == "flow" else "  its observer",
            f"{row.exponent:.3f}",
            f"{row.published_exponent:.2f}",
            f"{row.length}",
            f"{row.updates} + 1",
            f"{row.published_steps}",
            f"{row.error:.0e}",
            f"{row.tolerance:.0e}",
            f"{row.compared}",
            end_section=row.kind == "observer",
        )
    return table


def notes(config: Config) -> str:
    """How the numbers of table 1 are to be read.

    Args:
        config: what was run.
    """
    lines = [
        f"Exponents are per unit of time, over {config.exponent_length} forward Euler steps of {PUBLISHED.DT}. Updates "
        f"are those of Newton's method from standard normals until merit/T <= {config.tolerance:g}, in float64. The "
        "published loop tests each iterate one update late: its count is ours + 1.",
        "Errors are in units of the state. Of observers: root mean square over all steps, with what the criterion and "
        "theorem 2 (a = 1) allow as tolerance. Of flows: largest entry over the steps compared, which end at the "
        "prediction horizon (equation 7), where rounding errors, growing with the exponent, pass the tolerance, or "
        "where the criterion lets the last residuals exceed rounding.",
        "Published counts of flows are for T = 30000 and a parallel scan whose products of Jacobians overflow in their "
        "own way; they are shown, not claimed.",
    ]
    return "\n".join(lines)


def claims(verdicts: Iterable[Claim]) -> Table:
    """Claims with their verdicts, and every row that contradicts one.

    Args:
        verdicts: of ``paper.table1.claims``.
    """
    table = Table(box=box.SIMPLE, title="Claims", title_justify="left", show_header=False)
    for claim in verdicts:
        failed = "".join(f"\n  {escape(line)}" for line in claim.failures)
        verdict = PASSED if claim.passed else FAILED
        table.add_row(verdict, f"{claim.checked - len(claim.failures)} of {claim.checked}", claim.statement + failed)
    return table
