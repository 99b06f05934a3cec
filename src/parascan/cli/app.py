"""The command ``parascan`` and what all its subcommands have in common."""

from typing import Annotated

import typer

import parascan as ps

from .calibrate_command import calibrate
from .diagnose_command import diagnose
from .env_command import env
from .exponents_command import exponents
from .plan_command import plan
from .report_command import report
from .reproduce_command import reproduce
from .run_command import run
from .sweep_command import sweep
from .systems_command import systems

app = typer.Typer(
    name="parascan",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(systems)
app.command()(diagnose)
app.command()(exponents)
app.command()(sweep)
app.command()(plan)
app.command()(report)
app.command()(run)
app.command()(calibrate)
app.command()(env)
app.command(no_args_is_help=True)(reproduce)


def main() -> None:
    """The entry point of the command."""
    app()


@app.callback(invoke_without_command=True)
def options(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Evaluate nonlinear state space models in parallel over their length, and foretell when that pays.

    Exit codes: 0 success, 1 a rollout or a claim failed, 2 wrong usage, 130 interrupted.

    For example:

    - `parascan systems`
    - `parascan report lorenz_observer --html report.html`
    - `parascan run --help`
    """
    if show_version:
        typer.echo(f"parascan {ps.__version__}")
        raise typer.Exit
