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
    """Ctrl-C as one line that says what is left, and the exit code that shells expect.

    The first Ctrl-C only asks: an exception in the middle of JAX's own code may get lost or crash it. The second one
    does not wait.

    Args:
        remedy: how to go on.

    Yields:
        A function to call between two pieces of work; it raises ``KeyboardInterrupt`` if somebody asked to stop.
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
        report.console().print(f"interrupted; {remedy}", markup=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Errors of the library about its arguments, and all errors of a user's own code, as wrong usage: exit code 2.

    What a user's function or step raises is shown by its kind, text, file and line; a compiled step has no place any
    more by the time that it fails.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        if place_of(error) or isinstance(error, RuntimeError):
            raise typer.BadParameter(reason_of(error)) from error
        if isinstance(error, ImportError | TypeError | ValueError):
            raise typer.BadParameter(str(error)) from error
        raise
