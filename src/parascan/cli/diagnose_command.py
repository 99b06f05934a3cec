"""``parascan diagnose``: a diagnosis of a system before it is rolled out."""

from pathlib import Path
from typing import Annotated

import jax
import typer

import parascan as ps

from .. import pictures
from ..diagnostics import Diagnosis, window_growth
from ..pictures import style
from . import report
from ._arguments import DtypeOption, JsonOption, Precision, SeedOption, SettingsOption, SubjectArgument, SubjectLength
from ._errors import interruptible, wrong_usage
from ._files import check_file
from ._json import echo_json
from ._pictures import save_picture
from ._solver import METAVAR, solver_of
from ._subject import Subject, subject_of
from .run_command import CriterionName, criterion_of

PAIRED = 1000
"""Most draws that pairs of chains are followed for."""


def diagnose(
    subject: SubjectArgument,
    length: SubjectLength = None,
    criterion: Annotated[
        CriterionName, typer.Option(help="The stopping rule that the iterations are expected for.")
    ] = CriterionName.state_error,
    tolerance: Annotated[
        float | None, typer.Option(help="Of the stopping rule, as for `parascan run`; its default when left out.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Most steps that pilots take; 5 % of T or 2000 when left out.")
    ] = None,
    settle: Annotated[int, typer.Option(min=0, help="Leading steps known to be a transient, left out.")] = 0,
    solver: Annotated[
        str | None, typer.Option(metavar=METAVAR, help="A method whose updates are to be expected, such as picard.")
    ] = None,
    seed: SeedOption = 0,
    dtype: DtypeOption = Precision.float64,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    picture: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw exponents, growth and expected iterations to a png, pdf or svg file."),
    ] = None,
) -> None:
    """Foretell whether parallel evaluation pays, before anything is rolled out.

    Prints the verdict and its evidence, the largest exponent, conditioning, horizons, and the iterations that each
    method is expected to take, with intervals. Exits with 0 whatever the verdict.

    For example:

    - `parascan diagnose lorenz_observer --length 20000`
    - `parascan diagnose my_module:my_function --json`
    - `parascan diagnose two_well_langevin --length 2000 --solver picard`
    - `parascan diagnose lorenz --set rho=20 --plot lorenz.png`
    """
    check_file("--plot", picture, style.SUFFIXES)
    with interruptible("the same command starts again.") as check, jax.enable_x64(dtype == Precision.float64):
        with wrong_usage():
            found = subject_of(subject, length, settings or [], jax.random.key(seed))
        with report.progress() as bar:
            bar.add_task(f"{found.name}: pilots", total=None)
            with wrong_usage():
                diagnosis = ps.diagnose(
                    *found.call,
                    key=jax.random.key(seed),
                    criterion=criterion_of(criterion, tolerance),
                    dt=found.dt or 1.0,
                    budget=budget,
                    settle=settle,
                    solver=None if solver is None else solver_of(solver),
                )
        check()
        _deliver(diagnosis, found, as_json, picture, jax.random.key(seed))
        if found.chain is not None and not as_json:
            # Tangents do not see the decisions of a chain; pairs of chains do.
            kernel, position = found.chain
            seen = ps.mcmc.foretell(kernel, position, key=jax.random.key(seed), draws=min(found.length, PAIRED))
            report.console().print(f"As a chain: {seen}", markup=False)


def _deliver(diagnosis: Diagnosis, found: Subject, as_json: bool, picture: Path | None, key: jax.Array) -> None:
    """Print the diagnosis, and draw it if asked to."""
    title = f"{found.name}, T = {diagnosis.length}"
    if as_json:
        echo_json("diagnose", diagnosis.to_dict())
    else:
        console = report.console()
        console.print(report.summary(f"{title}, D = {diagnosis.size}, {diagnosis.dtype}", diagnosis.lines()))
        for sentence in diagnosis.evidence:
            console.print(f"- {sentence}", markup=False)
    if picture is not None:
        figure = pictures.diagnosis(diagnosis, window_growth(*found.call, key=key), title=title)
        save_picture(figure, picture, tell=not as_json)
