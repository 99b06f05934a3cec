"""Sequential forward with a parallel backward: the trajectory by the plain loop, its derivative by a linear recurrence.

Nothing has to converge, so it is safe for every system; and the reverse pass stores the states alone, not the residuals
of every step.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax

from ..problem.flat_recurrence import ScanProblem
from ..problem.plain_derivative import only_step_by_step
from ..problem.signature import Signature
from ..programs.closure import hoist
from ..solution import Tree
from .axes import batch_first
from .implicit import attach
from .of_chunks import keeping


class _Call(eqx.Module):
    """A problem together with the carry and inputs that it was made from."""

    problem: ScanProblem
    init: Tree
    xs: Tree
    length: int = eqx.field(static=True)
    unroll: int | bool = eqx.field(static=True)
    batch: int = eqx.field(static=True)


def evaluate_sequentially(signature: Signature, batch: int, *, reverse: bool, unroll: int | bool) -> tuple[Tree, Tree]:
    """Final carry and outputs of a checked call, with derivatives of every order.

    Args:
        signature: the call.
        batch: sequences that are known to run at once.
        reverse: direction of time.
        unroll: steps per turn of the loop.

    Raises:
        ValueError: a discrete carry leaf depends on a floating one, or there is no floating one.
    """
    problem = ScanProblem.of(signature, reverse=reverse)
    if only_step_by_step(problem.step, problem.layout, kept=signature.kept):
        return jax.lax.scan(
            signature.step, signature.init, signature.xs, signature.length, reverse=reverse, unroll=unroll
        )
    return _evaluate(_Call(problem, signature.init, signature.xs, signature.length, unroll, batch))


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
    (call,), problem = primals, primals[0].problem
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), call.xs)
    keep = hoist(keeping(problem.step), jax.eval_shape(lambda: call.init), x)
    kept = dataclasses.replace(call, problem=dataclasses.replace(problem, step=keep))
    carry, (ys, states) = _loop(kept)
    answer = jax.lax.stop_gradient(problem.flatten(states))

    def read_off(problem: ScanProblem) -> tuple[Tree, Tree]:
        states = attach(problem.recurrence, answer, call.batch)
        return batch_first((problem.carry(states), problem.outputs(states)))

    return batch_first((carry, ys)), eqx.filter_jvp(read_off, (problem,), (tangents[0].problem,))[1]
