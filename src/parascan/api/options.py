"""The options of a call, checked and with every default in place."""

from typing import Any

import numpy as np

from ..adjoint.implicit import AbstractAdjoint, Implicit
from ..planning import Plan
from ..problem.arguments import as_integer
from ..problem.flat_recurrence import traced
from ..problem.signature import Signature
from ..programs.device_axis import devices_of
from ..solution import Tree
from ..solvers import AbstractSolver, Chunked, Sequential
from ..solvers.criterion import AbstractCriterion
from ..solvers.guesses import as_guess
from ..solvers.request import Request

_DEFAULTS = Request(Chunked())

NO_STEP = "there is no step to take"
"""Why an empty call takes the way it takes."""


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
    mesh: Any,
    memory_limit: int | None,
    batch: int,
    certify: bool | float = False,
    xs: Tree = None,
) -> Request:
    """The options of a call as a ``Request``: checked, with every default filled in.

    Without a mesh the devices are those that the inputs ``xs`` are spread over along time.
    """
    length, max_iterations, unroll, memory_limit = map(as_integer, (length, max_iterations, unroll, memory_limit))
    made_for, by_default = None, solver is None
    devices = devices_of(mesh, xs)
    if isinstance(solver, Plan):
        made_for = (solver.length, solver.size, solver.dtype)
        solver = solver.solver
    if solver is None:
        solver = _DEFAULTS.solver
    if not isinstance(solver, AbstractSolver):
        raise TypeError(f"solver: given {_name(solver)}, expected an instance such as ps.deer() or None.")
    devices = solver.spread(devices, given=mesh is not None)
    request = _DEFAULTS._replace(
        solver=solver,
        criterion=_DEFAULTS.criterion if criterion is None else criterion,
        guess=_DEFAULTS.guess if guess is None else as_guess(guess),
        adjoint=_DEFAULTS.adjoint if adjoint is None else adjoint,
        length=length,
        max_iterations=max_iterations,
        reverse=bool(reverse),
        unroll=unroll,
        history=bool(history),
        memory_limit=memory_limit,
        batch=batch,
        certify=certify,
        devices=devices,
        adjoint_given=adjoint is not None,
        made_for=made_for,
    )
    for name, value, kind, example in (
        ("criterion", request.criterion, AbstractCriterion, "ps.StateError()"),
        ("adjoint", request.adjoint, AbstractAdjoint, "ps.Implicit()"),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name}: given {_name(value)}, expected an instance such as {example} or None.")
    given = {"criterion": criterion, "max_iterations": max_iterations, "guess": guess, "history": history or None}
    _refuse_unused(request, [name for name, value in given.items() if value is not None], by_default=by_default)
    if max_iterations is None and request.adjoint.needs_budget:
        raise ValueError("max_iterations: given None with adjoint=Unrolled(), expected the number to unroll.")
    _check_numbers(request)
    return request


def solver_for(signature: Signature, request: Request) -> tuple[AbstractSolver, str]:
    """The solver that runs, and why: the one asked for, or the plain loop where there is nothing to do in parallel.

    Args:
        signature: the step, carry and inputs.
        request: everything else about the call.

    Raises:
        ValueError: a plan for something else, or chunks that were asked for in a call that cannot be cut.
    """
    solver = request.solver
    given = (signature.length, signature.layout.size, str(signature.layout.dtype) if signature.layout.size else "")
    if request.made_for is not None and given[0] and given[1] and request.made_for != given:
        raise ValueError(
            f"solver: given a plan for T, D, dtype = {request.made_for}, but the call has {given}, expected a plan for "
            "it; solver=plan.solver runs the same method anyway."
        )
    if signature.length == 0 and solver.iterates:
        # What the solver would refuse, it refuses here too.
        traced(signature)
        return Sequential(), NO_STEP
    chosen, reason = solver.chosen(signature, request)
    return chosen, reason if signature.length else NO_STEP


def words_of(plan: Plan) -> str:
    """Why a plan chose what it chose, in a sentence.

    Args:
        plan: given as the solver of a call.
    """
    return f"chosen by the plan: {'; '.join(plan.reasons)}"


def _refuse_unused(request: Request, iterative: list[str], *, by_default: bool) -> None:
    """Refuse arguments that the solver has no use for: whoever gives one expects it to change something.

    Args:
        request: of the call.
        iterative: names of arguments given that are about iterations.
        by_default: whether the solver is the default.
    """
    solver = request.solver
    name = "the default solver" if by_default else _name(solver)
    if not solver.iterates:
        for each in iterative:
            raise ValueError(
                f"{each}: given together with {name}, which does not iterate and has no use for it, expected None, or "
                "a solver that iterates such as solver=ps.deer()."
            )
        if request.adjoint_given and not (solver.implicit and isinstance(request.adjoint, Implicit)):
            raise ValueError(
                f"adjoint: given {_name(request.adjoint)}() together with {name}, which has no iterations to go back "
                "through, expected None, Implicit(), or a solver that iterates such as solver=ps.deer()."
            )
    # With a solver that iterates ``unroll`` is a hint that no loop follows, as ``jax.lax.scan`` takes it for one.
    # Looked up by its class: a method of an equinox module takes tens of microseconds to be bound.
    type(solver).check(solver, request, name)


def _check_numbers(request: Request) -> None:
    """Refuse numbers out of their range, and what does not go together."""
    max_iterations, certify, memory_limit = request.max_iterations, request.certify, request.memory_limit
    if not isinstance(request.unroll, int | np.integer):
        raise TypeError(f"unroll: given {request.unroll!r}, expected an integer, True or False.")
    if not isinstance(request.unroll, bool) and request.unroll < 1:
        raise ValueError(f"unroll: given {request.unroll}, expected one or more, True or False.")
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


def _name(value: Any) -> str:
    """What to call a value in an error message."""
    return getattr(value, "__name__", type(value).__name__)
