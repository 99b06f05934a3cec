"""``parascan diagnose``: what is known of a system before it is rolled out."""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import typer

import parascan as ps

from .. import plot, report
from ..diagnostics import Diagnosis, window_growth
from ..paper._files import to_json, write_atomically
from ._errors import interruptible, wrong_usage
from .run import CriterionName, Precision, check_suffix, criterion_of
from .single_run import build

SEPARATOR = ":"
"""Between a module and a function in it."""


class Subject(NamedTuple):
    """What is diagnosed.

    Attributes:
        name: what to call it.
        call: step, initial state, inputs and length.
        dt: time that one step stands for.
    """

    name: str
    call: tuple[Any, Any, Any, int | None]
    dt: float


def diagnose(
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
    criterion: Annotated[
        CriterionName, typer.Option(help="The stopping rule that the iterations are expected for.")
    ] = CriterionName.state_error,
    tolerance: Annotated[
        float | None, typer.Option(help="Of the stopping rule, as for `parascan run`; its default when left out.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Most steps that pilots take; 5 % of T or 2000 when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of noise, random weights and directions.")] = 0,
    dtype: Annotated[Precision, typer.Option(help="Floating type of states and parameters.")] = Precision.float64,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the system, such as rho=20; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw exponents, growth and expected iterations to a png, pdf or svg file."),
    ] = None,
) -> None:
    """Foretell whether parallel evaluation pays, before anything is rolled out.

    Prints the verdict and its evidence, the largest exponent, conditioning, horizons, and the iterations that each
    method is expected to take, with intervals. Exits with 0 whatever the verdict.
    """
    check_suffix("--plot", picture, plot.SUFFIXES)
    with interruptible("the same command starts again.") as check, jax.enable_x64(dtype == Precision.float64):
        with wrong_usage():
            found = _subject(subject, length, settings or [], jax.random.key(seed))
        with report.progress() as bar:
            bar.add_task(f"{found.name}: pilots", total=None)
            with wrong_usage():
                diagnosis = ps.diagnose(
                    *found.call,
                    key=jax.random.key(seed),
                    criterion=criterion_of(criterion, tolerance),
                    dt=found.dt,
                    budget=budget,
                )
        check()
        _deliver(diagnosis, found, as_json, picture, jax.random.key(seed))


def _deliver(diagnosis: Diagnosis, found: Subject, as_json: bool, picture: Path | None, key: jax.Array) -> None:
    """Print the diagnosis, and draw it if asked to."""
    title = f"{found.name}, T = {diagnosis.length}"
    if as_json:
        typer.echo(to_json(diagnosis.to_dict()), nl=False)
    else:
        console = report.console()
        console.print(report.summary(f"{title}, D = {diagnosis.size}, {diagnosis.dtype}", diagnosis.lines()))
        for sentence in diagnosis.evidence:
            console.print(f"- {sentence}", markup=False)
    if picture is not None:
        figure = plot.diagnosis(diagnosis, window_growth(*found.call, key=key), title=title)
        write_atomically(picture, lambda file: plot.save(figure, file, picture.suffix))
        if not as_json:
            report.console().print(f"drew {picture}", soft_wrap=True)


def _subject(text: str, length: int | None, settings: list[str], key: jax.Array) -> Subject:
    """The system, or what a function returns.

    Raises:
        TypeError: what is named is no such function.
        ValueError: an unknown name, or settings for a function.
    """
    if SEPARATOR in text:
        if settings:
            raise ValueError("--set: given for a function, expected only for a registered system.")
        step, init, xs = _returned(text)
        if xs is not None and length is not None:
            xs = jax.tree.map(lambda leaf: leaf[:length], xs)
        steps = length if xs is None else None
        return Subject(text, (step, init, xs, 10_000 if xs is None and steps is None else steps), 1.0)
    steps = 10_000 if length is None else length
    system = build(text, settings, key)
    return Subject(
        system.name, (system.step, system.initial_state, system.inputs(steps, key=key), steps), system.dt or 1.0
    )


def _returned(text: str) -> tuple[Any, Any, Any]:
    """What ``module:function`` returns.

    Raises:
        TypeError: it returns something else than a step, an initial state and inputs.
        ValueError: there is no such module or function.
    """
    module, _, function = text.partition(SEPARATOR)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"SYSTEM: given {text!r}, expected module:function that can be imported; {error}.") from error
    made = make()
    if not (isinstance(made, tuple) and len(made) == 3 and callable(made[0])):
        raise TypeError(f"SYSTEM: given {text!r}, which returns no tuple (step, init, xs), expected one.")
    return made
