"""Updates by length: how many a method takes on every prefix of a trajectory, from one run over all of it."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Int

from ...problem.arguments import as_arrays, refuse_nan, resolve_length
from ...problem.flat_recurrence import ScanProblem
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...solution import StepFunction, Tree
from ...solvers import AbstractIterativeSolver
from ...solvers.criterion import AbstractCriterion
from ...solvers.guesses import as_guess
from .prefixes import Prefixes, prefix_counts


def updates_by_length(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    *,
    ends: Sequence[int],
    solver: AbstractIterativeSolver,
    criterion: AbstractCriterion,
    guess: Any,
    max_iterations: int | None = None,
) -> Int[Array, " K"]:
    """The updates that ``rollout`` reports for each of several lengths, all from one run over the longest.

    In a causal method the state at step t depends on the steps up to t alone, so the iterates of a short rollout are
    the beginnings of those of a long one. Depth, work and memory are those of one rollout of the longest.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree.
        xs: inputs, each leaf with leading axis T, or None; T is the last of ``ends``.
        ends: lengths, increasing.
        solver: a causal method, such as ``ps.deer()``.
        criterion: when an iterate is good enough.
        guess: first trajectory over T steps, in any form that ``rollout`` takes.
        max_iterations: updates after which to give up; T when None.

    Returns:
        The updates of every length ``[K]``, -1 for those that need more.

    Raises:
        ValueError: lengths that do not increase, a method that is not causal, or inputs of another length.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> from parascan.diagnostics import updates_by_length
        >>> counts = updates_by_length(
        ...     lambda s, x: 0.5 * s + x, jnp.ones(2), jnp.ones((100, 2)), ends=(10, 100),
        ...     solver=ps.deer(), criterion=ps.Merit(1e-10), guess=ps.guesses.Zeros(),
        ... )
        >>> counts.tolist()
        [1, 1]
    """
    lengths = tuple(int(each) for each in ends)
    if not lengths or lengths[0] < 1 or any(b <= a for a, b in itertools.pairwise(lengths)):
        raise ValueError(f"ends: given {lengths}, expected lengths that increase from one or more.")
    if not solver.causal:
        raise ValueError(f"solver: given {type(solver).__name__}, expected a causal method such as deer().")
    init, xs = as_arrays("init", init), as_arrays("xs", xs)
    refuse_nan(init)
    resolve_length(xs, lengths[-1])
    most = lengths[-1] if max_iterations is None else max_iterations
    return _programs(step, init, xs, solver, criterion, as_guess(guess), np.int32(most), Prefixes(lengths))


def _counts(
    step: StepFunction,
    init: Tree,
    xs: Tree,
    solver: AbstractIterativeSolver,
    criterion: AbstractCriterion,
    guess: Any,
    most: Int[Array, ""],
    prefixes: Prefixes,
) -> Int[Array, " K"]:
    """Counts of all prefixes, as one traceable function."""
    problem = ScanProblem.of(resolve(step, init, xs, prefixes.ends[-1], scan_form=False), reverse=False)
    return prefix_counts(problem.recurrence, guess.states(problem), solver, (criterion,), prefixes, most)[0]


_programs = ProgramCache(_counts, once=True)
