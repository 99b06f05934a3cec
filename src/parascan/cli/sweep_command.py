"""``parascan sweep``: where a system stops being predictable, over one or two of its parameters."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer

import parascan as ps

from .. import pictures
from ..api.sweeping import ParameterProgress, ParameterSweep
from ..pictures import style
from . import report
from ._arguments import DtypeOption, JsonOption, Precision, SeedOption, SettingsOption, SubjectArgument
from ._errors import interruptible, wrong_usage
from ._files import check_file
from ._json import echo_json
from ._pictures import save_picture
from ._settings import parsed, with_key
from ._solver import SolverOption, solver_of
from ._subject import SEPARATOR, function_of, refuse_module, returned
from .run_command import CriterionName, criterion_of

DEFAULT_LENGTH = 2000
"""Default number of steps of a system; every point is rolled out."""


def sweep(
    subject: SubjectArgument,
    parameter: Annotated[str, typer.Argument(help="Setting of the system, or argument of the function.")],
    low: Annotated[float, typer.Argument(help="Its first value.")],
    high: Annotated[float, typer.Argument(help="Its last value.")],
    points: Annotated[int, typer.Option(min=2, help="Number of values, evenly spread.")] = 16,
    second: Annotated[
        tuple[str, float, float] | None, typer.Option(metavar="NAME LOW HIGH", help="A second parameter: a map.")
    ] = None,
    second_points: Annotated[int, typer.Option(min=2, help="Number of values of the second one.")] = 8,
    log: Annotated[
        bool, typer.Option("--log", help="Spread the values of the first one evenly in their logarithm.")
    ] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Round all values to whole numbers, such as sizes.")] = False,
    length: Annotated[
        int | None, typer.Option(min=1, help="Number of steps T: 2000 when left out, or all inputs of the function.")
    ] = None,
    solver: SolverOption = "deer",
    criterion: Annotated[CriterionName, typer.Option(help="When it stops.")] = CriterionName.state_error,
    tolerance: Annotated[float | None, typer.Option(help="Of the stopping rule, as for `parascan run`.")] = None,
    max_iterations: Annotated[int | None, typer.Option(min=1, help="Most updates at a point; T when left out.")] = None,
    seed: SeedOption = 0,
    dtype: DtypeOption = Precision.float64,
    settings: SettingsOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="A file that keeps every point as it is measured.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the file of --out.")] = False,
    as_json: JsonOption = False,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Draw exponent and updates to a png, pdf or svg file.")
    ] = None,
) -> None:
    """Find the threshold of a system: exponent, expected and counted updates against a parameter.

    Prints a line for each point, and where the exponent crosses zero. A point that fails is told with its reason.
    With --out the command can be stopped and resumed, also with other values. Exits with 2 when every point failed.

    For example:

    - `parascan sweep lorenz rho 10 40 --points 16 --plot sweep.png`
    - `parascan sweep my_module:my_function gain 0.5 2 --out sweep.json --resume`
    """
    check_file("--plot", picture, style.SUFFIXES)
    _check_out(out, resume)
    again = "nothing is kept without --out." if out is None else f"points are in {out}; go on with --resume."
    with interruptible(again) as check, jax.enable_x64(dtype == Precision.float64):
        with wrong_usage():
            key = jax.random.key(seed)
            make, steps = maker(subject, length, parsed(settings or []), key)
            axes = {parameter: _values(low, high, points, log, whole)}
            if second is not None:
                axes[second[0]] = _values(*second[1:], second_points, False, whole)
        with report.progress() as bar:
            task = bar.add_task(subject, total=None)

            def show(at: ParameterProgress) -> None:
                bar.update(task, completed=at.done, total=at.total, description=str(at.point or subject))
                check()

            with wrong_usage():
                found = ps.sweep_parameters(
                    make, axes, steps, key=key, solver=solver_of(solver), criterion=criterion_of(criterion, tolerance),
                    max_iterations=max_iterations, store=out, progress=show,
                )  # fmt: skip
        _deliver(found, subject, as_json, picture)


def _deliver(found: ParameterSweep, name: str, as_json: bool, picture: Path | None) -> None:
    """Print the sweep, and draw it if asked to."""
    if (found.reason != "").all():
        raise typer.BadParameter(f"every point failed, the first one so: {found.reason.flat[0]}")
    title = name if found.length is None else f"{name}, T = {found.length}"
    if as_json:
        echo_json("sweep", found.to_dict())
    else:
        console = report.console()
        console.print(title, markup=False)
        console.print(report.cells(found.lines()))
        for sentence in found.summary():
            console.print(f"- {sentence}", markup=False)
    if picture is not None:
        figure = pictures.sweep(found, title=title)
        save_picture(figure, picture, tell=not as_json)


def maker(
    text: str, length: int | None, settings: dict[str, Any], key: jax.Array
) -> tuple[Callable[..., Any], int | None]:
    """The function of the parameters, and the length.

    Args:
        text: name of a system, or ``module:function``.
        length: T; None for the default, or all inputs of the function.
        settings: further parameters or arguments.
        key: of noise and random weights.
    """
    if SEPARATOR in text:
        function = function_of("SYSTEM", text)
        # Refuses arguments that it does not take; what is raised inside belongs to a point.
        return lambda **given: returned(text, function, {**settings, **given}), length
    refuse_module(text)
    steps = DEFAULT_LENGTH if length is None else length
    return functools.partial(_of_system, text, steps, settings, key), steps


def _of_system(name: str, length: int, settings: dict[str, Any], key: jax.Array, **given: Any) -> tuple[Any, Any, Any]:
    """Step, initial state and inputs of a registered system."""
    system = with_key(name, {**settings, **given}, key)
    return system.step, system.initial_state, system.inputs(length, key=key)


def _values(low: float, high: float, count: int, log: bool, whole: bool) -> np.ndarray:
    """Values from one end to the other."""
    if log and not low > 0:
        raise ValueError(f"LOW: given {low:g} with --log, expected a positive number.")
    values = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
    return np.unique(np.round(values)).astype(int) if whole else values


def _check_out(out: Path | None, resume: bool) -> None:
    """Refuse to resume without a file, or to overwrite a file without ``--resume``."""
    if resume and out is None:
        raise typer.BadParameter("given without --out, expected the file to go on from there.", param_hint="--resume")
    if out is not None and out.exists() and not resume:
        raise typer.BadParameter(
            f"given {out}, which exists, expected another name, or --resume to go on from it.", param_hint="--out"
        )
