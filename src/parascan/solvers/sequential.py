"""Sequential evaluation: what other solvers are compared with, and what they fall back to."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax

from ..adjoint.axes import batch_first
from ..adjoint.implicit import Implicit
from ..adjoint.of_call import tangent_of_call
from ..chunked import Way, no_blocks
from ..problem.flat_recurrence import ScanProblem
from ..problem.plain_derivative import only_step_by_step
from ..problem.signature import Signature
from ..solution import Tree
from .base import AbstractDirectSolver
from .request import Request


class Sequential(AbstractDirectSolver):
    """One step after the other with ``jax.lax.scan``: exact for every system, depth T, work T, differentiated by JAX.

    Prefer it whenever the system is unpredictable (positive Lyapunov exponent) or the device has no parallel
    work to spare. It accepts carries that no parallel method can iterate on.

    Example:
        >>> import jax.numpy as jnp, parascan as ps
        >>> float(ps.rollout(lambda s, x: 0.5 * s + 1, jnp.array(0.0), length=3, solver=ps.Sequential()).carry)
        1.75
    """

    references: ClassVar[tuple[str, ...]] = ()
    implicit: ClassVar[bool] = True

    def outcome(self, signature: Signature, request: Request) -> tuple[Tree, Tree, Way]:
        """Final carry and outputs."""
        asked = request.adjoint_given and isinstance(request.adjoint, Implicit)
        found = (_with_parallel_backward if asked else _plainly)(signature, request)
        return *found, no_blocks(fell_back=request.solver.promised(request) and signature.length > 0)


class _Call(eqx.Module):
    """A problem together with the carry and inputs that it was made from."""

    problem: ScanProblem
    init: Tree
    xs: Tree
    length: int = eqx.field(static=True)
    unroll: int | bool = eqx.field(static=True)
    batch: int = eqx.field(static=True)


def _with_parallel_backward(signature: Signature, request: Request) -> tuple[Tree, Tree]:
    """Final carry and outputs by the plain loop, their derivative by a linear recurrence.

    Nothing has to converge, so it is safe for every system. The reverse pass stores the states alone, not the
    intermediate values of every step.

    Raises:
        ValueError: a discrete carry leaf depends on a floating one, or there is no floating one.
    """
    problem = ScanProblem.of(signature, reverse=request.reverse)
    if only_step_by_step(problem.step, problem.layout, kept=signature.kept):
        return _plainly(signature, request)
    return _evaluate(_Call(problem, signature.init, signature.xs, signature.length, request.unroll, request.batch))


def _plainly(signature: Signature, request: Request) -> tuple[Tree, Tree]:
    """Final carry and outputs, differentiated as JAX differentiates its loop."""
    call = signature.step, signature.init, signature.xs, signature.length
    return jax.lax.scan(*call, reverse=request.reverse, unroll=request.unroll)


def _loop(call: _Call) -> tuple[Tree, Tree]:
    """Final carry and outputs by ``jax.lax.scan``."""

    def step(carry: Tree, x: Tree) -> tuple[Tree, Tree]:
        return call.problem.step(carry, x)

    reverse = call.problem.reverse
    return jax.lax.scan(step, call.init, call.xs, call.length, reverse=reverse, unroll=call.unroll)


@eqx.filter_custom_jvp
def _evaluate(call: _Call) -> tuple[Tree, Tree]:
    """Final carry and outputs."""
    return batch_first(_loop(call))


@_evaluate.def_jvp
def _evaluate_jvp(primals: tuple[_Call], tangents: tuple[Any]) -> tuple[Any, Any]:
    """The tangent of the trajectory by one linear recurrence, and what follows from it for carry and outputs."""
    (call,) = primals
    kept = dataclasses.replace(call, problem=call.problem.keeping_states(call.init, call.xs))
    carry, (ys, states) = _loop(kept)
    return batch_first((carry, ys)), tangent_of_call(call.problem, tangents[0].problem, states, call.batch)
