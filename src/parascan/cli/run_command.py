"""``parascan run``: one system rolled out beside its sequential evaluation."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer

import parascan as ps

from .. import pictures
from ..paper.harness.written_files import to_json, write_arrays
from ..pictures import style
from . import report
from ._arguments import DtypeOption, JsonOption, Precision, SettingsOption, SubjectArgument, SubjectLength
from ._errors import interruptible, wrong_usage
from ._files import check_file
from ._json import echo_json
from ._pictures import save_picture
from ._solver import SolverOption, solver_of
from ._subject import subject_of
from .single_run import Outcome, Request, perform


class CriterionName(StrEnum):
    """Stopping rules."""

    state_error = "state_error"
    merit = "merit"


def run(
    subject: SubjectArgument,
    length: SubjectLength = None,
    solver: SolverOption = "deer",
    criterion: Annotated[
        CriterionName,
        typer.Option(
            help="When to stop: estimated error of every state, or merit/T = |r|^2 / (2 T), the paper's rule."
        ),
    ] = CriterionName.state_error,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Of state_error relative to the largest state (as far as rounding allows when left out), of merit in "
            "squared units of the state (1e-10 when left out)."
        ),
    ] = None,
    max_iterations: Annotated[int | None, typer.Option(min=0, help="Most updates; T when left out.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of noise, random weights and start directions of the exponent.")] = 0,
    dtype: DtypeOption = Precision.float64,
    settings: SettingsOption = None,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Draw the trajectory to a png, pdf or svg file.")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option("--save", help="Save states, inputs and summary to an npz file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Roll a system out and compare with sequential evaluation.

    Prints why the rollout stopped, its iterations, residual and distance from the sequential trajectory (in units of
    the state), the largest exponent (per step and per unit of time) and seconds, compilation included. Exits with 1
    and a remedy when the rollout does not succeed.

    For example:

    - `parascan run lorenz_observer --length 5000 --solver deer --plot states.png`
    - `parascan run henon --solver sequential --save states.npz --json`
    """
    check_file("--save", archive, {".npz"})
    check_file("--plot", picture, style.SUFFIXES)
    with interruptible("the same command starts again.") as check, jax.enable_x64(dtype == Precision.float64):
        with wrong_usage():
            found = subject_of(subject, length, settings or [], jax.random.key(seed))
            method = solver_of(solver)
            check_uses(solver, method, criterion, tolerance, max_iterations)
            request = Request(found, method, criterion_of(criterion, tolerance), max_iterations, jax.random.key(seed))
        with report.progress() as bar:
            task = bar.add_task(f"{found.name}, T = {found.length}", total=None)

            def show(text: str) -> None:
                bar.update(task, description=text)
                check()

            with wrong_usage():
                outcome = perform(request, show)
        title = f"{found.name}, T = {found.length}, {solver}, {dtype}"
        _write(outcome, title, found.dt, archive, picture, tell=not as_json)
        if as_json:
            asked = {"name": found.name, "length": found.length, "solver": solver, "dtype": str(dtype)}
            echo_json("run", {**asked, **outcome.numbers})
        else:
            _print(outcome, title)
    if outcome.message:
        raise typer.Exit(1)


def _write(
    outcome: Outcome, title: str, dt: float | None, archive: Path | None, picture: Path | None, *, tell: bool
) -> None:
    """Write the files that were asked for."""
    if archive is not None:
        with wrong_usage():
            write_arrays(archive, {**outcome.arrays, "summary": np.array(to_json(outcome.lines))})
        if tell:
            report.console().print(f"saved {archive}", markup=False, soft_wrap=True)
    if picture is not None:
        figure = pictures.trajectory(outcome.arrays["states"], outcome.arrays.get("error"), title=title, dt=dt)
        save_picture(figure, picture, tell=tell)


def _print(outcome: Outcome, title: str) -> None:
    """Print the outcome, and the remedy where it failed."""
    console = report.console()
    console.print(report.summary(title, outcome.lines))
    if outcome.message:
        console.print(outcome.message, style="bold red", markup=False)


def check_uses(
    name: str, solver: ps.solvers.AbstractSolver, criterion: CriterionName, tolerance: float | None, most: int | None
) -> None:
    """Refuse options about iterations for a solver that has none."""
    given = {"--tolerance": tolerance, "--max-iterations": most}
    given["--criterion"] = None if criterion is CriterionName.state_error else criterion
    for option, value in given.items():
        if not solver.iterates and value is not None:
            raise typer.BadParameter(
                f"given {value} with --solver {name}, which does not iterate, expected another solver.",
                param_hint=option,
            )


def criterion_of(name: CriterionName, tolerance: float | None) -> Any:
    """The stopping rule, with its own default when no tolerance is given."""
    if name == CriterionName.merit:
        return ps.Merit() if tolerance is None else ps.Merit(tolerance)
    return ps.StateError(rtol=tolerance)
