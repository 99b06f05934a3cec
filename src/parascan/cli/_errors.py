"""How a command ends when it is interrupted or called wrongly."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from ..api.sweeping import place_of, reason_of
from . import report

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@contextmanager
def interruptible(remedy: str) -> Iterator[Callable[[], None]]:
    """A context in which Ctrl-C ends the command with a line on how to go on, and the exit code that shells expect.

    The first Ctrl-C only asks for an end: an exception in the middle of JAX's own code may get lost or crash it. The
    second one ends the command at once.

    Args:
        remedy: how to go on, for the line.

    Yields:
        A function to call between two pieces of work; it raises ``KeyboardInterrupt`` after a first Ctrl-C.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield check
        check()
    except KeyboardInterrupt:
        report.console(aside=True).print(f"interrupted; {remedy}", markup=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def wrong_usage() -> Iterator[None]:
    """A context in which errors about arguments, and all errors of a user's own code, end as wrong usage: exit code 2.

    An error of a user's function or step is shown with its kind, text, file and line; once a step is compiled its place
    is no longer known.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        if place_of(error) or isinstance(error, RuntimeError):
            raise typer.BadParameter(reason_of(error)) from error
        if isinstance(error, ImportError | OSError | TypeError | ValueError):
            raise typer.BadParameter(str(error)) from error
        raise
