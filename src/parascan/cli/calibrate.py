"""``parascan calibrate``: the cost model's numbers for this machine."""

import json
from pathlib import Path
from typing import Annotated

import jax
import typer

from .. import report
from ..paper._files import write_text
from ..planning import cache_file, fingerprint, known_rates
from ..planning import calibrate as measured
from ._errors import interruptible


def calibrate(
    folder: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Where to keep them: the user's cache folder when left out."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Only print what is known, measured or built in.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")] = False,
) -> None:
    """Measure what elementary work costs on this machine, once, in some seconds.

    `ps.plan` reads the numbers from then on, as long as processor, device and JAX stay the same. Nothing else does: a
    call without a plan depends on nothing but its arguments.
    """
    platform = jax.default_backend()
    path = cache_file(platform, folder)
    with interruptible("nothing was stored; the same command starts again.") as check:
        if show:
            rates, origin = known_rates(platform, folder)
        else:
            with report.progress() as bar:
                task = bar.add_task("", total=None)

                def progress(line: str) -> None:
                    check()
                    bar.update(task, description=line)

                rates, origin = measured(progress), "calibrated"
            write_text(path, rates.to_json())
        if as_json:
            typer.echo(json.dumps({"origin": origin, "machine": dict(fingerprint()), "rates": vars(rates)}, indent=1))
            return
        lines = {
            name.replace("_", " "): f"{value:.3g}" + ("" if name == "product" else " s")
            for name, value in vars(rates).items()
        }
        console = report.console()
        console.print(report.summary(f"{origin} rates, {fingerprint()['processor']}, {platform}", lines))
        if not show:
            console.print(f"stored in {path}", soft_wrap=True)
