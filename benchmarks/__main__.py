"""`python -m benchmarks [ROWS]`: each row in a process of its own, results kept row by row."""

import subprocess
import sys
import time
from typing import Annotated

import jax
import typer
from rich.console import Console
from rich.table import Table

import parascan as ps

from . import machine, store
from .case import Case, Size
from .rows import ROWS

DEVICES = {10: (2, 4, 8)}
"""Devices of the processes that measure a row, one after the other; a single one for all others."""

FEWEST_ROUNDS = 7
"""Rounds below which a median at full size is not kept."""

console = Console()


def main(
    rows: Annotated[list[int] | None, typer.Argument(help="Rows to measure; all when none is given.")] = None,
    size: Annotated[str, typer.Option(help="full, or toy to see that everything runs.")] = "full",
    rounds: Annotated[int, typer.Option(help="Rounds in which both sides take turns.")] = 9,
    one: Annotated[bool, typer.Option(hidden=True)] = False,
    devices: Annotated[int, typer.Option(hidden=True)] = 1,
    document: Annotated[bool, typer.Option(help="Only write the table of the stored results to docs.")] = False,
) -> None:
    """Measure rows of the table of targets."""
    if document:
        store.write_document()
        return
    wanted = rows or list(ROWS)
    if unknown := [row for row in wanted if row not in ROWS]:
        raise typer.BadParameter(f"rows: given {unknown}, expected some of {list(ROWS)}.")
    if size not in ("full", "toy"):
        raise typer.BadParameter(f"size: given {size!r}, expected full or toy.")
    if size == "full" and rounds < FEWEST_ROUNDS:
        raise typer.BadParameter(f"rounds: given {rounds}, expected at least {FEWEST_ROUNDS} at full size.")
    if one:
        measure(wanted[0], Size(size == "toy", rounds), devices)
    else:
        each_in_its_process(wanted, size, rounds)


def measure(row: int, size: Size, devices: int) -> None:
    """One row in this process; the results are stored at full size only."""
    jax.config.update("jax_enable_x64", True)
    if devices > 1:
        ps.every_core(devices)
    found = []
    for case in ROWS[row](size):
        found.append(case)
        verdict = "met" if case.met else "missed"
        console.print(f"  {case.name}, {case.measure}: {case.value:.3g} (target {case.target:.3g}, {verdict})")
    if not size.toy:
        path = store.RESULTS / f"{machine.slug()}.json"
        store.add(found, row, machine.describe(), path, anew=devices == DEVICES.get(row, (1,))[0])


def each_in_its_process(rows: list[int], size: str, rounds: int) -> None:
    """All rows; one that fails does not stop the others, and what is done stays done when interrupted."""
    start, failed = time.monotonic(), []
    for index, row in enumerate(rows):
        left = "" if index == 0 else f", about {(time.monotonic() - start) / index * (len(rows) - index):.0f} s left"
        console.print(f"[bold]row {row}[/] ({index + 1} of {len(rows)}{left})")
        command = [sys.executable, "-m", "benchmarks", str(row), "--one", "--size", size, "--rounds", str(rounds)]
        for devices in DEVICES.get(row, (1,)):
            try:
                code = subprocess.run([*command, "--devices", str(devices)], check=False).returncode
            except KeyboardInterrupt:
                console.print("Stopped; the rows before this one are kept.")
                raise SystemExit(130) from None
            if code:
                failed.append(row)
    if size == "full" and (store.RESULTS / f"{machine.slug()}.json").exists():
        report()
        store.write_document()
    if failed:
        console.print(f"[red]failed: rows {failed}[/]")
        raise SystemExit(1)


def report() -> None:
    """The stored results of this machine, losing cases first."""
    found: list[Case] = store.cases(store.RESULTS / f"{machine.slug()}.json")
    table = Table("row", "workload", "measure", "ratio", "quartiles", "target", "", "of the limit")
    for case in store.losing_first(found):
        limit = "" if case.limit is None else f"{100 * case.limit:.0f} %"
        color = "green" if case.met else "red"
        numbers = [store.number(value) for value in (case.value, case.low, case.high, case.target)]
        table.add_row(
            str(case.row),
            case.name,
            case.measure,
            f"[{color}]{numbers[0]}[/]",
            f"{numbers[1]} to {numbers[2]}",
            numbers[3],
            "met" if case.met else "missed",
            limit,
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
