"""``parascan calibrate``: the machine's record, measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import jax
import typer

from ..paper.harness.written_files import write_text
from ..planning import Machine, cache_file, fingerprint, known_machine, platform_of
from ..planning import calibrate as measured
from . import report
from ._arguments import JsonOption
from ._errors import interruptible
from ._json import echo_json

PRECISIONS = ("float32", "float64")


def calibrate(
    folder: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Where to keep them: the user's cache folder when left out."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Only print what is known, measured or built in.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure what elementary work costs on this machine, once, in some seconds.

    `ps.plan` reads the numbers from then on, as long as processor, device and JAX stay the same. Nothing else does: a
    call without a plan depends on nothing but its arguments.

    For example:

    - `parascan calibrate`
    - `parascan calibrate --show --json`
    """
    platform = platform_of()
    with interruptible("the same command starts again.") as check:
        if not show:
            _measure(platform, folder, check)
        found = {dtype: known_machine(platform, dtype, folder) for dtype in PRECISIONS}
        if as_json:
            plain = {
                dtype: {"origin": machine.origin, **json.loads(machine.to_json())} for dtype, machine in found.items()
            }
            echo_json("calibrate", {"machine": dict(fingerprint()), "rates": plain})
            return
        console = report.console()
        for dtype, machine in found.items():
            title = f"{machine.origin} numbers, times in seconds: {dtype}, {fingerprint()['processor']}, {platform}"
            console.print(report.summary(title, _lines(machine)))
            if not show:
                console.print(f"stored in {cache_file(platform, dtype, folder)}", soft_wrap=True)


def _measure(platform: str, folder: Path | None, check: Callable[[], None]) -> None:
    """Measure and store the records of both precisions."""
    with report.progress() as bar, jax.enable_x64(True):
        task = bar.add_task("", total=None)

        def progress(line: str) -> None:
            check()
            bar.update(task, description=line)

        for dtype in PRECISIONS:
            write_text(cache_file(platform, dtype, folder), measured(dtype, progress).to_json())


def _lines(machine: Machine) -> dict[str, str]:
    """The numbers of a record by name, for a table, each with its source."""
    plain = {
        name: f"{value if isinstance(value, int) else format(value, '.3g')} ({machine.source(name)})"
        for name, value in vars(machine).items()
        if name not in ("links", "sources")
    }
    for name, each in machine.links._asdict().items():
        parts = ", ".join(f"{value:.3g} a {part}" for part, value in each._asdict().items() if value)
        plain[f"{name} recurrence"] = f"{parts} ({machine.source('links')})"
    return {name.replace("_", " "): value for name, value in plain.items()}
