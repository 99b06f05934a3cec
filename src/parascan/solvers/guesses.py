"""First trajectories for iterative solvers: where the iterations start, never where they end."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ..problem.arguments import as_arrays, describe
from ..problem.flat_recurrence import ScanProblem
from ..solution import Trajectory, Tree


class AbstractGuess(eqx.Module):
    """A rule that gives the first trajectory, and the repair: the one that non-finite states are put back to."""

    @abc.abstractmethod
    def states(self, problem: ScanProblem) -> Trajectory:
        """The first flat trajectory ``[T, D]``."""

    def repair(self, problem: ScanProblem) -> Trajectory:
        """The trajectory that non-finite states are put back to; by default the guess itself."""
        return self.states(problem)


class RepeatInitial(AbstractGuess):
    """The initial state at every step: safe for systems that move slowly, and the default."""

    def states(self, problem: ScanProblem) -> Trajectory:
        """``s_t = s_0`` for all t."""
        recurrence = problem.recurrence
        return jnp.broadcast_to(recurrence.initial, (recurrence.length, recurrence.size))


class Zeros(AbstractGuess):
    """Zero at every step."""

    def states(self, problem: ScanProblem) -> Trajectory:
        """``s_t = 0`` for all t."""
        return jnp.zeros((problem.recurrence.length, problem.recurrence.size), problem.recurrence.dtype)


class Normal(AbstractGuess):
    """Independent normal entries, as in the paper's flows and Langevin chains.

    Args:
        key: random key of the draw.
        scale: standard deviation.
    """

    key: Key[Array, ""]
    scale: float = 1.0

    def states(self, problem: ScanProblem) -> Trajectory:
        """``s_t ~ N(0, scale^2)``."""
        recurrence = problem.recurrence
        draw = jax.random.normal(self.key, (recurrence.length, recurrence.size), recurrence.dtype)
        return jnp.asarray(self.scale, recurrence.dtype) * draw


class Uniform(AbstractGuess):
    """Independent uniform entries, as in the paper's mean-field RNN.

    Args:
        key: random key of the draw.
        low: lower end.
        high: upper end.
    """

    key: Key[Array, ""]
    low: float = 0.0
    high: float = 1.0

    def states(self, problem: ScanProblem) -> Trajectory:
        """``s_t ~ U[low, high]``."""
        recurrence = problem.recurrence
        shape = (recurrence.length, recurrence.size)
        return jax.random.uniform(self.key, shape, recurrence.dtype, self.low, self.high)


class Given(AbstractGuess):
    """A trajectory in the user's own form, such as an earlier result's ``states`` (a warm start).

    Args:
        trajectory: tree of the carry's structure, every leaf with a leading axis T.
        reset: trajectory of the same form that overflowing states are put back to; ``trajectory`` when None.
    """

    trajectory: Tree
    reset: Tree = None

    def states(self, problem: ScanProblem) -> Trajectory:
        """The given trajectory, flattened."""
        return self._flatten("guess", self.trajectory, problem)

    def repair(self, problem: ScanProblem) -> Trajectory:
        """The trajectory that overflowing states are put back to."""
        return self.states(problem) if self.reset is None else self._flatten("guess.reset", self.reset, problem)

    def _flatten(self, name: str, trajectory: Tree, problem: ScanProblem) -> Trajectory:
        """Flat states of a trajectory whose form has been checked."""
        trajectory = as_arrays(name, trajectory)
        layout, length = problem.layout, problem.recurrence.length
        structs = [jax.ShapeDtypeStruct((length, *leaf.shape), leaf.dtype) for leaf in layout.leaves]
        expected = jax.tree.unflatten(layout.treedef, structs)
        if not _same_form(trajectory, expected):
            raise ValueError(f"{name}: given {describe(trajectory)}, expected {describe(expected)}.")
        return problem.flatten(trajectory)


def as_guess(guess: Any) -> AbstractGuess:
    """A guess from any of its public forms.

    Args:
        guess: a rule of this module, an earlier solution, or a trajectory with leading axis T.
    """
    if isinstance(guess, AbstractGuess):
        return guess
    return Given(getattr(guess, "states", guess))


def _same_form(trajectory: Tree, expected: Tree) -> bool:
    """Whether structure and shapes agree; dtypes may differ, but floating values may not become integers."""
    if jax.tree.structure(trajectory) != jax.tree.structure(expected):
        return False
    pairs = zip(jax.tree.leaves(trajectory), jax.tree.leaves(expected), strict=True)
    return all(leaf.shape == struct.shape for leaf, struct in pairs)
