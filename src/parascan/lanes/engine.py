"""A sequence run as blocks side by side when the system forgets its start, and step by step when it does not.

All blocks start at once, all but the first from a foreign state. Some of them have a twin, and when the twins have
come together, at row H, the foreign start is forgotten: what follows is right. The blocks run to their end from there,
and the end of each is the true start of the next, from which the first H rows are then run. Where these meet row H, the
two must agree: that, and not the twins, judges the answer. If twins part or the judgment fails, the steps are taken one
after the other, in the same program.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from .._types import Tree
from .choice import trial_steps
from .coupling import Twins, agreement, relative_distance, tolerance
from .grid import Grid
from .program import over_lanes

PASSES = 2
"""Runs over all rows before the answer is given up: a second one starts from what the first one found."""

BETWEEN_CHECKS = 4
"""Steps after which the distance of twins is looked at again: looking costs as much as a small step."""

Step = Callable[[Tree, Tree], tuple[Tree, Tree]]
"""``(carry, x) -> (carry, y)``, a tree whose leaves are the arrays that it uses."""


class _Attempt(NamedTuple):
    """The states at row H of all blocks, those after the last row, the outputs, and whether they are the answer."""

    states: Tree
    ends: Tree
    ys: Tree
    agreed: Bool[Array, ""]
    left: Int[Array, ""]


def run_blocks(step: Step, init: Tree, xs: Tree, floor: Tree, grid: Grid, work: float) -> tuple[Tree, Tree]:
    """Final carry ``[N, ...]`` and outputs ``[N, P B, ...]`` of a batch of sequences, right in every case.

    Args:
        step: the step of one sequence.
        init: initial carries, floating leaves ``[N, ...]``.
        xs: inputs, leaves ``[N or 1, P B, ...]``; those of this device, when the grid goes over a mesh axis.
        floor: sizes ``[N, ...]`` below which the states' own scale need not be resolved.
        grid: how the sequences are cut.
        work: operations of a step.
    """
    carry = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), init)
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), xs)
    y = jax.eval_shape(step, carry, x)[1]
    lanes = over_lanes(lambda step, carry, x: step(carry, x), (False, True, True), step, carry, x)
    blocks = grid.cut(xs)

    def advance(states: Tree, inputs: Tree) -> tuple[Tree, Tree]:
        return lanes(step, states, inputs)

    forgets, horizon, states = _forget(advance, init, blocks, floor, grid, work)

    def fill(part: Int[Array, ""], state: tuple[Tree, Tree, Tree]) -> tuple[Tree, Tree, Tree]:
        def forward(row: Array, state: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
            states, y = advance(state[0], grid.take(blocks, row))
            return states, grid.put(state[1], y, row)

        states, ends, ys = state
        last = part == 0
        first, end = jnp.where(last, horizon, 0), jnp.where(last, grid.block, horizon)
        states, ys = jax.lax.fori_loop(first, end, forward, (states, ys))
        # A branch that all devices take alike, so that none waits for a message that is not sent.
        return *jax.lax.cond(last, lambda: (grid.starts(states, init), states), lambda: (states, ends)), ys

    judge = partial(relative_distance, floor=grid.spread(floor), groups=grid.batch)

    def attempt(before: _Attempt) -> _Attempt:
        states, ends, ys = jax.lax.fori_loop(0, 2, fill, (before.states, before.ends, before.ys))
        agreed = _everywhere(judge(before.states, states) <= tolerance(init), grid)
        return _Attempt(states, ends, ys, agreed, before.left - 1)

    def side_by_side() -> tuple[Tree, Tree]:
        first = _Attempt(states, states, grid.room(y), jnp.asarray(False), jnp.int32(PASSES))
        last = jax.lax.while_loop(lambda attempt: (attempt.left > 0) & ~attempt.agreed, attempt, first)
        carry = _select(last.agreed, grid.final(last.ends), init)
        return run_steps(step, carry, xs, grid, grid.joined(last.ys), ~last.agreed)

    def one_by_one() -> tuple[Tree, Tree]:
        if grid.axis is None:
            return scan_steps(step, init, xs, grid.length, reverse=grid.reverse)
        return run_steps(step, init, xs, grid, grid.joined(grid.room(y)), jnp.asarray(True))

    return jax.lax.cond(forgets, side_by_side, one_by_one)


def scan_steps(step: Step, init: Tree, xs: Tree, length: int, *, reverse: bool) -> tuple[Tree, Tree]:
    """``jax.lax.scan`` of a batch of sequences, as ``jax.vmap`` batches it unless the batch is one."""

    def scan(init: Tree, xs: Tree) -> tuple[Tree, Tree]:
        return jax.lax.scan(lambda *args: step(*args), init, xs, length, reverse=reverse)

    batch = jax.tree.leaves(init)[0].shape[0]
    if batch == 1:
        out = scan(*jax.tree.map(lambda leaf: leaf[0], (init, xs)))
        return jax.tree.map(lambda leaf: leaf[None], out)
    axes = jax.tree.map(lambda leaf: None if len(leaf) < batch else 0, xs)
    xs = jax.tree.map(lambda leaf: leaf[0] if len(leaf) < batch else leaf, xs)
    return jax.vmap(scan, in_axes=(0, axes))(init, xs)


def _forget(
    advance: Callable[[Tree, Tree], tuple[Tree, Tree]], init: Tree, blocks: Tree, floor: Tree, grid: Grid, work: float
) -> tuple[Bool[Array, ""], Int[Array, ""], Tree]:
    """Whether twins meet within a third of a block, the row at which they have, and the states of the blocks there."""
    most = grid.block // 3
    trial = min(most, trial_steps(grid.length // grid.devices, grid.batch * grid.lanes, work))
    twins = Twins(grid.batch * grid.lanes, grid.spread(floor))
    goal = jnp.log(agreement(init))

    def going(state: tuple[Array, Array, Tree]) -> Bool[Array, ""]:
        row, apart, _ = state
        # Distances start at about one in units of the scale, so their logarithm starts near zero.
        hopeful = (row < trial) | (apart * 2 * most <= goal * row)
        return (row < most) & (apart > goal) & hopeful

    def follow(state: tuple[Array, Array, Tree]) -> tuple[Array, Array, Tree]:
        row, _, states = state
        end = jnp.minimum(row + BETWEEN_CHECKS, most)
        states = jax.lax.fori_loop(
            row, end, lambda i, states: advance(states, twins.join(grid.take(blocks, i)))[0], states
        )
        return end, jnp.log(twins.apart(states)), states

    start = twins.start(grid.spread(init))
    row, apart, states = jax.lax.while_loop(going, follow, (jnp.int32(0), jnp.zeros_like(goal), start))
    return _everywhere(apart <= goal, grid), row, twins.part(states)


def _select(first: Bool[Array, ""], one: Tree, other: Tree) -> Tree:
    """One of two trees."""
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


def run_steps(step: Step, init: Tree, xs: Tree, grid: Grid, ys: Tree, wanted: Bool[Array, ""]) -> tuple[Tree, Tree]:
    """The same one step after the other, if it is wanted, else ``init`` and ``ys`` as they are.

    A loop of no turns instead of a branch, which would copy the outputs; a little slower than ``jax.lax.scan`` where it
    does turn. On a mesh axis one device follows the other.
    """
    if grid.batch == 1:
        # Without the axis of the batch, so that XLA compiles what it compiles for ``jax.lax.scan``.
        init, xs, ys = (jax.tree.map(lambda leaf: leaf[0], tree) for tree in (init, xs, ys))
        carry, ys = _turns(step, init, xs, ys, grid, wanted, time=0)
        return jax.tree.map(lambda leaf: leaf[None], (carry, ys))
    shared = jax.tree.map(lambda leaf: None if len(leaf) < grid.batch else 0, xs)

    def batched(carry: Tree, x: Tree) -> tuple[Tree, Tree]:
        x = jax.tree.map(lambda leaf: leaf[0] if len(leaf) < grid.batch else leaf, x)
        return jax.vmap(step, in_axes=(0, shared))(carry, x)

    return _turns(batched, init, xs, ys, grid, wanted, time=1)


def _turns(
    step: Step, init: Tree, xs: Tree, ys: Tree, grid: Grid, wanted: Bool[Array, ""], time: int
) -> tuple[Tree, Tree]:
    """The loop over the rows of this device, when it is its turn."""
    length = grid.lanes * grid.block

    def one(index: Array, state: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        row = length - 1 - index if grid.reverse else index
        take = partial(jax.lax.dynamic_index_in_dim, index=row, axis=time, keepdims=False)
        put = partial(jax.lax.dynamic_update_index_in_dim, index=row, axis=time)
        carry, y = step(state[0], jax.tree.map(take, xs))
        return carry, jax.tree.map(put, state[1], y)

    if grid.axis is None:
        return jax.lax.fori_loop(0, jnp.where(wanted, length, 0), one, (init, ys))
    axis = grid.axis

    def turn(index: Array, state: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        mine = jax.lax.axis_index(axis) == (grid.devices - 1 - index if grid.reverse else index)
        carry, ys = jax.lax.fori_loop(0, jnp.where(mine, length, 0), one, state)
        sent = jax.tree.map(lambda leaf: jax.lax.psum(jnp.where(mine, leaf, jnp.zeros_like(leaf)), axis), carry)
        return sent, ys

    return jax.lax.fori_loop(0, jnp.where(wanted, grid.devices, 0), turn, (init, ys))


def _everywhere(flag: Bool[Array, ""], grid: Grid) -> Bool[Array, ""]:
    """Whether it holds on all devices."""
    return flag if grid.axis is None else jax.lax.pmin(flag.astype(jnp.int32), grid.axis) > 0
