"""Sequential evaluation: what other solvers are compared with, and what they fall back to."""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax

from ..adjoint.axes import batch_first
from ..adjoint.implicit import Implicit
from ..adjoint.of_call import tangent_of_call
from ..chunked import Way, no_blocks
from ..problem.arguments import as_integer, check_counts
from ..problem.flat_recurrence import traced
from ..problem.plain_derivative import only_step_by_step
from ..problem.signature import Signature, TracedSignature
from ..solution import Tree
from .base import AbstractDirectSolver
from .request import Request


class Sequential(AbstractDirectSolver):
    """One step after the other with ``jax.lax.scan``: exact for every system, depth T, work T, differentiated by JAX.

    Prefer it whenever the system is unpredictable (positive Lyapunov exponent) or the device has no parallel
    work to spare. It accepts carries that no parallel method can iterate on.

    Args:
        unroll: steps in a turn of the loop, as ``jax.lax.scan`` takes it; an ``unroll`` other than 1 that a call is
            given goes first. Small steps may be up to twice as fast with 4 or 8, which ``ps.plan`` finds out. Other
            than with 1 the last bits may differ from those of the plain loop, since XLA then joins a product of one
            step and a sum of the next into one rounding.

    Raises:
        TypeError: ``unroll`` is no integer.
        ValueError: ``unroll`` is less than one.

    Example:
        >>> import jax.numpy as jnp, parascan as ps
        >>> float(ps.rollout(lambda s, x: 0.5 * s + 1, jnp.array(0.0), length=3, solver=ps.Sequential()).carry)
        1.75
    """

    unroll: int = eqx.field(static=True, default=1, converter=as_integer)
    references: ClassVar[tuple[str, ...]] = ()
    implicit: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_counts(unroll=self.unroll)

    def outcome(self, signature: Signature, request: Request) -> tuple[Tree, Tree, Way]:
        """Final carry and outputs."""
        asked = request.adjoint_given and isinstance(request.adjoint, Implicit)
        how = _Loop(request.unroll if request.unrolls else self.unroll, request.batch, request.reverse)
        found = (_with_parallel_backward if asked else _plainly)(signature, how)
        return *found, no_blocks(fell_back=request.solver.promised(request) and signature.length > 0)


def _with_parallel_backward(signature: Signature, how: "_Loop") -> tuple[Tree, Tree]:
    """Final carry and outputs by the plain loop, their derivative by a linear recurrence.

    Nothing has to converge, so it is safe for every system. The reverse pass stores the states alone, not the
    intermediate values of every step.

    Raises:
        ValueError: a discrete carry leaf depends on a floating one, or there is no floating one.
    """
    signature = traced(signature)
    if only_step_by_step(signature.step, signature.layout, kept=signature.kept):
        return _plainly(signature, how)
    return _evaluate(signature, how)


class _Loop(NamedTuple):
    """How a call is run, beside its arrays."""

    unroll: int | bool
    batch: int
    reverse: bool


def _plainly(signature: Signature, how: _Loop) -> tuple[Tree, Tree]:
    """Final carry and outputs, differentiated as JAX differentiates its loop."""
    call = signature.step, signature.init, signature.xs, signature.length
    return jax.lax.scan(*call, reverse=how.reverse, unroll=how.unroll)


@eqx.filter_custom_jvp
def _evaluate(signature: TracedSignature, how: _Loop) -> tuple[Tree, Tree]:
    """Final carry and outputs."""
    return batch_first(_plainly(signature, how))


@_evaluate.def_jvp
def _evaluate_jvp(primals: tuple[TracedSignature, _Loop], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    """The tangent of the trajectory by one linear recurrence, and what follows from it for carry and outputs."""
    signature, how = primals
    carry, (ys, states) = _plainly(signature.keeping_states(), how)
    moved = tangent_of_call(signature, tangents[0], states, how.batch, reverse=how.reverse)
    return batch_first((carry, ys)), moved
