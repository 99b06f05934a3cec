"""Who looks at every iterate of a run and decides when it ends, in the place of a criterion."""

import abc

import equinox as eqx
from jaxtyping import Array, Bool, Int

from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory, Tree
from .residuals import Residuals


class AbstractWatch(eqx.Module):
    """Looks at every iterate of a run, remembers what it wants of it, and ends the run."""

    @abc.abstractmethod
    def first(self, problem: Recurrence) -> Tree:
        """What it remembers before it has seen anything."""

    @abc.abstractmethod
    def look(
        self,
        seen: Tree,
        problem: Recurrence,
        residuals: Residuals,
        proposal: Trajectory | None,
        iterations: Int[Array, ""],
    ) -> tuple[Tree, Bool[Array, ""]]:
        """What it remembers after one more iterate, and whether that ends the run.

        Args:
            seen: what it remembered before.
            problem: the recurrence.
            residuals: of the iterate.
            proposal: the next iterate, None where the criterion needs none to judge.
            iterations: updates so far.
        """
