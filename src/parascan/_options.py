"""The options of a call, checked and with every default in place."""

from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from ._adjoint import AbstractAdjoint, Implicit
from ._criterion import AbstractCriterion, StateError
from .guesses import AbstractGuess, RepeatInitial, as_guess
from .solvers import AbstractDirectSolver, AbstractIterativeSolver, AbstractSolver, Blocks, Forgetting


class Options(NamedTuple):
    """Everything about a call but its step, carry and inputs."""

    solver: AbstractSolver
    criterion: AbstractCriterion
    guess: AbstractGuess
    adjoint: AbstractAdjoint
    length: int | None
    max_iterations: int | None
    reverse: bool
    unroll: int | bool
    history: bool


_DEFAULTS = Options(Forgetting(), StateError(), RepeatInitial(), Implicit(), None, None, False, 1, False)


def resolve_options(
    length: int | None,
    solver: AbstractSolver | None,
    criterion: AbstractCriterion | None,
    max_iterations: int | None,
    guess: Any,
    adjoint: AbstractAdjoint | None,
    reverse: bool,
    unroll: int | bool,
    history: bool,
    mesh: Mesh | None,
) -> Options:
    """Checked options with every default in place."""
    solver = _DEFAULTS.solver if solver is None else solver
    options = Options(
        solver if mesh is None else _spread(solver, mesh),
        _DEFAULTS.criterion if criterion is None else criterion,
        _DEFAULTS.guess if guess is None else as_guess(guess),
        _DEFAULTS.adjoint if adjoint is None else adjoint,
        length,
        max_iterations,
        bool(reverse),
        unroll,
        bool(history),
    )
    for name, value, kind, example in (
        ("solver", options.solver, (AbstractDirectSolver, AbstractIterativeSolver, Blocks, Forgetting), "ps.deer()"),
        ("criterion", options.criterion, AbstractCriterion, "ps.StateError()"),
        ("adjoint", options.adjoint, AbstractAdjoint, "ps.Implicit()"),
    ):
        if not isinstance(value, kind):
            given = getattr(value, "__name__", type(value).__name__)
            raise TypeError(f"{name}: given {given}, expected an instance such as {example} or None.")
    if max_iterations is None and options.adjoint.needs_budget:
        raise ValueError("max_iterations: given None with adjoint=Unrolled(), expected the number to unroll.")
    if max_iterations is not None:
        if isinstance(max_iterations, bool) or not isinstance(max_iterations, int | np.integer):
            raise TypeError(f"max_iterations: given {max_iterations!r}, expected an integer or None.")
        if max_iterations < 0:
            raise ValueError(f"max_iterations: given {max_iterations}, expected zero or more.")
    return options


def _spread(solver: AbstractSolver, mesh: Mesh) -> AbstractSolver:
    """The solver with its blocks spread over a mesh."""
    if not isinstance(solver, Forgetting):
        given = getattr(solver, "__name__", type(solver).__name__)
        raise ValueError(f"mesh: given together with solver={given}, expected solver=None or Forgetting().")
    return Forgetting(solver.blocks, mesh)
