"""Arguments and options that several commands have alike."""

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
        "found from the current folder as Python finds it; xs is None for a system without inputs.",
    ),
]
"""What is looked into."""

SubjectLength: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of steps T: 10000 when left out, or all inputs that the function returns, which are the most.",
    ),
]
"""How many steps of it."""

SeedOption: TypeAlias = Annotated[int, typer.Option(help="Seed of noise, random weights and directions.")]
"""Of everything that is drawn."""

DtypeOption: TypeAlias = Annotated[Precision, typer.Option(help="Floating type of states and parameters.")]
"""Of the states."""

SettingsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A parameter of the system, such as rho=20, or an argument of the function; repeatable.",
    ),
]
"""Parameters of a system or a function."""
