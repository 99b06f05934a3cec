"""A rollout in equal portions of updates, between which one can report, store and stop."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import parascan as ps

from .store import Iterate


@dataclass(frozen=True)
class Portion:
    """A rollout after some of its updates.

    Attributes:
        solution: the solution so far; its own count is that of the last portion.
        updates: number of updates in all.
        unfinished: whether there is more to come.
    """

    solution: ps.Solution
    updates: int
    unfinished: bool


class Stepping(Protocol):
    """What is rolled out, such as a system."""

    @property
    def step(self) -> Any:
        """``(state, x) -> state`` or ``(carry, x) -> (carry, y)``."""

    @property
    def initial_state(self) -> Any:
        """Where it starts, any tree."""


def in_portions(
    system: Stepping,
    xs: Any,
    length: int,
    *,
    solver: Any,
    criterion: Any,
    guess: Any,
    size: int,
    after: Callable[[Portion], None],
    start: Iterate | None = None,
    most: int | None = None,
) -> Portion:
    """A rollout that looks up after every ``size`` updates.

    A portion depends on nothing but the iterate before it, so a rollout that is taken up again from a stored iterate
    ends with the same numbers as one that never stopped, as long as ``size`` is the same.

    Args:
        system: what to roll out.
        xs: inputs, each with leading axis T, or None.
        length: number of steps T.
        solver: an iterative solver, such as ``ps.deer()``.
        criterion: when to stop, such as ``ps.Merit()``.
        guess: first trajectory, a tree like the state with leading axis T, to which overflowing states are put back.
        size: updates in a portion.
        after: called with every portion; an exception from it ends the rollout.
        start: an iterate to go on from, None for the guess.
        most: updates in all; T when None.

    Returns:
        The last portion, successful or not.
    """
    most = length if most is None else most
    states, updates = (guess, 0) if start is None else (start.states, start.updates)
    while True:
        solution = ps.rollout(
            system.step,
            system.initial_state,
            xs,
            length,
            solver=solver,
            criterion=criterion,
            guess=ps.guesses.Given(states, reset=guess),
            max_iterations=min(size, most - updates),
            throw=False,
        )
        updates += int(solution.stats.iterations)
        more = bool(solution.result == ps.Result.max_iterations_reached) and updates < most
        portion = Portion(solution, updates, more)
        after(portion)
        if not more:
            return portion
        states = solution.states
