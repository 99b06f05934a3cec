"""Sequential evaluation: what other solvers are compared with, and what they fall back to."""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax

from ..adjoint.axes import batch_first
from ..adjoint.implicit import Implicit
from ..adjoint.of_call import tangent_of_call
from ..chunked import Way, no_blocks, scan_steps
from ..problem.arguments import as_integer, check_counts
from ..problem.discrete_leaves import dependent_leaves
from ..problem.dtypes import is_key, weak_as
from ..problem.flat_recurrence import traced
from ..problem.plain_derivative import only_step_by_step
from ..problem.signature import Signature, TracedSignature
from ..programs.device_axis import DeviceAxis
from ..programs.suitability import varies_over_mesh
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

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> float(ps.rollout(lambda s, x: 0.5 * s + 1, jnp.array(0.0), length=3, solver=ps.Sequential()).carry)
        1.75
    """

    unroll: int = eqx.field(static=True, default=1, converter=as_integer)
    references: ClassVar[tuple[str, ...]] = ()
    implicit: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_counts(unroll=self.unroll)

    def sharing(self, signature: Signature, request: Request) -> int:
        """Number of devices that share out the steps, where one takes its own after the other."""
        return super().sharing(signature, request) if can_be_handed_on(signature, request) else 1

    def outcome(self, signature: Signature, request: Request) -> tuple[Tree, Tree, Way]:
        """Final carry and outputs."""
        asked = request.adjoint_given and isinstance(request.adjoint, Implicit)
        devices = request.devices if can_be_handed_on(signature, request) else None
        how = _Loop(request.unroll if request.unrolls else self.unroll, request.batch, request.reverse, devices)
        found = (_with_parallel_backward if asked or devices is not None else _plainly)(signature, how)
        return *found, no_blocks(fell_back=request.solver.promised(request) and signature.length > 0)


def can_be_handed_on(signature: Signature, request: Request) -> bool:
    """Whether one device may take its steps after the other, so that none needs all inputs.

    Not where a step has side effects, or its derivative is that of the loop alone, nor where it hands on keys.

    Args:
        signature: the call.
        request: everything else about the call.
    """
    devices = request.devices
    if devices is None or not devices.divides(signature.length) or signature.layout.size == 0:
        return False
    kinds = [jax.typeof(leaf) for leaf in jax.tree.leaves((signature.init, signature.xs))]
    if any(map(varies_over_mesh, kinds)) or dependent_leaves(signature, signature.row):
        return False
    if any(map(is_key, jax.tree.leaves(signature.shapes_of_step()))):
        return False
    program = jax.make_jaxpr(signature.step)(signature.init, signature.row)
    closed = traced(signature)
    return not program.effects and not only_step_by_step(closed.step, closed.layout, kept=closed.kept)


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
    devices: DeviceAxis | None = None


def _plainly(signature: Signature, how: _Loop) -> tuple[Tree, Tree]:
    """Final carry and outputs, differentiated as JAX differentiates its loop."""
    call = signature.step, signature.init, signature.xs, signature.length
    return jax.lax.scan(*call, reverse=how.reverse, unroll=how.unroll)


@eqx.filter_custom_jvp
def _evaluate(signature: TracedSignature, how: _Loop) -> tuple[Tree, Tree]:
    """Final carry and outputs."""
    return batch_first(_forward(signature, how))


def _forward(signature: TracedSignature, how: _Loop) -> tuple[Tree, Tree]:
    """Final carry and outputs; over several devices one takes its steps after the other."""
    if how.devices is None:
        return _plainly(signature, how)
    init, xs = jax.tree.map(lambda leaf: leaf[None], (signature.init, signature.xs))
    carry, ys, _ = scan_steps(signature.step, init, xs, signature.length, reverse=how.reverse, spread=how.devices)
    carry, ys = jax.tree.map(lambda leaf: leaf[0], (carry, ys))
    return weak_as((carry, ys), signature.step.closed.out_avals)


@_evaluate.def_jvp
def _evaluate_jvp(primals: tuple[TracedSignature, _Loop], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    """The tangent of the trajectory by one linear recurrence, and what follows from it for carry and outputs."""
    signature, how = primals
    carry, (ys, states) = _forward(signature.keeping_states(), how)
    known = how.batch
    moved = tangent_of_call(signature, tangents[0], states, known, reverse=how.reverse, devices=how.devices)
    return batch_first((carry, ys)), moved
