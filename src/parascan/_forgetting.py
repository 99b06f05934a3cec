"""Evaluation in blocks side by side: what of a scan can be run so, its carry as lanes want it, and its derivative."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from ._adjoint import attach
from ._axes import batch_first
from ._carry import CarryLayout
from ._hoist import Hoisted, hoist
from ._problem import ScanProblem
from ._signature import Signature
from ._types import Tree
from .lanes import (
    Grid,
    Layout,
    Patience,
    adjoint_pays,
    copy_share,
    kind_of,
    largest_batch,
    operations,
    scan_blocks,
    unrewarding,
    unsuited,
)
from .lanes.evaluate import _patience
from .solvers import Forgetting


def why_not(signature: Signature, solver: Forgetting, batch: int = 1) -> str | None:
    """Why a checked call is better, or only, run one step after the other; None where blocks can be tried.

    Args:
        signature: the call.
        solver: what is asked for.
        batch: sequences that are known to run at once; a few blocks of each may do where one alone would need many.
    """
    if signature.layout.size == 0:
        return "its carry has no floating leaf"
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), signature.xs)
    closed = jax.make_jaxpr(signature.step)(signature.init, x)
    if solver.blocks is None and (reason := unrewarding(closed, signature.length, signature.layout.size)):
        return reason
    layout = _layout(signature, solver, closed, batch, reverse=False)
    if layout.grid(1) is None and layout.grid(batch) is None:
        return "it is short, or its length has no fitting divisor"
    return unsuited(closed) or unsuited(jax.make_jaxpr(lambda *args: args)(signature.init, signature.xs))


def evaluate_forgetting(signature: Signature, solver: Forgetting, batch: int, *, reverse: bool) -> tuple[Tree, Tree]:
    """Final carry and outputs of a checked call, with derivatives of every order.

    Args:
        signature: the call.
        solver: what is asked for.
        batch: sequences that are known to run at once.
        reverse: direction of time.

    Raises:
        ValueError: a discrete carry leaf depends on a floating one.
    """
    problem = ScanProblem.of(signature, reverse=reverse)
    layout = _layout(signature, solver, problem.step.closed, batch, reverse=reverse)
    problem = problem.stepping(problem.step.with_values())
    return _evaluate(_Call(problem, signature.init, signature.xs), layout)


def foreseen(signature: Signature, solver: Forgetting, batch: int, *, reverse: bool) -> tuple[Grid, Patience] | None:
    """How a checked call would be cut, and how long it may take to forget its start; None for one step after the other.

    Args:
        signature: the call, for which chunks can be tried.
        solver: what is asked for.
        batch: sequences at once.
        reverse: direction of time.
    """
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), signature.xs)
    layout = _layout(signature, solver, jax.make_jaxpr(signature.step)(signature.init, x), batch, reverse=reverse)
    grid = layout.grid(batch)
    return None if grid is None else (grid, _patience(layout, grid))


def _layout(signature: Signature, solver: Forgetting, closed: ClosedJaxpr, batch: int, *, reverse: bool) -> Layout:
    """What is fixed about a run of a step."""
    length, size = signature.length, signature.layout.size
    facts = operations(closed), reverse, solver.mesh, solver.blocks, batch, solver.trial
    double = signature.layout.dtype.itemsize == 8
    copy = copy_share(closed, length, size, len(jax.tree.leaves(signature.init)))
    return Layout(length, size, *facts, kind_of(closed, size), largest_batch(closed, size, length), double, copy)


class _LaneStep(eqx.Module):
    """A scan's step on the floating leaves of its carry; the discrete ones arrive as inputs."""

    step: Hoisted
    layout: CarryLayout

    def __call__(self, floating: tuple[Array, ...], inputs: tuple[Tree, tuple[Array, ...]]) -> tuple[Any, Tree]:
        """The floating leaves after the step, and its output."""
        x, discrete = inputs
        carry, y = self.step(self.layout.whole(floating, discrete), x)
        return self.layout.part(carry)[0], y


def keeping(step: Callable[[Tree, Tree], tuple[Tree, Tree]]) -> Callable[[Tree, Tree], tuple[Tree, Tree]]:
    """A step with its new carry among the outputs."""

    def keep(carry: Tree, x: Tree) -> tuple[Tree, tuple[Tree, Tree]]:
        carry, y = step(carry, x)
        return carry, (y, carry)

    return keep


class _Call(eqx.Module):
    """A problem together with the carry and inputs that it was made from.

    The problem has them raveled and in the order of computation, which the run itself has no need of.
    """

    problem: ScanProblem
    init: Tree
    xs: Tree


@eqx.filter_custom_jvp
def _evaluate(call: _Call, layout: Layout) -> tuple[Tree, Tree]:
    """Final carry and outputs."""
    problem = call.problem
    floating = problem.layout.part(call.init)[0]
    inputs = (call.xs, problem.discrete())
    floating, ys = scan_blocks(_LaneStep(problem.step, problem.layout), floating, inputs, layout)
    return batch_first((problem.layout.whole(floating, problem.final_discrete), ys))


def _one_by_one(call: _Call, layout: Layout) -> tuple[Tree, Tree]:
    """Final carry and outputs by ``jax.lax.scan``."""

    def step(carry: Tree, x: Tree) -> tuple[Tree, Tree]:
        return call.problem.step(carry, x)

    return jax.lax.scan(step, call.init, call.xs, layout.length, reverse=layout.reverse)


@_evaluate.def_jvp
def _evaluate_jvp(primals: tuple[_Call, Layout], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    """The tangent of the trajectory by one linear recurrence, and what follows from it for carry and outputs.

    Where that does not pay, the tangent of the plain loop as JAX has it.
    """
    call, layout = primals
    if layout.lanes is None and not adjoint_pays(layout.size, layout.work, layout.batch):
        return eqx.filter_jvp(lambda call: batch_first(_one_by_one(call, layout)), (call,), (tangents[0],))
    problem = call.problem
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), call.xs)
    keep = hoist(keeping(problem.step), jax.eval_shape(lambda: call.init), x)
    kept = dataclasses.replace(call, problem=dataclasses.replace(problem, step=keep))
    carry, (ys, states) = _evaluate(kept, layout)
    answer = jax.lax.stop_gradient(problem.flatten(states))

    def read_off(problem: ScanProblem) -> tuple[Tree, Tree]:
        states = attach(problem.recurrence, answer, layout.batch)
        return batch_first((problem.carry(states), problem.outputs(states)))

    return (carry, ys), eqx.filter_jvp(read_off, (problem,), (tangents[0].problem,))[1]
