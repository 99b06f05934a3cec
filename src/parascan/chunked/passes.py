"""Runs over all rows of all chunks, side by side, until every junction between two chunks is accepted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..programs.lazy import add_into
from ..solution import Tree
from .acceptance import COMPARED, NEARLY, excess
from .grid import Grid
from .warm_up import Forgotten, Step

PASSES = 2
"""Most runs over all rows before the chunks are given up; the second starts from the ends that the first one found."""

Filled = tuple[Tree, Tree, Tree, Tree, Tree]
"""What a run hands on: states of the chunks, their ends, the states at the compared rows, outputs and totals."""

BODY = COMPARED + 1
"""Parts of a run before its body: the warm-up up to the compared rows, and each of these."""

PARTS = 2 * BODY + 1
"""Parts of a run: the warm-up of all chunks from arbitrary starts, their bodies, and the warm-up from the true ones."""


class Attempt(NamedTuple):
    """What a run over all rows gives: where the next one goes on, the results, and how far junctions are apart.

    Attributes:
        states: where the next run goes on: at the row where copies met, later at row H ``[..., N P]``.
        passed: states after each of the compared rows ``[COMPARED, ..., N P]``; none yet before the first run.
        ys: outputs ``[N P, B, ...]``.
        ends: states after the last row ``[..., N P]``.
        totals: totals over all rows.
        excess: distance at the junctions in units of what is accepted.
        left: how many more runs there may be.
    """

    states: Tree
    passed: Tree
    ys: Tree
    ends: Tree
    totals: Tree
    excess: Float[Array, ""]
    left: Int[Array, ""]


@dataclass(frozen=True)
class Passes:
    """Runs over all rows, with what is the same in each of them.

    One loop takes all rows, so that two runs of a chunk that have come together go on to round alike.

    Args:
        step: of one sequence.
        forward: the step of all chunks at once, with what it adds to totals.
        init: initial carries, floating leaves ``[N, ...]``.
        zero: totals over no step.
        grid: how the sequences are cut.
        forgotten: what the coupled copies showed.
    """

    step: Step
    forward: Callable[[Tree, Tree], tuple[Tree, Tree, Tree]]
    init: Tree
    zero: Tree
    grid: Grid
    forgotten: Forgotten

    def run(self, blocks: Tree, room: Tree) -> Attempt:
        """The last of the runs, whose results are accepted if its excess is no more than one.

        Args:
            blocks: inputs in chunks, as ``Grid.cut`` gives them.
            room: for the outputs ``[N P, B, ...]``.
        """
        states = self.forgotten.states
        worth = self.zero, jnp.asarray(jnp.inf, jnp.float32), jnp.int32(PASSES)
        first = Attempt(states, _room_for(COMPARED, states), room, states, *worth)
        again = partial(self._attempt, blocks)
        return jax.lax.while_loop(lambda attempt: (attempt.left > 0) & (attempt.excess > 1), again, first)

    def _attempt(self, blocks: Tree, before: Attempt) -> Attempt:
        """One run over all rows; a second one does not repeat the run from the arbitrary starts to row H."""
        again = before.left < PASSES
        start = before.states, before.ends, _room_for(PARTS, before.states), before.ys, self.zero
        _, ends, kept, ys, totals = jax.lax.fori_loop(
            jnp.where(again, BODY, 0), PARTS, partial(self._fill, blocks), start
        )
        way = jax.tree.map(lambda old, new: jnp.where(again, old, new[1:BODY]), before.passed, kept)
        after = jax.tree.map(lambda leaf: leaf[BODY + 2 :], kept)
        rows = self.forgotten.horizon - COMPARED + jnp.arange(COMPARED)
        inputs = jax.vmap(partial(self.grid.take, blocks))(rows)
        runs = jax.tree.map(lambda leaf: leaf[BODY + 1 : -1], kept), (after, way), inputs
        # Chunks come second: these few steps are taken all at once, by the step as it is.
        found = excess(self.step, *jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 1), runs))
        found = found if self.grid.axis is None else jax.lax.pmax(found, self.grid.axis)
        # What is far off remembers its start, and no second run would agree either.
        left = jnp.where(found <= NEARLY, before.left - 1, 0)
        return Attempt(jax.tree.map(lambda leaf: leaf[-1], after), after, ys, ends, totals, found, left)

    def _fill(self, blocks: Tree, part: Int[Array, ""], state: Filled) -> Filled:
        """One part of the rows."""

        def advance(row: Array, state: tuple[Tree, Tree, Tree]) -> tuple[Tree, Tree, Tree]:
            states, y, share = self.forward(state[0], self.grid.take(blocks, row))
            return states, self.grid.put(state[1], y, row), jax.tree.map(add_into, state[2], share)

        states, ends, kept, ys, totals = state
        body, true = part == BODY, part > BODY
        before = self.forgotten.horizon - COMPARED + jnp.where(true, part - BODY - 1, part)
        unbroken = jnp.where(true, part == BODY + 1, part == 0)
        first = jnp.where(unbroken, jnp.where(true, 0, self.forgotten.row), before - 1)
        first, end = jnp.where(body, self.forgotten.horizon, first), jnp.where(body, self.grid.block, before)
        states, ys, totals = jax.lax.fori_loop(first, end, advance, (states, ys, totals))

        def from_ends() -> tuple[Tree, Tree]:
            return self.grid.starts(states, self.init), states

        # A branch that all devices take alike, so that none waits for a message that is not sent.
        states, ends = jax.lax.cond(body, from_ends, lambda: (states, ends))
        # What the warm-up from an arbitrary start adds to totals is not theirs.
        totals = jax.tree.map(lambda leaf, none: jnp.where(part < BODY, none, leaf), totals, self.zero)
        kept = jax.tree.map(lambda room, leaf: jax.lax.dynamic_update_index_in_dim(room, leaf, part, 0), kept, states)
        return states, ends, kept, ys, totals


def _room_for(rows: int, states: Tree) -> Tree:
    """Room for the states of a number of rows ``[rows, ...]``."""
    return jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), states)
