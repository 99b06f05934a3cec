"""The derivative of steps with pullbacks of the user's own (``jax.custom_vjp``): one pass of them, backwards in time.

Such a pullback need not be linear in its cotangents (clipping is not), so those of a step's state and of its outputs
have to go through it together, as they do in the plain loop.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..problem.carry import CarryLayout
from ..problem.flat_recurrence import ScanProblem
from ..programs.closure import Closed
from ..solution import State, Trajectory, Tree

Parts = tuple[Closed, State, Tree, CarryLayout]
"""The step, the initial state, the inputs of all steps, and the layout of the carry."""


def replayed(problem: ScanProblem, states: Trajectory) -> tuple[Trajectory, Tree]:
    """The states of a solution and its outputs, with the derivative that the plain loop has; no forward mode.

    Args:
        problem: the scan.
        states: its solution ``[T D]``, with no derivative.
    """
    recurrence = problem.recurrence
    ys, rest = eqx.partition(jax.lax.stop_gradient(problem.computed(states)), eqx.is_inexact_array)
    parts = problem.step, recurrence.initial, recurrence.inputs, problem.layout
    states, ys = _replayed(parts, states, ys)
    return states, problem.outputs(states, eqx.combine(ys, rest))


@eqx.filter_custom_vjp
def _replayed(parts: Parts, states: Trajectory, ys: Tree) -> tuple[Trajectory, Tree]:
    """States and outputs, unchanged; the derivative is defined below."""
    return states, ys


@_replayed.def_fwd
def _forward(perturbed: Any, parts: Parts, states: Trajectory, ys: Tree) -> tuple[tuple[Trajectory, Tree], None]:
    """States and outputs, with the arguments as what the reverse pass needs."""
    return (states, ys), None


@_replayed.def_bwd
def _backward(
    residuals: None, cotangents: tuple[Trajectory, Tree], perturbed: Any, parts: Parts, states: Trajectory, ys: Tree
) -> Tree:
    """Cotangents of the step, the initial state and the inputs."""
    step, initial, inputs, layout = parts
    moving, fixed = eqx.partition(step, eqx.is_inexact_array)
    moving_inputs, fixed_inputs = eqx.partition(inputs, eqx.is_inexact_array)
    previous = jnp.concatenate([initial[None], states[:-1]])

    def one(state: tuple[State, Tree], row: Any) -> tuple[tuple[State, Tree], Tree]:
        (arriving, total), (before, moves, stays, (of_state, of_output)) = state, row

        def advance(moving: Tree, before: State, moves: Tree) -> tuple[State, Tree]:
            x, discrete = eqx.combine(moves, stays)
            carry, y = eqx.combine(moving, fixed)(layout.unravel(before, discrete), x)
            return layout.ravel(carry)[0], eqx.filter(y, eqx.is_inexact_array)

        pull = jax.vjp(advance, moving, before, moves)[1]
        weights, leaving, inputs = pull((arriving + of_state, of_output))
        return (leaving, jax.tree.map(jnp.add, total, weights)), inputs

    start = jnp.zeros_like(initial), jax.tree.map(jnp.zeros_like, moving)
    rows = previous, moving_inputs, fixed_inputs, _filled(cotangents, (states, ys))
    (leaving, weights), inputs = jax.lax.scan(one, start, rows, reverse=True)
    return weights, leaving, inputs, eqx.filter(layout, eqx.is_inexact_array)


def _filled(cotangents: Tree, values: Tree) -> Tree:
    """Cotangents with zeros in place of missing ones."""
    leaves, treedef = jax.tree.flatten(values)
    given = treedef.flatten_up_to(cotangents)
    pairs = zip(given, leaves, strict=True)
    return jax.tree.unflatten(treedef, [jnp.zeros_like(leaf) if each is None else each for each, leaf in pairs])
