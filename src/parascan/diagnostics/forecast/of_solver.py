"""How many updates a given method is expected to take: theory near the solution, tried out by real updates.

The trajectory of the first steps is known, so the error of the guess is known too. Theory gives from it the updates of
every length (``error_curve``). A few dozen real updates (``trial``) say whether theory holds: as long as no error is
larger than theory's, the count is theory's. Where errors are larger, the iterates are too far from the solution for it,
as where they overflow: from there on the method advances as a front, at the speed at which it did in the trial, a step
in each update at least. A method without a linearization of its own is expected to go on as it did in the trial.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...problem.flat_recurrence import ScanProblem
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...solution import StepFunction, Tree
from ...solvers import AbstractIterativeSolver, Newton
from ...solvers.criterion import Merit, StateError
from ...solvers.guesses import RepeatInitial
from ..estimate import Estimate
from .behavior import allowed_error, rule_in_words
from .error_curve import ANGLES, LOG_RADII, error_curve, log_error_after, updates_by_theory
from .margins import Center
from .trial import error_history
from .update_rate import ErrorMap
from .updates import within_margins

MOST_STEPS = 2048
"""Most first steps that are looked at."""

UPDATES = 48
"""Real updates that are made on them, at most."""

VECTORS = 2 * len(LOG_RADII) * len(ANGLES)
"""Vectors that theory pushes along, each by two products in a step."""

FIRST_JUDGED = 4
"""Updates before which errors are not compared with theory."""

EXCESS = 2.0
"""Natural logarithm of the factor by which an error has to exceed theory's before theory is given up."""

ROUNDED = 16.0
"""Units of rounding of the largest error of a step that an update may leave."""

MEASURED, CONTINUED = "measured", "continued"
"""Situations of margins: counted on all steps, and on the first of them."""

NEAR, NEAR_SO_FAR = "near the solution", "near the solution so far"
"""Situations of margins: foretold by theory on all steps, and on the first of them."""

FRONT, PROGRESS = "as a front", "as in the trial"
"""Situations of margins: foretold by the speed of a front, and by what the trial has solved."""


class SolverLook(NamedTuple):
    """What a trial of a method on the first steps showed.

    Attributes:
        errors: of every step in the guess and after each update ``[K+1 n]``.
        curve: of ``error_curve`` ``[n R]``; None for a method without transitions of its own.
        scale: largest magnitude of a state.
        spread: root mean square distance of the states from their mean.
        eps: unit of rounding of the states.
    """

    errors: Float[np.ndarray, "K+1 n"]
    curve: Float[np.ndarray, "n R"] | None
    scale: float
    spread: float
    eps: float


class Asked(NamedTuple):
    """What a diagnosis was asked about a method, and what was seen of it.

    Attributes:
        solver: the method; None where none was asked about.
        look: what a trial showed; None where Newton's own forecast is meant.
    """

    solver: AbstractIterativeSolver | None
    look: SolverLook | None

    @property
    def steps(self) -> int:
        """Steps taken one after the other: those of the trajectory, and those of theory."""
        return 0 if self.look is None else self.look.errors.shape[1] * (1 if self.look.curve is None else 2)

    @property
    def products(self) -> int:
        """Products with Jacobians."""
        return 0 if self.look is None or self.look.curve is None else VECTORS * len(self.look.curve)

    @property
    def evaluations(self) -> int:
        """Step evaluations of the trial."""
        return 0 if self.look is None else int(self.look.errors.size)

    def forecast(
        self, newton: Estimate, criterion: StateError | Merit, eps: float, length: int
    ) -> tuple[dict[str, Estimate], tuple[str, ...]]:
        """The expected updates by name, ``solver``, and a sentence; neither where nothing was asked.

        Args:
            newton: the forecast of Newton's method.
            criterion: the stopping rule.
            eps: unit of rounding of the states.
            length: T.
        """
        if self.solver is None:
            return {}, ()
        found = newton if self.look is None else solver_iterations(self.look, criterion, eps, length)
        value, low, high = (int(each) for each in (found.value, found.low, found.high))
        sentence = f"{self.solver.described} is expected to take {value} iterations ({low} to {high}): {found.method}."
        return {"solver": found}, (sentence,)


class _Options(eqx.Module):
    """What is known before compilation."""

    length: int = eqx.field(static=True)
    updates: int = eqx.field(static=True)


def check_foretellable(solver: Any) -> None:
    """Refuse what no count of updates is forecast for.

    Args:
        solver: as the user gave it.

    Raises:
        TypeError: it is no iterative solver, or one that a number of updates as large as T need not solve.
    """
    if not (isinstance(solver, AbstractIterativeSolver) and solver.causal):
        given = getattr(solver, "__name__", type(solver).__name__)
        raise TypeError(
            f"solver: given {given}, expected a causal iterative solver such as ps.quasi_deer(), ps.picard() or "
            "ps.elk(); whether chunks pay is what the verdict and ps.explain say."
        )


def look_at(step: StepFunction, init: Tree, xs: Tree, length: int, solver: AbstractIterativeSolver) -> SolverLook:
    """Theory's errors and those of a trial, on the first steps.

    Depth: the steps looked at, and ``UPDATES`` updates. Work: as many step evaluations and linearizations, and
    160 products with Jacobians and with what replaces them in a step, for a method of Newton's type; all side by side.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state.
        xs: inputs, each leaf with leading axis T, or None.
        length: T.
        solver: the method.
    """
    count = min(length, MOST_STEPS)
    head = jax.tree.map(lambda leaf: leaf[:count], xs)
    errors, curve, scale, spread = _programs(step, init, head, solver, _Options(count, min(UPDATES, count)))
    by_theory = None if curve is None else np.asarray(curve, float)
    return SolverLook(
        np.asarray(errors, float), by_theory, float(scale), float(spread), float(jnp.finfo(errors.dtype).eps)
    )


def _measure(
    step: StepFunction, init: Tree, xs: Tree, solver: AbstractIterativeSolver, options: _Options
) -> tuple[Array, Array | None, Array, Array]:
    """Errors, theory, and the size and spread of the states, as one traceable function."""
    problem = ScanProblem.of(resolve(step, init, xs, options.length, scan_form=False), reverse=False)
    recurrence, guess = problem.recurrence, RepeatInitial().states(problem)
    truth = recurrence.trajectory()
    errors = error_history(recurrence, guess, truth, solver, options.updates)
    scale = jnp.max(jnp.abs(truth))
    spread = jnp.sqrt(jnp.mean(jnp.sum((truth - jnp.mean(truth, axis=0)) ** 2, axis=1)))
    if not isinstance(solver, Newton):
        return errors, None, scale, spread
    near = ErrorMap.of(solver, recurrence, truth)
    return errors, error_curve(near.exact.guarded(), near.replaced, guess - truth), scale, spread


_programs = ProgramCache(_measure, once=True)


def solver_iterations(look: SolverLook, criterion: StateError | Merit, eps: float, length: int) -> Estimate:
    """The updates of the method over T steps.

    Args:
        look: what the trial showed.
        criterion: the stopping rule.
        eps: unit of rounding of the states.
        length: T.
    """
    center, words = solver_center(look, allowed_error(criterion, look.scale, eps), length)
    return within_margins("solver", center, length, words, rule_in_words(criterion))


def solver_center(look: SolverLook, allowed: float, length: int) -> tuple[Center, str]:
    """The count by measurement, theory or extrapolation, its situation, and the same in words.

    Args:
        look: what the trial showed.
        allowed: the error that the stopping rule lets pass.
        length: T.
    """
    errors, count = look.errors, min(length, look.errors.shape[1])
    worst = np.maximum.accumulate(errors[:, :count], axis=1)
    solved = worst <= allowed
    reach = 1 + math.log(length / count)
    tried = len(errors) - 1
    if solved[:, -1].any() and (length == count or look.curve is None or _departure(look, allowed, count) is not None):
        return _counted(np.argmax(solved, axis=0), length)
    if look.curve is None:
        center, speed = _advancing(_progress(solved), count, length, reach, PROGRESS)
        return center, f"{tried} updates solve part of {count} steps, the last ones {speed:.3g} steps each"
    log_allowed = math.log(max(allowed, 1e-300))
    expected = float(updates_by_theory(look.curve[:count], log_allowed, length)[-1])
    first = _departure(look, allowed, count)
    if first is None:
        return Center(
            expected, reach, NEAR if length == count else NEAR_SO_FAR
        ), f"rate theorem; {tried} updates went as it says"
    center, speed = _advancing(_front(look, allowed, count, first), count, length, reach, FRONT)
    center = center._replace(updates=max(center.updates, expected))
    return center, f"from step {first} on iterates are far from the solution; an update gains {speed:.3g} steps"


def _counted(counts: np.ndarray, length: int) -> tuple[Center, str]:
    """A count for T steps from those for every shorter length up to one: itself, or continued as it grew last."""
    known, words = len(counts), f"counted on {'all ' if length == len(counts) else ''}{len(counts)} steps"
    if length == known:
        return Center(float(counts[-1]), 1.0, MEASURED, 0.0), words
    last, half = float(max(counts[-1], 1)), float(max(counts[max(known // 2 - 1, 0)], 1))
    power = min(max(math.log2(last / half), 0.0), 1.0)
    center = Center(min(last * (length / known) ** power, length), 1 + math.log(length / known), CONTINUED, counts[-1])
    return center, f"{words}, continued as T^{power:.2f}"


def _advancing(front: np.ndarray, count: int, length: int, reach: float, situation: str) -> tuple[Center, float]:
    """The updates after which a front has passed T, and its speed in steps an update, one at least.

    The speed is that over the second half of the updates in which the front moved.
    """
    end = int(np.argmax(front >= count)) if (front >= count).any() else len(front) - 1
    begin = max(end // 2, min(int(np.argmin(front)), end - 1), 0)
    speed = max((front[end] - front[begin]) / max(end - begin, 1), 1.0)
    updates = end + max(length - front[end], 0) / speed
    return Center(float(min(updates, length)), reach, situation), float(speed)


def _progress(solved: np.ndarray) -> np.ndarray:
    """For every update the number of leading steps that are solved."""
    return np.where(solved.all(axis=1), solved.shape[1], np.argmin(solved, axis=1))


def _departure(look: SolverLook, allowed: float, count: int) -> int | None:
    """The first step whose error exceeds theory's after any of the updates; None where none does."""
    assert look.curve is not None
    found = [np.flatnonzero(_exceeds(look, k, allowed, count))[:1] for k in range(FIRST_JUDGED, len(look.errors))]
    steps = [int(each[0]) for each in found if len(each)]
    return min(steps) if steps else None


def _exceeds(look: SolverLook, updates: int, allowed: float, count: int) -> np.ndarray:
    """Whether each step's error is larger than theory's, and than rounding of the largest error before."""
    assert look.curve is not None
    # At the smallest radius, next to one, the curve is that of the largest error of all updates.
    rounded = look.curve[:count, 0] + math.log(ROUNDED * look.eps)
    theory = np.maximum(
        log_error_after(look.curve[:count], updates), np.maximum(rounded, math.log(max(allowed, 1e-300)))
    )
    return np.log(np.maximum(look.errors[updates, :count], 1e-300)) > theory + EXCESS


def _front(look: SolverLook, allowed: float, count: int, first: int) -> np.ndarray:
    """For every update the first step from the departure on whose error is still large, or larger than theory's."""
    assert look.curve is not None
    found = []
    for k in range(len(look.errors)):
        far = _exceeds(look, k, allowed, count) | (look.errors[k, :count] > max(look.spread, allowed))
        far[:first] = False
        found.append(int(np.argmax(far)) if far.any() else count)
    return np.asarray(found)
