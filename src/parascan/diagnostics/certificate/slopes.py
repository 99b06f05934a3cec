"""Whether the derivative of a step is that of its value: differences of its values against products with its Jacobian.

A step may hold ``jax.lax.stop_gradient``, a straight-through estimator or a derivative rule of the user's own. Then its
Jacobian says nothing about how errors grow, and whatever rests on the Jacobian is worth nothing.

For a smooth step ``f(s + v) - f(s) - J(s) v`` is an integral of ``(J(s + c v) - J(s)) v``, so it is no larger than this
change of the product somewhere between ``s`` and ``s + v``; the change is measured at two places. Rounding is allowed
for, and a small share of either side. A kink between both ends changes J between them, so it is allowed for too. A jump
shows on one side of the state only, so both sides have to disagree. The least width is the root of the unit of
rounding: there both sides disagree only if the derivative is not that of the value, or if the step jumps at such small
distances. The larger width decides only where rounding hides the answer at the least one.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ...problem.flat_recurrence import Recurrence
from ...programs.derivatives import refuse_steps_without_derivative
from ...programs.hashed_keys import hashed
from ...solution import State, Trajectory, Tree
from .rounding import rounding_of_steps

POWERS = (0.5, 0.25)
"""Exponents p of the widths ``eps^p`` of differences, in units of the state; the least width first."""

SHARE = 1 / 64
"""Part of a product by which it may differ from a difference: a step that solves an equation inside is only as exact as
its own tolerance."""

UNITS = 16.0
"""Rounding error that a difference of two steps may have, in root mean squares of that of one step."""

BEND = 2.0
"""Factor by which a product may change more between the places where it is measured than at them."""

NEIGHBORS = 8
"""Steps on either side whose rounding errors count too, since estimates from a few random errors may be too small."""

FIRST_STEPS = 64
"""Number of first steps that are tested where a sample is enough."""


def slopes_are_wrong(
    problem: Recurrence, states: Trajectory, local: Trajectory, key: Key[Array, ""], eps: float
) -> Bool[Array, " T"]:
    """Whether the derivative of a step cannot be that of its value, at each step.

    Two widths, two signs, one random direction; work ten Jacobian-vector products and five steps for each step, all in
    parallel. A derivative that is wrong by less than a few percent of what the step adds to an entry is not seen.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]`` whose steps are looked at.
        local: root mean square of the rounding error of every entry of every step ``[T D]``.
        key: random key of the directions.
        eps: twice the unit of rounding of what the step computes with.
    """
    previous = problem.previous(states)
    sizes = jax.lax.cummax(jnp.where(jnp.isfinite(previous), jnp.abs(previous), 0.0))
    rows = jnp.max(sizes, axis=1, keepdims=True)
    sizes = jnp.where(sizes > 0, sizes, jnp.where(rows > 0, rows, 1.0))
    sign_key, share_key = jax.random.split(key)
    shares = jax.random.uniform(share_key, previous.shape, previous.dtype, 0.5, 1.0)
    directions = jax.random.rademacher(sign_key, previous.shape, previous.dtype) * shares * sizes
    widths = [eps**power for power in POWERS]

    def wrong(at: State, x: Tree, direction: State, rounding: State) -> Bool[Array, ""]:
        least, larger = (_defect(problem, at, x, width * direction, UNITS * rounding) for width in widths)
        hidden = (widths[0] / widths[1]) * larger[1] < UNITS * rounding
        return jnp.any(least[0] | (larger[0] & hidden))

    return jax.vmap(wrong)(previous, problem.inputs, directions, _largest_nearby(local))


def first_slopes_are_wrong(problem: Recurrence, states: Trajectory | None, key: Key[Array, ""]) -> Bool[Array, ""]:
    """Whether the derivative of any of the first steps cannot be that of its value.

    Args:
        problem: the recurrence, one step or more.
        states: its trajectory ``[T D]`` where it is known.
        key: random key of errors and directions.

    Raises:
        ValueError: the step has no forward derivative.
    """
    refuse_steps_without_derivative(problem)
    count = min(problem.length, FIRST_STEPS)
    inputs = jax.tree.map(lambda leaf: leaf[:count], problem.inputs)
    first = Recurrence(problem.advance, problem.initial, inputs, count)
    states = first.trajectory() if states is None else states[:count]
    keys = jax.random.split(hashed(key))
    local = rounding_of_steps(first, states, keys[0])
    local = jnp.where(jnp.isfinite(local), local, 0.0)
    wrong = slopes_are_wrong(first, states, local, keys[1], float(jnp.finfo(problem.dtype).eps))
    return jnp.any(wrong & jnp.all(jnp.isfinite(states), axis=1))


def _defect(
    problem: Recurrence, at: State, x: Any, move: State, rounding: State
) -> tuple[Bool[Array, " D"], Float[Array, " D"]]:
    """Entries of a step that disagree with its Jacobian on both sides of a state, and by how much at least."""

    def advance(state: State) -> State:
        return problem.advance(state, x)

    def side(sign: float) -> tuple[Array, Array, Array]:
        end = at + sign * move
        # The move as it was after rounding.
        moved = end - at
        change, product = advance(end) - image, along(at, moved)
        bend = jnp.maximum(jnp.abs(along(at + 0.5 * moved, moved) - product), jnp.abs(along(end, moved) - product))
        larger = jnp.maximum(jnp.abs(change), jnp.abs(product))
        distance = jnp.abs(change - product)
        return distance > rounding + BEND * bend + SHARE * larger, jnp.isnan(distance), distance

    def along(point: State, vector: State) -> State:
        return jax.jvp(advance, (point,), (vector,))[1]

    image = advance(at)
    (above, above_unknown, rise), (below, below_unknown, fall) = side(1.0), side(-1.0)
    disagrees = (above | above_unknown) & (below | below_unknown) & (above | below)
    return disagrees, jnp.fmin(rise, fall)


def _largest_nearby(local: Trajectory) -> Trajectory:
    """The largest value among neighboring steps, for each step."""
    window = (2 * NEIGHBORS + 1, 1)
    return jax.lax.reduce_window(local, -jnp.inf, jax.lax.max, window, (1, 1), "SAME")
