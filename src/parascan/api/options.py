"""The options of a call, checked and with every default in place."""

from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from ..adjoint.implicit import AbstractAdjoint, Implicit
from ..planning import Plan
from ..problem.signature import as_integer
from ..solvers import (
    AbstractDirectSolver,
    AbstractIterativeSolver,
    AbstractSolver,
    Blocks,
    Forgetting,
    Guarded,
    Sequential,
)
from ..solvers.chunked import automatic
from ..solvers.criterion import AbstractCriterion, StateError
from ..solvers.guesses import AbstractGuess, RepeatInitial, as_guess

AnySolver = AbstractDirectSolver | AbstractIterativeSolver | Blocks | Forgetting | Guarded


class Options(NamedTuple):
    """Everything about a call but its step, carry and inputs.

    The platform is where it runs; a program that was traced for another one is not used again.
    """

    solver: AnySolver
    criterion: AbstractCriterion
    guess: AbstractGuess
    adjoint: AbstractAdjoint
    length: int | None
    max_iterations: int | None
    reverse: bool
    unroll: int | bool
    history: bool
    memory_limit: int | None
    batch: int = 1
    certify: bool | float = False
    adjoint_given: bool = False
    made_for: tuple[int, int, str] | None = None
    platform: str | None = None


_DEFAULTS = Options(Forgetting(), StateError(), RepeatInitial(), Implicit(), None, None, False, 1, False, None)


def resolve_options(
    length: int | None,
    solver: AbstractSolver | Plan | None,
    criterion: AbstractCriterion | None,
    max_iterations: int | None,
    guess: Any,
    adjoint: AbstractAdjoint | None,
    reverse: bool,
    unroll: int | bool,
    history: bool,
    mesh: Mesh | None,
    memory_limit: int | None,
    batch: int,
    certify: bool | float = False,
) -> Options:
    """Checked options with every default in place."""
    length, max_iterations, unroll, memory_limit = map(as_integer, (length, max_iterations, unroll, memory_limit))
    made_for, by_default = None, solver is None
    if isinstance(solver, Plan):
        made_for = (solver.length, solver.size, solver.dtype)
        # A plan for several devices that chose a method of one has taken them into account.
        mesh = mesh if isinstance(solver.solver, Forgetting) or solver.devices == 1 else None
        solver = solver.solver
    if solver is None:
        solver = _DEFAULTS.solver
    if mesh is not None:
        solver = _spread(solver, mesh)
    if not isinstance(solver, AnySolver):
        raise TypeError(f"solver: given {_name(solver)}, expected an instance such as ps.deer() or None.")
    options = Options(
        solver,
        _DEFAULTS.criterion if criterion is None else criterion,
        _DEFAULTS.guess if guess is None else as_guess(guess),
        _DEFAULTS.adjoint if adjoint is None else adjoint,
        length,
        max_iterations,
        bool(reverse),
        unroll,
        bool(history),
        memory_limit,
        batch,
        certify,
        adjoint is not None,
        made_for,
    )
    for name, value, kind, example in (
        ("criterion", options.criterion, AbstractCriterion, "ps.StateError()"),
        ("adjoint", options.adjoint, AbstractAdjoint, "ps.Implicit()"),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name}: given {_name(value)}, expected an instance such as {example} or None.")
    given = {"criterion": criterion, "max_iterations": max_iterations, "guess": guess, "history": history or None}
    _refuse_unused(options, [name for name, value in given.items() if value is not None], by_default=by_default)
    if max_iterations is None and options.adjoint.needs_budget:
        raise ValueError("max_iterations: given None with adjoint=Unrolled(), expected the number to unroll.")
    _check_numbers(options)
    return options


def unrolls(unroll: int | bool) -> bool:
    """Whether an ``unroll`` asks for anything but the plain loop; True is the whole of it, and equal to 1 in Python."""
    return unroll is not False and (unroll is True or unroll != 1)


def _refuse_unused(options: Options, iterative: list[str], *, by_default: bool) -> None:
    """Refuse arguments that the solver has no use for: whoever gives one expects it to change something.

    Args:
        options: of the call.
        iterative: names of arguments given that are about iterations.
        by_default: whether the solver is the default.
    """
    solver = options.solver
    name = "the default solver" if by_default else _name(solver)
    if not solver.iterates:
        for each in iterative:
            raise ValueError(
                f"{each}: given together with {name}, which does not iterate and has no use for it, expected None, or "
                "a solver that iterates such as solver=ps.deer()."
            )
        usable = isinstance(solver, Sequential | Forgetting) and isinstance(options.adjoint, Implicit)
        if options.adjoint_given and not usable:
            raise ValueError(
                f"adjoint: given {_name(options.adjoint)}() together with {name}, which has no iterations to go back "
                "through, expected None, Implicit(), or a solver that iterates such as solver=ps.deer()."
            )
    # With a solver that iterates it is a hint without a loop to follow it, as ``jax.lax.scan`` takes it for one.
    if unrolls(options.unroll) and isinstance(solver, Forgetting) and solver.blocks is not None:
        raise ValueError(
            f"unroll: given {options.unroll} together with {name} of so many blocks, expected 1, or solver=None or "
            "Sequential(), whose loop over steps is unrolled."
        )


def _check_numbers(options: Options) -> None:
    """Refuse numbers out of their range, and what does not go together."""
    max_iterations, certify, memory_limit = options.max_iterations, options.certify, options.memory_limit
    if not isinstance(options.unroll, int | np.integer):
        raise TypeError(f"unroll: given {options.unroll!r}, expected an integer, True or False.")
    if not isinstance(options.unroll, bool) and options.unroll < 1:
        raise ValueError(f"unroll: given {options.unroll}, expected one or more, True or False.")
    if options.adjoint.needs_budget and isinstance(options.solver, Guarded):
        raise ValueError("adjoint: given Unrolled() with Guarded, whose fallback has no iterations to unroll.")
    if max_iterations is not None:
        if isinstance(max_iterations, bool) or not isinstance(max_iterations, int | np.integer):
            raise TypeError(f"max_iterations: given {max_iterations!r}, expected an integer or None.")
        if max_iterations < 0:
            raise ValueError(f"max_iterations: given {max_iterations}, expected zero or more.")
    if not isinstance(certify, bool):
        if not isinstance(certify, int | float | np.number):
            raise TypeError(f"certify: given {_name(certify)}, expected True, False or a tolerance.")
        if not certify > 0:
            raise ValueError(f"certify: given {certify}, expected True, False or a positive tolerance.")
    if memory_limit is not None:
        if isinstance(memory_limit, bool) or not isinstance(memory_limit, int | np.integer):
            raise TypeError(f"memory_limit: given {memory_limit!r}, expected an integer number of bytes or None.")
        if memory_limit < 1:
            raise ValueError(f"memory_limit: given {memory_limit}, expected one byte or more.")


def _spread(solver: AbstractSolver, mesh: Mesh) -> AbstractSolver:
    """The solver with its blocks spread over a mesh."""
    if isinstance(solver, Forgetting) and solver.mesh not in (None, mesh, automatic(mesh)):
        raise ValueError("mesh: given together with a Forgetting of another mesh, expected one of the two.")
    if not isinstance(solver, Forgetting):
        raise ValueError(f"mesh: given together with solver={_name(solver)}, expected solver=None or Forgetting().")
    return Forgetting(solver.blocks, mesh, solver.trial)


def mesh_of(options: Options) -> Mesh | None:
    """The devices that a call is spread over, None for one device."""
    return options.solver.mesh if isinstance(options.solver, Forgetting) else None


def _name(value: Any) -> str:
    """What to call a value in an error message."""
    return getattr(value, "__name__", type(value).__name__)
