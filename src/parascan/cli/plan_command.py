"""``parascan plan``: which method to run a system with, and why."""

from typing import Annotated

import jax
import typer

import parascan as ps

from . import report
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
from ._json import echo_json
from ._subject import subject_of


def plan(
    subject: SubjectArgument,
    length: SubjectLength = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences that jax.vmap will run at once.")] = 1,
    measure: MeasureOption = True,
    seed: SeedOption = 0,
    dtype: DtypeOption = Precision.float64,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the method for a system: what each is expected to cost here, and why.

    Diagnoses the system, times its step on its first steps, and compares one step after the other, chunks side by side
    and Newton's methods. Exits with 0 whatever the choice.

    For example:

    - `parascan plan lorenz_observer --length 100000`
    - `parascan plan my_module:my_function --batch 8 --no-measure --json`
    """
    with interruptible("the same command starts again.") as check, jax.enable_x64(dtype == Precision.float64):
        with wrong_usage():
            found = subject_of(subject, length, settings or [], jax.random.key(seed))
        with report.progress() as bar:
            bar.add_task(f"{found.name}: pilots", total=None)
            with wrong_usage():
                made = ps.plan(*found.call, measure=measure, batch=batch, key=jax.random.key(seed))
        check()
        if as_json:
            echo_json("plan", made.to_dict())
        else:
            report.console().print(f"{found.name}: {made}", markup=False)
