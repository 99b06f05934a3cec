"""One point of a sweep: the exponent, the expected and the counted updates, or why they could not be found."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from ...diagnostics import diagnose, lyapunov_exponents
from ...problem.arguments import refuse_traced, resolve_length
from ...programs.rebind import Rebinder
from ...solution import Result, Tree
from ...solvers import Diagonal, Full, GradientDescent, Identity, Newton, Zero
from ..rollout import rollout
from .blame import reason_of
from .parameter_values import Point

FORECASTS = {Full: "newton", Diagonal: "quasi_newton", Identity: "picard", Zero: "jacobi"}
"""The name under which a diagnosis forecasts updates, by the linearization that Newton's method uses."""

OUTSIDE = "a sweep reads numbers. Call ps.sweep_parameters outside of jit, vmap and grad."
"""Why no sweep is made of traced values, and what to do."""

OUTCOMES = ("successful", "max_iterations_reached", "stalled", "diverged", "nonfinite")
"""Names of the results with which a rollout may end."""


@dataclass(frozen=True)
class Interval:
    """A number with its interval; NaN where nothing is known.

    Attributes:
        value: the number.
        low: lower end.
        high: upper end.
        level: probability that it is meant to hold with.
    """

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    level: float = np.nan

    @classmethod
    def of(cls, estimate: Any) -> "Interval":
        """An estimate's plain numbers."""
        return cls(float(estimate.value), float(estimate.low), float(estimate.high), float(estimate.level))


@dataclass(frozen=True)
class Found:
    """What is known of a point.

    Attributes:
        index: of the point.
        length: steps T, zero where they are not known.
        exponent: largest Lyapunov exponent, in 1/step.
        expected: updates that a diagnosis expects.
        updates: updates that the rollout took; NaN where there was none.
        outcome: why the rollout stopped, empty where there was none.
        verdict: of the diagnosis, empty where there was none.
        reason: why the point failed, empty where it did not.
    """

    index: int
    length: int = 0
    exponent: Interval = Interval()
    expected: Interval = Interval()
    updates: float = np.nan
    outcome: str = ""
    verdict: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words; ``from_dict`` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> "Found":
        """What ``to_dict`` gave."""
        intervals = {name: Interval(**entry[name]) for name in ("exponent", "expected")}
        return cls(**{**entry, **intervals})


@dataclass(frozen=True)
class Measure:
    """Measures points, one at a time; picklable where its parts are.

    Attributes:
        make: function of the parameters that returns ``(step, init, xs)``.
        length: steps T, all inputs when None.
        key: random key, the same for every point, so that points differ by their parameters alone.
        solver: whose updates are counted.
        criterion: when they stop, None for the default.
        max_iterations: most updates, T when None.
        budget: most steps of a diagnosis, its own choice when None.
        rebind: gives steps of the same code the same program.
    """

    make: Callable[..., Any]
    length: int | None
    key: Key[Array, ""]
    solver: Any
    criterion: Any
    max_iterations: int | None
    budget: int | None
    rebind: Rebinder

    @property
    def forecast(self) -> str:
        """The name under which a diagnosis has the expected updates, empty where it has none for the solver."""
        if isinstance(self.solver, GradientDescent):
            return "gradient_descent"
        plain = isinstance(self.solver, Newton) and self.solver.clip is None
        undamped = plain and isinstance(self.solver.damping, int | float) and self.solver.damping == 0
        return FORECASTS.get(type(self.solver.linearization), "") if undamped else ""

    def problem(self, point: Point, *, shared: bool = True) -> tuple[Any, Tree, Tree, int | None]:
        """Step, initial state, inputs and length of a point.

        Args:
            point: the point.
            shared: whether steps of the same code are given the same program, which takes values as arrays.

        Raises:
            TypeError: the function returns something else.
            ValueError: there are fewer inputs than steps.
        """
        made = self.make(**(point.arguments if shared else point.values))
        if not (isinstance(made, tuple) and len(made) == 3 and callable(made[0])):
            raise TypeError(f"make: given one that returns {type(made).__name__}, expected a tuple (step, init, xs).")
        step, init, xs = made
        xs, length = first_steps(xs, self.length)
        return self.rebind(step) if shared else step, init, xs, length

    def __call__(self, point: Point) -> Found:
        """All that can be found of a point; an error ends its measurement and is recorded as its reason.

        A step that branches in Python on a parameter cannot share a program: it gets numbers in place of arrays.
        """
        found = self._found(point, shared=True)
        return found if not found.reason else self._found(point, shared=False)

    def _found(self, point: Point, *, shared: bool) -> Found:
        """All that can be found of a point, with or without a shared program."""
        found = Found(point.index)
        try:
            problem = self.problem(point, shared=shared)
            found = replace(found, length=resolve_length(*problem[2:]))
            estimate = lyapunov_exponents(*problem, key=self.key).estimate
            refuse_traced("make", estimate, OUTSIDE)
            found = replace(found, exponent=Interval.of(estimate))
            solution = rollout(
                *problem,
                solver=self.solver,
                criterion=self.criterion,
                max_iterations=self.max_iterations,
                throw=False,
            )
            outcome = next(each for each in OUTCOMES if bool(solution.result == getattr(Result, each)))
            found = replace(found, updates=float(solution.stats.iterations), outcome=outcome)
            diagnosis = diagnose(*problem, key=self.key, criterion=self.criterion, budget=self.budget)
            expected = diagnosis.iterations.get(self.forecast)
            found = replace(found, verdict=diagnosis.verdict)
            return found if expected is None else replace(found, expected=Interval.of(expected))
        except Exception as error:
            return replace(found, reason=reason_of(error))


def first_steps(xs: Tree, length: int | None) -> tuple[Tree, int | None]:
    """The inputs of the first steps, and the length where there are no inputs to tell it.

    Args:
        xs: inputs, each leaf with leading axis, or None.
        length: steps T, None for all inputs.

    Raises:
        ValueError: there are fewer inputs than steps.
    """
    if not jax.tree.leaves(xs) or length is None:
        return xs, length
    given = min(np.shape(leaf)[0] for leaf in jax.tree.leaves(xs) if np.ndim(leaf))
    if length > given:
        raise ValueError(f"length: given {length}, expected at most {given}, as many steps as there are inputs.")
    return jax.tree.map(lambda leaf: leaf[:length], xs), None
