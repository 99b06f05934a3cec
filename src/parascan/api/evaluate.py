"""From a checked call to its answer, as traceable functions: the solver that runs, its solution, the certificate."""

import dataclasses

import jax.numpy as jnp

from ..diagnostics.certificate.certify import Requirements, certificate_of
from ..problem.flat_recurrence import ScanProblem
from ..problem.signature import Signature, resolve
from ..solution import Result, Solution, StepFunction, Tree
from ..solvers import AbstractSolver, Sequential
from ..solvers.request import Request


def evaluate_scan(step: StepFunction, init: Tree, xs: Tree, request: Request) -> tuple[Tree, Tree, Solution | None]:
    """Final carry and outputs, and the solution of a solver that can fail."""
    signature = resolve(step, init, xs, request.length, scan_form=True)
    solver = solver_for(signature, request)
    solution = solver.run(signature, request._replace(keep_states=False))
    return solution.carry, solution.ys, solution if solver.iterates else None


def evaluate_rollout(step: StepFunction, init: Tree, xs: Tree, request: Request) -> Solution:
    """The whole solution."""
    signature = resolve(step, init, xs, request.length, scan_form=False)
    solution = solver_for(signature, request).run(signature, request)
    return solution if request.certify is False else _certified(solution, signature, request)


def solver_for(signature: Signature, request: Request) -> AbstractSolver:
    """The solver that runs: the one asked for, or the plain loop where there is nothing to do in parallel.

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
        ScanProblem.of(signature, reverse=request.reverse)
        return Sequential()
    return solver.chosen(signature, request)


def _certified(solution: Solution, signature: Signature, request: Request) -> Solution:
    """The solution with its certificate, and no success without one."""
    problem = ScanProblem.of(signature, reverse=request.reverse)
    tolerance = None if request.certify is True else jnp.asarray(request.certify, problem.recurrence.dtype)
    certificate = certificate_of(problem, problem.flatten(solution.states), Requirements(tolerance))
    withheld = (solution.result == Result.successful) & ~certificate.certified
    result = Result.where(withheld, Result.uncertified, solution.result)
    return dataclasses.replace(solution, result=result, certificate=certificate)
