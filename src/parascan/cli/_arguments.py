"""Arguments and options that several commands share."""

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer


class Precision(StrEnum):
    """Floating types of a run."""

    float64 = "float64"
    float32 = "float32"


SubjectArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SYSTEM|MODULE:FUNCTION",
        help="A name that `parascan systems` lists, or a function that returns (step, init, xs), "
        "found from the current folder as Python finds it; xs is None for a system without inputs. "
        "All but `sweep` take a function that returns a kernel of ps.mcmc or a sampler of ps.samplers with its start.",
    ),
]
"""Argument: the system, or the user's function that returns one."""

SubjectLength: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of steps T: 10000 when left out, or all inputs that the function returns, which are the most.",
    ),
]
"""Option: the number of steps."""

SeedOption: TypeAlias = Annotated[int, typer.Option(help="Seed of noise, random weights and directions.")]
"""Option: the seed of all that is random."""

DtypeOption: TypeAlias = Annotated[Precision, typer.Option(help="Floating type of states and parameters.")]
"""Option: the dtype of the states."""

MeasureOption: TypeAlias = Annotated[
    bool,
    typer.Option("--measure/--no-measure", help="Time the step; otherwise its cost follows from its operations."),
]
"""Option: whether a plan times the step."""

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON for other programs, and nothing else to standard output.")
]
"""Option: JSON in place of text."""

SettingsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A parameter of the system, such as rho=20, or an argument of the function; repeatable.",
    ),
]
"""Option: parameters of a system, or arguments of a function."""
