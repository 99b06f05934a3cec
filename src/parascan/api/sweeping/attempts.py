"""Calls of one function at many points, here or by an executor, of which a failed one does not stop the others."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

from .blame import reason_of

PULSE = 0.2
"""Seconds after which a caller hears that nothing has come, and may stop."""


class Outcome(NamedTuple):
    """What became of a call.

    Attributes:
        value: what it returned, None where it failed.
        reason: kind, text and place of its error; empty where it did not fail.
    """

    value: Any
    reason: str


@dataclass(frozen=True)
class Attempt:
    """A function whose errors are reasons in words; these can be sent between processes, and name the place.

    Attributes:
        function: of one argument.
    """

    function: Callable[[Any], Any]

    def __call__(self, point: Any) -> Outcome:
        """What became of the call at a point."""
        try:
            return Outcome(self.function(point), "")
        except (Exception, SystemExit) as error:
            return Outcome(None, reason_of(error))


class Here(Executor):
    """This process, which does what it is asked for before it answers."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that is done; an interrupt of the call ends the caller."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def attempts(
    function: Callable[[Any], Any], points: Sequence[Any], executor: Executor | None, at_once: int | None = None
) -> Generator[tuple[int, Outcome] | None, None, None]:
    """What becomes of every call, in the order in which they end.

    Args:
        function: of a point.
        points: what it is called with.
        executor: who calls it; this process, one call after the other, when None.
        at_once: most calls that the executor is given at a time, all when None.

    Yields:
        The place of a point and its outcome; None several times a second while nothing ends. Calls that have not
        begun are cancelled when the iterator is closed.
    """
    executor, at_once = (Here(), 1) if executor is None else (executor, at_once)
    waiting, running = list(reversed(range(len(points)))), dict[Future[Any], int]()
    attempt = Attempt(function)
    try:
        while waiting or running:
            while waiting and (at_once is None or len(running) < at_once):
                index = waiting.pop()
                try:
                    running[executor.submit(attempt, points[index])] = index
                except BrokenExecutor as error:
                    yield index, Outcome(None, reason_of(error))
            finished, _ = wait(running, PULSE, FIRST_COMPLETED)
            for future in finished:
                yield running.pop(future), _outcome(future)
            if running and not finished:
                yield None
    finally:
        for future in running:
            future.cancel()


def _outcome(future: Future[Any]) -> Outcome:
    """What became of a call that has ended; an error of its own means that it was never made, or its value was lost."""
    try:
        return future.result()
    except (Exception, CancelledError) as error:
        return Outcome(None, reason_of(error))
