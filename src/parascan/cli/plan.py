"""``parascan plan``: which method to run a system with, and why."""

from typing import Annotated

import jax
import typer

import parascan as ps

from .. import report
from ._errors import interruptible, wrong_usage
from ._subject import subject_of
from .run import Precision


def plan(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SYSTEM|MODULE:FUNCTION",
            help="A name that `parascan systems` lists, or a function without arguments that returns (step, init, xs), "
            "found from the current folder as Python finds it; xs is None for a system without inputs.",
        ),
    ],
    length: Annotated[
        int | None,
        typer.Option(min=1, help="Number of steps T: 10000 when left out, or all inputs that the function returns."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences that jax.vmap will run at once.")] = 1,
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Time the step; otherwise its cost follows from its operations."),
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of noise, random weights and directions.")] = 0,
    dtype: Annotated[Precision, typer.Option(help="Floating type of states and parameters.")] = Precision.float64,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the system, such as rho=20; repeatable."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as JSON, which Plan.from_json reads.")
    ] = False,
) -> None:
    """Choose the method for a system: what each is expected to cost here, and why.

    Diagnoses the system, times its step on its first steps, and compares one step after the other, blocks side by side
    and Newton's methods. Exits with 0 whatever the choice.
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
            typer.echo(made.to_json())
        else:
            report.console().print(f"{found.name}: {made}", markup=False)
