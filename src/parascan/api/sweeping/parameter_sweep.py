"""``sweep_parameters``: points measured here or by an executor, and stored as they come."""

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Key

from ...problem.arguments import check_counts
from ...programs.platform import on_its_platform
from ...programs.rebind import Rebinder
from ...solvers import AbstractIterativeSolver, MultipleShooting, deer
from ...solvers.criterion import Merit, StateError
from .attempts import attempts
from .measure_point import Found, Measure
from .parameter_record import ParameterSweep
from .parameter_store import Store
from .parameter_values import Grid, Point


class ParameterProgress(NamedTuple):
    """Where a sweep is; prints as a line.

    Attributes:
        done: points that are known.
        total: points in all.
        point: the one that was measured last, None before the first.
        found: what was found there.
    """

    done: int
    total: int
    point: Point | None = None
    found: Found | None = None

    def __str__(self) -> str:
        head = f"{self.done} of {self.total}"
        if self.point is None or self.found is None:
            return f"{head} points known"
        if self.found.reason:
            return f"{head}: {self.point}: {self.found.reason}"
        updates = "" if np.isnan(self.found.updates) else f", {self.found.updates:.0f} updates"
        return f"{head}: {self.point}: exponent {self.found.exponent.value:.4g}{updates}"


@on_its_platform
def sweep_parameters(
    make: Callable[..., Any],
    parameters: Mapping[str, ArrayLike],
    length: int | None = None,
    *,
    key: Key[Array, ""],
    solver: AbstractIterativeSolver | MultipleShooting | None = None,
    criterion: StateError | Merit | None = None,
    max_iterations: int | None = None,
    budget: int | None = None,
    dt: float = 1.0,
    executor: Executor | None = None,
    store: str | Path | None = None,
    progress: Callable[[ParameterProgress], object] | None = None,
) -> ParameterSweep:
    """Where a system stops being predictable: exponent, expected and counted updates over one or two parameters.

    Each point costs what ``lyapunov_exponents`` costs over T steps, one rollout and one diagnosis. Steps that are trees
    of arrays, or functions that close over arrays, of the same shapes at all points share their compiled programs: the
    first point compiles, the others run. A point that fails is recorded with its reason, and the others go on.

    Args:
        make: function of the parameters that returns ``(step, init, xs)``, as the first arguments of ``rollout``. It
            gets floating values as arrays without axes, which compute into arrays that programs can share, and integers
            as they are; where that fails, as with a step that decides by a value in Python, all of them as numbers.
        parameters: increasing values of one or two arguments of ``make``, by name.
        length: T; the first inputs are taken where there are more. All inputs when None.
        key: random key of directions, the same at every point.
        solver: an iterative method whose updates are counted; ``deer()`` when None.
        criterion: when it stops; ``StateError()`` when None.
        max_iterations: most updates at a point; T when None.
        budget: most steps that a point's diagnosis takes one after the other.
        dt: time that one step stands for, in the user's unit of time.
        executor: who measures the points, as for ``ps.sweep``; this process, one after the other, when None.
        store: a file that holds all points measured so far. The same call, or one with other values of the parameters,
            goes on from it; points that failed are tried again.
        progress: called with a ``ParameterProgress`` after every point, such as ``print``; an exception from it ends
            the sweep, and what was stored stays.

    Returns:
        A ``ParameterSweep``: arrays like the grid, ``threshold``, ``to_dict()``; ``print`` it for a table.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: parameters that do not increase, a number out of its range, or a store that belongs to another call.

    Source: figure 2 of the paper, for any system.

    Examples:
        >>> import jax, jax.numpy as jnp, numpy as np, parascan as ps
        >>> def make(gain):
        ...     return lambda s, x: jnp.tanh(gain * s) + x, jnp.zeros(2), jnp.full((200, 2), 0.01)
        >>> found = ps.sweep_parameters(make, {"gain": np.linspace(0.2, 0.8, 3)}, key=jax.random.key(0))
        >>> found.exponent.value.shape, found.solved.all()
        ((3,), np.True_)
    """
    grid = Grid.of(parameters)
    solver = deer() if solver is None else solver
    _check(make, length, key, solver, criterion, dt, {"max_iterations": max_iterations, "budget": budget})
    measure = Measure(make, length, key, solver, criterion, max_iterations, budget, Rebinder())
    points = list(grid)
    kept = None if store is None else Store(Path(store), measure, list(grid.axes))
    known = {} if kept is None else {each.index: found for each in points if (found := kept.known(each)) is not None}
    report = progress if progress is not None else lambda _: None
    report(ParameterProgress(len(known), len(points)))
    missing = [each for each in points if each.index not in known]
    with contextlib.closing(attempts(measure, missing, executor)) as ended:
        for each in ended:
            if each is None:
                continue
            point, outcome = missing[each[0]], each[1]
            # A reason of the outcome is of the executor, such as a worker that was lost: others are in what was found.
            found = Found(point.index, reason=outcome.reason) if outcome.reason else outcome.value
            known[point.index] = found
            if kept is not None:
                kept.keep(point, found)
            report(ParameterProgress(len(known), len(points), point, found))
    return ParameterSweep.of(grid, [known[each.index] for each in points], measure, float(dt))


def _check(
    make: Any, length: int | None, key: Any, solver: Any, criterion: Any, dt: float, counts: Mapping[str, int | None]
) -> None:
    """Refuse arguments with which no point could be measured."""
    if not callable(make):
        raise TypeError(f"make: given {type(make).__name__}, expected a function that returns (step, init, xs).")
    if not isinstance(key, jax.Array):
        raise TypeError(f"key: given {type(key).__name__}, expected a random key such as jax.random.key(0).")
    if not isinstance(solver, AbstractIterativeSolver | MultipleShooting):
        raise TypeError(f"solver: given {type(solver).__name__}, expected one that iterates, such as ps.deer().")
    if criterion is not None and not isinstance(criterion, StateError | Merit):
        raise TypeError(f"criterion: given {type(criterion).__name__}, expected StateError() or Merit().")
    check_counts(optional=True, length=length, **counts)
    if not dt > 0:
        raise ValueError(f"dt: given {dt}, expected a positive duration of one step.")
