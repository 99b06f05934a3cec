"""One update of a trajectory: what it starts from, what makes it, and Newton's."""

from typing import Any, ClassVar, Protocol

import equinox as eqx

from ..linear import AbstractTransition, linear_recurrence
from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory, Tree


class Iterate(eqx.Module):
    """A trajectory and its one-step predictions ``f_t(s_{t-1})``, computed once for everybody."""

    states: Trajectory
    images: Trajectory


class Method(Protocol):
    """What makes one update."""

    causal: ClassVar[bool]

    @property
    def exact(self) -> bool:
        """Whether an update is the exact Newton correction."""
        ...

    def init(self, problem: Recurrence, states: Trajectory) -> Tree:
        """What it remembers between updates."""
        ...

    def step(self, problem: Recurrence, iterate: Iterate, state: Any) -> tuple[Trajectory, Tree]:
        """The next trajectory and memory."""
        ...


def newton_update(transition: AbstractTransition, iterate: Iterate) -> Trajectory:
    """The solution of the recurrence that is linearized at a trajectory.

    Args:
        transition: the linearization.
        iterate: the trajectory.
    """
    residual = iterate.states - iterate.images
    return iterate.images + (linear_recurrence(transition, -residual) + residual)
