"""``parascan report``: all that is known of a system before it is rolled out, as one page of HTML."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer

import parascan as ps

from ..api.sweeping import ParameterProgress, ParameterSweep
from ..diagnostics import window_growth
from ..paper.harness.provenance import hardware, versions
from ..paper.harness.written_files import write_text
from ..pictures.report_page import Findings, report_page
from . import report as printed
from ._arguments import (
    DtypeOption,
    JsonOption,
    MeasureOption,
    Precision,
    SeedOption,
    SettingsOption,
    SubjectArgument,
    SubjectLength,
)
from ._errors import interruptible, wrong_usage
from ._files import check_file
from ._json import echo_json
from ._settings import parsed
from ._subject import Subject, subject_of
from .diagnose_command import PAIRED
from .sweep_command import DEFAULT_LENGTH, maker

PARTS = "diagnosis", "growth over windows", "plan"
"""What a report measures, in this order; a sweep comes after."""


def report(
    subject: SubjectArgument,
    html: Annotated[
        Path | None, typer.Option("--html", dir_okay=False, help="The page to write, a name ending in .html.")
    ] = None,
    length: SubjectLength = None,
    sweep: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="NAME LOW:HIGH:POINTS", help="Sweep a parameter as well: exponent and updates over it."),
    ] = None,
    measure: MeasureOption = True,
    seed: SeedOption = 0,
    dtype: DtypeOption = Precision.float64,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all that is known of a system beforehand into one page of HTML.

    Verdict, exponents along the data, growth of perturbations, forecast of iterations, plan, and a sweep of one
    parameter if asked for, over 2000 steps at most. Every number has its interval and says how it was found. The page
    needs no network and no other file.

    For example:

    - `parascan report lorenz_observer --length 5000 --html lorenz.html`
    - `parascan report tanh_rnn --set gain=0.9 --html rnn.html --sweep gain 0.5:2.0:16`
    - `parascan report mymodel:make --html report.html`
    """
    if html is None and not as_json:
        raise typer.BadParameter("given neither, expected a file, or --json.", param_hint="--html / --json")
    check_file("--html", html, {".html", ".htm"})
    with interruptible("nothing was written; the same command starts again.") as check:
        with jax.enable_x64(dtype == Precision.float64), printed.progress() as bar:
            task = bar.add_task(subject, total=len(PARTS))

            def show(text: str, done: int | None = None, total: int | None = None) -> None:
                check()
                bar.update(task, description=text, completed=done, total=total)

            with wrong_usage():
                axis = None if sweep is None else values_of(*sweep)
                call = subject_of(subject, length, settings or [], jax.random.key(seed))
                options = {"measure": measure, "key": jax.random.key(seed)}
                sweeping = None if sweep is None else _sweeper(subject, {sweep[0]: axis}, call, settings or [], seed)
                found = _measured(call, options, show)
                if sweeping is not None:
                    found = found._replace(sweep=sweeping(show))
                page = "" if html is None else report_page(found)
            check()
        if html is not None:
            with wrong_usage():
                write_text(html, page)
            if not as_json:
                printed.console().print(f"wrote {html}", markup=False, soft_wrap=True)
        if as_json:
            echo_json("report", _record(found))


def values_of(name: str, text: str) -> Any:
    """Values of a parameter, from ``LOW:HIGH:POINTS``.

    Args:
        name: of the parameter.
        text: what was given.

    Raises:
        ValueError: the text is no such thing, or the values do not increase.
    """
    expected = f"--sweep: given {text!r} for {name}, expected LOW:HIGH:POINTS such as 0.5:2.0:16"
    try:
        low, high, points = text.split(":")
        ends, count = (float(low), float(high)), int(points)
    except ValueError:
        raise ValueError(f"{expected}.") from None
    if not (np.isfinite(ends).all() and ends[0] < ends[1] and count >= 2):
        raise ValueError(f"{expected}, with HIGH above LOW and two points or more.")
    return np.linspace(*ends, count)


def _measured(call: Subject, options: dict[str, Any], show: Callable[..., None]) -> Findings:
    """All parts but the sweep."""
    key = options["key"]
    show(f"{call.name}: {PARTS[0]}", 0)
    diagnosis = ps.diagnose(*call.call, key=key, dt=call.dt or 1.0)
    show(f"{call.name}: {PARTS[1]}", 1)
    growth = window_growth(*call.call, key=key)
    show(f"{call.name}: {PARTS[2]}", 2)
    plan = ps.plan(*call.call, diagnosis=diagnosis, **options)
    remarks = []
    if call.chain is not None:
        # Tangents do not see the decisions of a chain; pairs of chains do.
        remarks.append(f"As a chain: {ps.mcmc.foretell(*call.chain, key=key, draws=min(call.length, PAIRED))}")
    explanation = ps.explain(*call.call)
    command = shlex.join(["parascan", *sys.argv[1:]])
    return Findings(
        call.name, command, explanation, diagnosis, growth, plan, None, remarks, _origin(options["measure"])
    )


def _sweeper(
    subject: str, axes: dict[str, Any], call: Subject, settings: list[str], seed: int
) -> Callable[[Callable[..., None]], ParameterSweep]:
    """A function that makes the sweep, point by point; a parameter that there is none of is refused before."""
    key = jax.random.key(seed)
    make, steps = maker(subject, min(call.length, DEFAULT_LENGTH), parsed(settings), key)
    try:
        make(**{name: values[0] for name, values in axes.items()})
    except TypeError:
        raise
    except Exception:
        # What the user's function raises belongs to its point: the others may do without it.
        pass

    def run(show: Callable[..., None]) -> ParameterSweep:
        def at(progress: ParameterProgress) -> None:
            show(f"{call.name}: {progress.point or 'sweep'}", progress.done, progress.total)

        found = ps.sweep_parameters(make, axes, steps, key=key, dt=call.dt or 1.0, progress=at)
        if (found.reason != "").all():
            raise ValueError(f"--sweep: every point failed, the first one so: {found.reason.flat[0]}")
        return found

    return run


def _origin(measured: bool) -> dict[str, str]:
    """Versions and machine, for the end of the page."""
    times = "measured on the first steps" if measured else "from the operations of the step and the machine's record"
    found = {**versions(), **hardware(), "times of the plan": times}
    return {name: str(value) for name, value in found.items()}


def _record(found: Findings) -> dict[str, Any]:
    """All that was found, for JSON."""
    explanation = found.explanation
    way = {name: getattr(explanation, name) for name in ("way", "reason", "chunks", "steps_per_chunk", "memory")}
    growth = {name: [float(each) for each in getattr(found.growth, name)] for name in found.growth._fields}
    return {
        "name": found.name,
        "remarks": list(found.remarks),
        "explanation": way,
        "diagnosis": found.diagnosis.to_dict(),
        "growth": growth,
        "plan": found.plan.to_dict(),
        "sweep": None if found.sweep is None else found.sweep.to_dict(),
        "origin": dict(found.origin),
    }
