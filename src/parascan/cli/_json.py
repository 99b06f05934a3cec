"""The one shape of what ``--json`` prints."""

from typing import Any

import typer

import parascan as ps

from ..paper.harness.written_files import to_json

FORM = 1
"""Version of the shape; it changes when a name in it changes its meaning or goes."""


def echo_json(command: str, result: Any) -> None:
    """Print what a command found as strict JSON: its name, the version of shape and package, and the result.

    Args:
        command: name of the command.
        result: mappings, lists, numbers and words; numbers that are not finite become null.
    """
    typer.echo(to_json({"command": command, "form": FORM, "version": ps.__version__, "result": result}), nl=False)
