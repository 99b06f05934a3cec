"""``scan`` and ``rollout``: check the call, run it compiled, turn failure into an exception."""

import dataclasses
import warnings
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import Mesh

from ..adjoint.implicit import AbstractAdjoint
from ..chunked import batch_size
from ..diagnostics.certificate.certify import Requirements, certificate_of
from ..planning import Plan
from ..problem.arguments import as_arrays, refuse_nan
from ..problem.flat_recurrence import ScanProblem
from ..problem.signature import Signature
from ..programs.built_in import agree
from ..programs.compile_cache import ProgramCache
from ..programs.platform import running_on
from ..solution import Reason, Result, Solution, StepFunction, Tree
from ..solvers import AbstractSolver
from ..solvers.criterion import AbstractCriterion
from ..solvers.request import Request
from .devices import placed
from .failure import explain_failure
from .options import NO_STEP, resolve_options, solver_for, words_of
from .success import successful_or_raise
from .typed_arrays import resolve_typed, run_typed


class RolloutError(RuntimeError):
    """A rollout did not succeed; ``solution`` holds what it had reached.

    Attributes:
        solution: the unsuccessful solution, with its result code and statistics; None in an error of
            ``parascan.torch``, whose programs run as a whole.
    """

    def __init__(self, message: str, solution: Solution | None) -> None:
        super().__init__(message)
        self.solution = solution


def scan(
    f: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    *,
    solver: AbstractSolver | Plan | None = None,
    criterion: AbstractCriterion | None = None,
    max_iterations: int | None = None,
    guess: Any = None,
    adjoint: AbstractAdjoint | None = None,
    mesh: Mesh | None = None,
    memory_limit: int | None = None,
    throw: bool = True,
) -> tuple[Tree, Tree]:
    """Final carry and stacked outputs of a scan: ``jax.lax.scan``, in parallel over time where the system allows it.

    Every call that ``jax.lax.scan`` accepts is accepted and returns the same tree with the same dtypes. Without a
    solver, a long sequence is cut into chunks that run side by side, if the system forgets its start, which the call
    finds out as it runs; otherwise it runs as in ``jax.lax.scan``. See ``Chunked``. Derivatives are exact whatever the
    solver.

    Args:
        f: ``(carry, x) -> (carry, y)``.
        init: initial carry; for an iterative solver, leaves that are not floating must not depend on those that are,
            and there must be no NaN.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        reverse: run from the last input to the first.
        unroll: steps per loop turn of the sequential solver; other than 1 it asks for that solver by default. A hint
            about speed: solvers that iterate have no loop over steps and pay no heed to it, ``Chunked(chunks=)``
            refuses it.
        solver: how to evaluate, such as ``ps.deer()``, or what ``ps.plan`` returns; None for ``Chunked()``. An
            argument that the solver has no use for is refused.
        criterion: when iterations stop; ``StateError()`` when None. Of solvers that iterate, as are the next two.
        max_iterations: most updates; T when None (10000 for methods that are not causal).
        guess: first trajectory: a rule of ``ps.guesses``, an earlier ``Solution``, or a tree with leading axis T.
        adjoint: how derivatives are taken; ``Implicit()`` when None, which is all that the default solver takes. The
            sequential solver's are those of its loop, unless ``Implicit()`` is asked for: then the reverse pass is one
            linear recurrence, in parallel.
        mesh: devices that the call is cut over along time, whatever the solver: a mesh of one axis such as
            ``ps.every_core()``, or with one called "time"; None for those that ``xs`` is spread over along time.
        memory_limit: most bytes that a device may hold beside its inputs, as estimated before anything is allocated;
            None for no limit. The default and sequential solvers hold little beside what they return.
        throw: raise on anything but success; with False an unsuccessful answer is returned as it is. Only a solver that
            iterates can fail here.

    Returns:
        ``(carry, ys)`` as ``jax.lax.scan`` returns them.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an argument of the wrong shape, length or value, or that the solver has no use for; a memory limit
            that the call would exceed; ``Chunked(chunks=)`` where the call cannot be cut.
        RolloutError: the solver did not succeed; ``equinox`` runtime error when called under a transformation.

    Warns:
        RuntimeWarning: on more than 100 steps there were more iterations than a quarter of the steps, in an eager call;
            ``rollout`` says so in ``stats.slow``.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> cumulative = lambda total, x: (0.9 * total + x, total)
        >>> total, before = ps.scan(cumulative, jnp.array(0.0), jnp.arange(5.0), solver=ps.deer())
        >>> before.shape
        (5,)
    """
    request = resolve_options(
        length,
        solver,
        criterion,
        max_iterations,
        guess,
        adjoint,
        reverse,
        unroll,
        False,
        mesh,
        memory_limit,
        batch_size((init, xs)),
        xs=xs,
    )
    agree(request.mesh)
    init, xs = placed(as_arrays("init", init), as_arrays("xs", xs), request.devices)
    if request.solver.iterates:
        refuse_nan(init)
    with running_on(f, init, xs, mesh=request.mesh) as platform:
        carry, ys, outcome = _scan_programs(f, init, xs, request._replace(platform=platform))
    if outcome is None or not throw:
        return carry, ys
    answer = _raise_unless_successful((carry, ys), outcome)
    if not isinstance(outcome.stats.slow, Tracer) and bool(outcome.stats.slow):
        warnings.warn(
            f"{type(request.solver).__name__} took {int(outcome.stats.iterations)} iterations, too many to gain "
            "anything over solver=None or Sequential(); ps.rollout says more.",
            RuntimeWarning,
            stacklevel=2,
        )
    return answer


def rollout(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    reverse: bool = False,
    solver: AbstractSolver | Plan | None = None,
    criterion: AbstractCriterion | None = None,
    max_iterations: int | None = None,
    guess: Any = None,
    adjoint: AbstractAdjoint | None = None,
    history: bool = False,
    mesh: Mesh | None = None,
    memory_limit: int | None = None,
    certify: bool | float = False,
    throw: bool = True,
) -> Solution:
    """The trajectory of ``s_t = f_t(s_{t-1}, x_t)`` with a record of how it was found.

    Depth is that of the solver's iterations, memory that of one trajectory plus the solver's own (``T D^2`` for
    stored Jacobians). Use ``scan`` where only the carry and outputs matter.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, a tree whose floating leaves are iterated on.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        reverse: run from the last input to the first.
        solver: how to evaluate, such as ``ps.deer()``, or what ``ps.plan`` returns; None for ``Chunked()``. An
            argument that the solver has no use for is refused.
        criterion: when iterations stop; ``StateError()`` when None. Of solvers that iterate, as are the next two.
        max_iterations: most updates; T when None (10000 for methods that are not causal).
        guess: first trajectory: a rule of ``ps.guesses``, an earlier ``Solution``, or a tree with leading axis T.
        adjoint: how derivatives are taken; ``Implicit()`` when None, which is all that the default solver takes. The
            sequential solver's are those of its loop, unless ``Implicit()`` is asked for: then the reverse pass is one
            linear recurrence, in parallel.
        history: keep merit, step norm and repairs of every iterate; of solvers that iterate.
        mesh: devices that the call is cut over along time, whatever the solver: a mesh of one axis such as
            ``ps.every_core()``, or with one called "time"; None for those that ``xs`` is spread over along time.
        memory_limit: most bytes that a device may hold beside its inputs, as estimated before anything is allocated;
            None for no limit. The default and sequential solvers hold little beside what they return.
        certify: bound the error of the states against the true trajectory, as ``ps.certify`` does, into
            ``solution.certificate``; a bound beyond the tolerance is ``Result.uncertified``. A number is that
            tolerance, in units of the state; True stands for the default one.
        throw: raise on anything but success; with False look at ``result``.

    Returns:
        A ``Solution``: states, carry, ys, result, stats, history, solver, certificate.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an argument of the wrong shape, length or value, or that the solver has no use for; a memory limit
            that the call would exceed; ``Chunked(chunks=)`` where the call cannot be cut.
        RolloutError: the solver did not succeed; ``equinox`` runtime error when called under a transformation.

    Source: sections 2 and 3 of the paper; Lim et al. 2024.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> step = lambda s, x: jnp.tanh(0.5 * s + x)
        >>> solution = ps.rollout(step, jnp.zeros(3), jnp.ones((100, 3)), solver=ps.deer())
        >>> solution.states.shape
        (100, 3)
    """
    request = resolve_options(
        length,
        solver,
        criterion,
        max_iterations,
        guess,
        adjoint,
        reverse,
        1,
        history,
        mesh,
        memory_limit,
        batch_size((init, xs)),
        certify,
        xs,
    )
    agree(request.mesh)
    init, xs = placed(as_arrays("init", init), as_arrays("xs", xs), request.devices)
    if request.solver.iterates:
        refuse_nan(init)
    with running_on(step, init, xs, mesh=request.mesh) as platform:
        solution = _rollout_programs(step, init, xs, request._replace(platform=platform))
    if isinstance(solver, Plan) and solution.reason.text != NO_STEP:
        # Not within the program, which is the same for all plans that choose this solver.
        solution = dataclasses.replace(solution, reason=Reason(words_of(solver)))
    return _raise_unless_successful(solution, solution) if throw else solution


def _scan(step: StepFunction, init: Tree, xs: Tree, request: Request) -> tuple[Tree, Tree, Solution | None]:
    """Final carry and outputs, and the solution of a solver that can fail."""
    signature = resolve_typed(step, init, xs, request, scan_form=True)
    solution = run_typed(_run, signature, request._replace(keep_states=False))
    return solution.carry, solution.ys, solution if getattr(solution.solver, "iterates", True) else None


def _rollout(step: StepFunction, init: Tree, xs: Tree, request: Request) -> Solution:
    """The whole solution."""
    signature = resolve_typed(step, init, xs, request, scan_form=False)
    return run_typed(_run, signature, request)


def _run(signature: Signature, request: Request) -> Solution:
    """The solution of a checked call."""
    solver, reason = solver_for(signature, request)
    solution = dataclasses.replace(solver.run(signature, request), reason=Reason(reason))
    return solution if request.certify is False else _certified(solution, signature, request)


def _certified(solution: Solution, signature: Signature, request: Request) -> Solution:
    """The solution with its certificate, and no success without one."""
    problem = ScanProblem.of(signature, reverse=request.reverse)
    tolerance = None if request.certify is True else jnp.asarray(request.certify, problem.recurrence.dtype)
    certificate = certificate_of(problem, problem.flatten(solution.states), Requirements(tolerance))
    withheld = (solution.result == Result.successful) & ~certificate.certified
    result = Result.where(withheld, Result.uncertified, solution.result)
    return dataclasses.replace(solution, result=result, certificate=certificate)


def _raise_unless_successful(answer: Tree, solution: Solution) -> Tree:
    """The answer itself, or an exception that names cause and cure."""
    failed = solution.result != Result.successful
    if isinstance(failed, Tracer):
        return successful_or_raise(answer, solution.result)
    if not bool(failed):
        return answer
    raise RolloutError(explain_failure(solution), solution)


_scan_programs = ProgramCache(_scan)
_rollout_programs = ProgramCache(_rollout)
