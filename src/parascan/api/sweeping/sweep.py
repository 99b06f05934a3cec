"""``sweep``: a function at many points, by any executor, with progress, and resumed from a state file."""

import contextlib
import pickle
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...problem.arguments import check_counts
from .attempts import Outcome, attempts
from .digest import digest_of_point
from .sweep_state import SweepState

MOST_NAMED = 5
"""Most failed points that a printed sweep names with their reasons."""

LONGEST_POINT = 80
"""Most characters of a point in a printed line."""


class SweepProgress(NamedTuple):
    """Where a sweep is; prints as a line.

    Attributes:
        done: points that have a value or have failed.
        total: points in all.
        failed: those of them that have failed.
        point: the last one, None before the first.
        reason: why it failed, empty where it did not.
    """

    done: int
    total: int
    failed: int = 0
    point: Any = None
    reason: str = ""

    def __str__(self) -> str:
        failures = f", {self.failed} failed" if self.failed else ""
        head = f"{self.done} of {self.total}{failures}"
        if self.point is None:
            return f"{head} known"
        return f"{head}: {_short(self.point)}{': ' * bool(self.reason)}{self.reason}"


@dataclass(frozen=True)
class Sweep:
    """The values of a function at many points, in the order of the points. Prints its failures.

    Attributes:
        points: what the function was called with.
        values: what it returned, None where it failed.
        reasons: why it failed, with file and line; empty where it did not.
    """

    points: tuple[Any, ...]
    values: tuple[Any, ...]
    reasons: tuple[str, ...]

    @property
    def failed(self) -> tuple[tuple[Any, str], ...]:
        """The points that failed, each with its reason."""
        return tuple((point, why) for point, why in zip(self.points, self.reasons, strict=True) if why)

    def raise_failures(self) -> None:
        """Nothing where every point has a value.

        Raises:
            RuntimeError: some points failed; the text names the first of them.
        """
        if self.failed:
            raise RuntimeError(str(self))

    def __str__(self) -> str:
        failed = self.failed
        lines = [f"{len(self.points) - len(failed)} of {len(self.points)} points have a value"]
        lines += [f"failed at {_short(point)}: {reason}" for point, reason in failed[:MOST_NAMED]]
        more = len(failed) - MOST_NAMED
        return "\n".join([*lines, f"{more} more points failed"] if more > 0 else lines)


def sweep(
    function: Callable[[Any], Any],
    points: Iterable[Any],
    *,
    executor: Executor | None = None,
    at_once: int | None = None,
    state_file: str | Path | None = None,
    progress: Callable[[SweepProgress], object] | None = None,
) -> Sweep:
    """Many diagnoses, plans or experiments: the value of a function at every point, here or on other machines.

    A point that fails is recorded with its error, and the others go on. An interrupt, or an exception of ``progress``,
    ends the sweep; calls that have not begun are cancelled, and what the state file has stays.

    Args:
        function: of one point. For processes it is a function of a module, or ``functools.partial`` of one; what it
            returns can be pickled, as can ``Diagnosis`` and ``Plan``.
        points: what it is called with, such as numbers, tuples or mappings.
        executor: who calls it: any ``concurrent.futures.Executor``, such as a process pool or that of a Dask client
            (``client.get_executor()``). This process, one point after the other, when None. It is not shut down.
            Processes have to be spawned, since JAX does not survive a fork.
        at_once: most points that the executor is given at a time; all when None.
        state_file: a file that keeps every value as it comes. The same call goes on from there, also with more points
            or fewer; those that failed are tried again. It knows the function by its name, its own code and what it
            closes over, and not by the code of what it calls: remove the file when that has changed. It is a pickle,
            which runs code when it is read: open only a file of your own. One sweep at a time writes to it.
        progress: called with a ``SweepProgress`` before the first point and after every one, such as ``print``.

    Returns:
        A ``Sweep``: ``points``, ``values``, ``reasons``, ``failed``.

    Raises:
        TypeError: an argument of the wrong kind; a function that cannot be sent to a process; with a state file, a
            point or a function that cannot be known again. No point is measured then.
        ValueError: a number out of its range, or a state file of another function or of other versions.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> def updates(gain):
        ...     step = lambda s, x: jnp.tanh(gain * s + x)
        ...     return int(ps.rollout(step, jnp.zeros(2), jnp.ones((50, 2)), solver=ps.deer()).stats.iterations)
        >>> found = ps.sweep(updates, [0.0, "large"])
        >>> found.values, found.failed[0][0]
        ((1, None), 'large')
    """
    points = _checked(function, points, executor, at_once, state_file, progress)
    report = progress if progress is not None else lambda _: None
    digests = [] if state_file is None else [digest_of_point(each, f"points[{k}]") for k, each in enumerate(points)]
    state = None if state_file is None else SweepState(Path(state_file), function)
    known = [] if state is None else [k for k, each in enumerate(digests) if state.known(each)]
    found = {} if state is None else {k: Outcome(state.value(digests[k]), "") for k in known}
    missing, failures = [k for k in range(len(points)) if k not in found], 0
    report(SweepProgress(len(found), len(points)))
    with contextlib.closing(attempts(function, [points[k] for k in missing], executor, at_once)) as ended:
        for each in ended:
            if each is None:
                continue
            index, outcome = missing[each[0]], each[1]
            if state is not None and not outcome.reason:
                outcome = _kept(state, digests[index], outcome)
            found[index] = outcome
            failures += bool(outcome.reason)
            report(SweepProgress(len(found), len(points), failures, points[index], outcome.reason))
    values, reasons = zip(*(found[k] for k in range(len(points))), strict=True) if points else ((), ())
    return Sweep(tuple(points), values, reasons)


def _kept(state: SweepState, digest: str, outcome: Outcome) -> Outcome:
    """The outcome, after its value has been stored; a failure where it cannot be."""
    try:
        state.keep(digest, outcome.value)
    except Exception as error:  # of pickle, or of the value's own class when it is read again
        return Outcome(None, f"its value of type {type(outcome.value).__name__} cannot be kept in a file: {error}")
    return outcome


def _checked(function: Any, points: Any, executor: Any, at_once: Any, state_file: Any, progress: Any) -> list[Any]:
    """The points as a list, after arguments with which none could be measured have been refused."""
    if not callable(function):
        raise TypeError(f"function: given {type(function).__name__}, expected a function of one point.")
    if isinstance(points, str | bytes | dict) or not isinstance(points, Iterable) or getattr(points, "ndim", 1) == 0:
        expected = "expected a sequence of points. Exponents over parameters are found by ps.sweep_parameters"
        raise TypeError(f"points: given {type(points).__name__}, {expected}.")
    if executor is not None and not isinstance(executor, Executor):
        expected = "expected a concurrent.futures.Executor, such as client.get_executor() of a Dask client, or None"
        raise TypeError(f"executor: given {type(executor).__name__}, {expected}.")
    check_counts(optional=True, at_once=at_once)
    if state_file is not None and not isinstance(state_file, str | Path):
        raise TypeError(f"state_file: given {type(state_file).__name__}, expected the path of a file or None.")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress: given {type(progress).__name__}, expected a function such as print, or None.")
    if executor is not None:
        _check_sendable(function, executor)
    return list(points)


def _check_sendable(function: Any, executor: Executor) -> None:
    """Refuse a function that a pool of processes cannot be sent; Dask and others send what pickle cannot."""
    # Imported here, since it prepares for starting processes.
    from concurrent.futures import ProcessPoolExecutor

    if not isinstance(executor, ProcessPoolExecutor):
        return
    try:
        pickle.dumps(function)
    except Exception as error:
        raise TypeError(
            f"function: given {function!r}, which cannot be sent to another process ({error}), expected a function of "
            "a module."
        ) from error


def _short(point: Any) -> str:
    """A point in a line."""
    text = " ".join(repr(point).split())
    return text if len(text) <= LONGEST_POINT else text[: LONGEST_POINT - 3] + "..."
