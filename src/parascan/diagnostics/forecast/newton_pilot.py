"""Newton's pilot: how many updates it takes on the first steps of a system, counted within a budget."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ...problem.flat_recurrence import ScanProblem
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...solution import StepFunction, Tree
from ...solvers import deer
from ...solvers.criterion import AbstractCriterion
from ...solvers.guesses import RepeatInitial
from .prefixes import UNMET, Prefixes, prefix_counts

FIRST_LENGTH = 32
"""Steps of the first, short run, which tells how long the second may be."""

GROWTH_PER_DOUBLING = 2
"""Updates that a run twice as long may take beyond those that the growth of the counts so far suggests."""

LEAST_GAIN = 1.25
"""A run that is not longer than the one before by this factor is not worth its compilation."""

MOST_LONGER_RUNS = 2
"""Most runs after the first: where counts settle, the second shows that a longer third is affordable."""


class NewtonPilot(eqx.Module):
    """Measured counts of Newton's updates on prefixes of a trajectory.

    Attributes:
        ends: lengths of the prefixes that met the criterion, increasing; none where not even one step did.
        counts: their updates.
        steps: step evaluations, each with one Jacobian-vector product or its Jacobian, that this took.
    """

    ends: Int[np.ndarray, " K"]
    counts: Int[np.ndarray, " K"]
    steps: int = eqx.field(static=True)

    @property
    def length(self) -> int:
        """The longest prefix whose count is known; 0 for none."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def at(self, length: float) -> int:
        """The count of the shortest known prefix of at least this length; 0 where none is known."""
        if not len(self.ends):
            return 0
        return int(self.counts[min(np.searchsorted(self.ends, length), len(self.ends) - 1)])

    def within(self, steps: float) -> "NewtonPilot":
        """The part of the counts that a pilot with fewer step evaluations would have found.

        Args:
            steps: most step evaluations: updates times length of the longest prefix.
        """
        seen = self.ends * (self.counts + 1) <= steps
        return NewtonPilot(self.ends[seen], self.counts[seen], min(self.steps, int(steps)))


def newton_pilot(
    step: StepFunction, init: Tree, xs: Tree, length: int, criterion: AbstractCriterion, budget: int
) -> NewtonPilot:
    """Run Newton on the first steps, as long as the budget allows, and count its updates on every prefix.

    There is a short run, and up to two longer ones whose length follows from the counts so far. They start from the
    initial state at every step, as ``rollout`` does.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state.
        xs: inputs, each leaf with leading axis T, or None.
        length: T.
        criterion: when an iterate is good enough.
        budget: step evaluations for all runs together.
    """
    best = _run(step, init, xs, min(length, FIRST_LENGTH, max(budget // 2, 1)), criterion, budget // 2)
    spent = best.steps
    for _ in range(MOST_LONGER_RUNS):
        longest = _affordable(best, budget - spent, length)
        if longest < max(LEAST_GAIN * best.length, 1):
            break
        run = _run(step, init, xs, longest, criterion, budget - spent)
        spent += run.steps
        best = run if run.length >= best.length else best
    return NewtonPilot(best.ends, best.counts, spent)


def _affordable(known: NewtonPilot, budget: int, length: int) -> int:
    """Steps of a longer run that the budget allows if counts go on growing as they did; one of a few sizes."""
    if known.length == 0:
        return 0
    count, earlier = known.at(known.length), known.at(known.length / 2)
    slope = (count - earlier) / (known.length / 2)
    candidates = sorted({length, *(round(FIRST_LENGTH * 2 ** (k / 2)) for k in range(64))})

    def price(steps: int) -> float:
        doublings = np.log2(max(steps / known.length, 1))
        return steps * (count + slope * (steps - known.length) + GROWTH_PER_DOUBLING * doublings + 2)

    return max((each for each in candidates if each <= length and price(each) <= budget), default=0)


def _run(
    step: StepFunction, init: Tree, xs: Tree, length: int, criterion: AbstractCriterion, budget: int
) -> NewtonPilot:
    """One pilot of a given length."""
    prefixes = Prefixes.of(length)
    most = max(budget // length - 1, 0)
    head = jax.tree.map(lambda leaf: leaf[:length], xs)
    found = np.asarray(_programs(step, init, head, criterion, jnp.asarray(most), prefixes))
    met = found != UNMET
    # A prefix that converged after a shorter one that did not says nothing about lengths between.
    usable = int(np.argmin(met)) if not met.all() else len(met)
    taken = int(found[:usable].max(initial=0)) if met.all() else most
    return NewtonPilot(np.asarray(prefixes.ends)[:usable], found[:usable], length * (taken + 1))


def _counts(
    step: StepFunction, init: Tree, xs: Tree, criterion: Any, most: Int[Array, ""], prefixes: Prefixes
) -> Int[Array, " K"]:
    """Counts of all prefixes, as one traceable function."""
    problem = ScanProblem.of(resolve(step, init, xs, prefixes.ends[-1], scan_form=False), reverse=False)
    guess = RepeatInitial().states(problem)
    return prefix_counts(problem.recurrence, guess, deer(), (criterion,), prefixes, most)[0]


_programs = ProgramCache(_counts, once=True)
