"""What a solver is: one update of a trajectory, or a direct evaluation."""

import abc
from typing import Any, ClassVar, TypeAlias

import equinox as eqx

from ..problem.flat_recurrence import Recurrence
from ..solution import StepFunction, Trajectory, Tree


class Iterate(eqx.Module):
    """A trajectory and its images ``f_t(s_{t-1})``, computed once for everybody."""

    states: Trajectory
    images: Trajectory


class AbstractSolver(eqx.Module):
    """Anything that ``rollout`` accepts as its solver.

    Attributes:
        references: keys of the publications that the method comes from.
        iterates: whether it improves a trajectory until a criterion is met; others evaluate at once.
    """

    references: ClassVar[tuple[str, ...]]
    iterates: ClassVar[bool] = True


class AbstractIterativeSolver(AbstractSolver):
    """A solver that owns one update; repeating, testing and differentiating belong to others.

    Attributes:
        causal: whether iteration i leaves the first i states exact, so that T iterations always suffice.
    """

    causal: ClassVar[bool]

    @property
    @abc.abstractmethod
    def exact(self) -> bool:
        """Whether an update is the exact Newton correction, which estimates the error of the iterate it leaves."""

    @abc.abstractmethod
    def init(self, problem: Recurrence, states: Trajectory) -> Tree:
        """What the solver remembers between updates."""

    @abc.abstractmethod
    def step(self, problem: Recurrence, iterate: Iterate, state: Any) -> tuple[Trajectory, Tree]:
        """The next trajectory and memory."""


class AbstractDirectSolver(AbstractSolver):
    """A solver that evaluates a scan at once and exactly, with nothing to iterate."""

    iterates: ClassVar[bool] = False

    @abc.abstractmethod
    def evaluate(
        self, step: StepFunction, init: Tree, xs: Tree, length: int, *, reverse: bool, unroll: int | bool
    ) -> tuple[Tree, Tree]:
        """Final carry and outputs of a step in scan's form, as ``jax.lax.scan`` gives them."""


Solver: TypeAlias = AbstractDirectSolver | AbstractIterativeSolver
"""What ``scan`` and ``rollout`` take."""
