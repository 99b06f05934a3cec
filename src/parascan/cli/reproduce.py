"""``parascan reproduce``: a table or figure of the paper, with its claims checked."""

import time
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import jax
import typer
from rich.console import Console
from rich.markup import escape

from .. import plot, report
from ..paper import table1
from ..paper._files import write_atomically
from ._errors import interruptible

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Reproduce a table or figure of the paper and check its claims.",
)


class Size(StrEnum):
    """How much of the paper's size to run."""

    smoke = "smoke"
    demo = "demo"
    full = "full"


@commands.command("table1")
def reproduce_table1(
    size: Annotated[
        Size,
        typer.Option(
            help="smoke: two flows in seconds; demo: all nine, the chaotic ones over 8000 steps; full: T = 30000."
        ),
    ] = Size.demo,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for rows, tables and pictures.")] = Path(
        "results/table1"
    ),
    length: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=table1.PUBLISHED.LENGTH,
            help="Steps T of Newton's method on the chaotic flows, in place of the size's.",
        ),
    ] = None,
) -> None:
    """Table 1: nine chaotic flows and their observers, exponents and steps of Newton's method (DEER).

    Forward Euler with dt = 0.01 in the flows' units of time, float64, merit/T <= 1e-10 in squared units of the state.
    Observers run over the paper's 30000 steps. Every finished row is stored in the folder and not computed again;
    after Ctrl-C the same command goes on where it was. Exits with 1 when a claim fails.
    """
    config = table1.SIZES[size]
    config = config if length is None else replace(config, flow_length=length)
    again = f"parascan reproduce table1 --size {size} --out {out}" + (f" --length {length}" if length else "")
    console, started = report.console(), time.perf_counter()
    console.print(
        f"Table 1, size {size}: chaotic flows T = {config.flow_length}, observers T = {config.observer_length}, "
        f"exponents over {config.exponent_length} steps"
    )
    with interruptible(f"finished rows are in {out}; go on with: {again}") as check, jax.enable_x64(True):
        with report.progress() as bar:
            task = bar.add_task("starting", total=len(config.cases()))

            def progress(at: table1.Report) -> None:
                report.show(bar, task, at)
                check()

            rows = table1.run(config, out / "rows", progress)
        verdicts = table1.claims(rows)
        table1.save(rows, config, out)
        console.print(
            report.table1(rows), report.distances(rows), escape(report.notes(config)), report.claims(verdicts), sep="\n"
        )
        console.print(f"data: {out / 'table1.csv'}, {out / 'table1.json'}, {out / 'rows'}", soft_wrap=True)
        _draw_table1(rows, out, console)
    console.print(f"{time.perf_counter() - started:.0f} seconds")
    if not all(claim.passed for claim in verdicts):
        raise typer.Exit(1)


def _draw_table1(rows: Sequence[table1.Row], out: Path, console: Console) -> None:
    """The picture in two formats; without matplotlib the data have to do."""
    try:
        figure = table1.figure(rows)
    except ImportError as error:
        console.print(f"no picture: {error}", markup=False)
        return
    for suffix in (".png", ".svg"):
        write_atomically(out / f"table1{suffix}", lambda file, suffix=suffix: plot.save(figure, file, suffix))
    console.print(f"picture: {out / 'table1.png'}, {out / 'table1.svg'}", soft_wrap=True)
