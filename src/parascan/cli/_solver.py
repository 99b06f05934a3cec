"""The solver that a command is asked to run: a nickname, or what a function of the user's returns."""

import inspect
from typing import Annotated, Any, TypeAlias

import typer

from ..solvers import AbstractSolver
from ..solvers.nicknames import SOLVERS
from ._subject import SEPARATOR, function_of

METAVAR = "NAME|MODULE:FUNCTION"
"""How help names the value of an option for a solver."""

SolverOption: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar=METAVAR,
        help=f"How to evaluate: {', '.join(SOLVERS)}, or a function without arguments that returns a solver.",
    ),
]
"""Option: the solver, by nickname or as the user's function that returns one."""


def solver_of(text: str) -> Any:
    """The solver of that name.

    Args:
        text: a nickname, or ``module:function``.

    Raises:
        TypeError: the function named returns no solver.
        ValueError: there is no solver of that name.
    """
    if SEPARATOR not in text and text not in SOLVERS:
        raise ValueError(f"--solver: given {text!r}, expected {', '.join(SOLVERS)}, or MODULE:FUNCTION.")
    make = SOLVERS[text] if text in SOLVERS else function_of("--solver", text)
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise TypeError(f"--solver: given {text!r}, expected a function without arguments: {error}.") from error
    made = make()
    if not isinstance(made, AbstractSolver):
        raise TypeError(f"--solver: given {text!r}, which makes {type(made).__name__}, expected a solver.")
    return made
