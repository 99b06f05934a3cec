"""Runs over all rows of all blocks, side by side, until every junction between two blocks is accepted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._types import Tree
from .acceptance import COMPARED, NEARLY, excess
from .forget import Step, put_row, room_for
from .grid import Grid
from .lazy import add_into

PASSES = 2
"""Runs over all rows before the answer is given up: a second one starts from what the first one found."""

Filled = tuple[Tree, Tree, Tree, Tree, Tree]
"""States of the lanes, the blocks' ends, states to keep, outputs and totals."""


class Attempt(NamedTuple):
    """Where all blocks passed the last rows before row H, where they ended, their results, and what these are worth.

    Attributes:
        passed: states after each of the compared rows ``[COMPARED, ..., N P]``.
        ends: states after the last row ``[..., N P]``.
        ys: outputs ``[N P, B, ...]``.
        totals: totals over all rows.
        excess: distance at the junctions in units of what is accepted.
        left: how many more runs there may be.
    """

    passed: Tree
    ends: Tree
    ys: Tree
    totals: Tree
    excess: Float[Array, ""]
    left: Int[Array, ""]


@dataclass(frozen=True)
class Passes:
    """What is the same in every run.

    Args:
        step: of one sequence.
        forward: the same for all lanes at once, with what it adds to totals.
        init: initial carries, floating leaves ``[N, ...]``.
        zero: totals over no step.
        grid: how the sequences are cut.
        horizon: H, the row from which on the blocks have forgotten their start.
    """

    step: Step
    forward: Callable[[Tree, Tree], tuple[Tree, Tree, Tree]]
    init: Tree
    zero: Tree
    grid: Grid
    horizon: Int[Array, ""]

    def run(self, blocks: Tree, passed: Tree, room: Tree) -> Attempt:
        """The last of the runs, which is the answer if its excess is no more than one.

        Args:
            blocks: inputs in blocks, as ``Grid.cut`` gives them.
            passed: states after each of the compared rows on the way from a foreign start ``[COMPARED, ..., N P]``.
            room: for the outputs ``[N P, B, ...]``.
        """
        ends = jax.tree.map(lambda leaf: leaf[-1], passed)
        first = Attempt(passed, ends, room, self.zero, jnp.asarray(jnp.inf, jnp.float32), jnp.int32(PASSES))
        again = partial(self._attempt, blocks)
        return jax.lax.while_loop(lambda attempt: (attempt.left > 0) & (attempt.excess > 1), again, first)

    def _attempt(self, blocks: Tree, before: Attempt) -> Attempt:
        """One run."""
        last = jax.tree.map(lambda leaf: leaf[-1], before.passed)
        start = last, before.ends, room_for(COMPARED + 1, last), before.ys, self.zero
        _, ends, kept, ys, totals = jax.lax.fori_loop(0, COMPARED + 2, partial(self._fill, blocks), start)
        after = jax.tree.map(lambda leaf: leaf[1:], kept)
        rows = self.horizon - COMPARED + jnp.arange(COMPARED)
        inputs = jax.vmap(partial(self.grid.take, blocks))(rows)
        runs = jax.tree.map(lambda leaf: leaf[:-1], kept), (after, before.passed), inputs
        # Lanes come second: these few steps are taken all at once, by the step as it is.
        found = excess(self.step, *jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 1), runs))
        found = found if self.grid.axis is None else jax.lax.pmax(found, self.grid.axis)
        # What is far off remembers its start, and no second run would agree either.
        left = jnp.where(found <= NEARLY, before.left - 1, 0)
        return Attempt(after, ends, ys, totals, found, left)

    def _fill(self, blocks: Tree, part: Int[Array, ""], state: Filled) -> Filled:
        """A part of the rows: those after H, then the first ones up to those that are compared, then each of these."""

        def advance(row: Array, state: tuple[Tree, Tree, Tree]) -> tuple[Tree, Tree, Tree]:
            states, y, share = self.forward(state[0], self.grid.take(blocks, row))
            return states, self.grid.put(state[1], y, row), jax.tree.map(add_into, state[2], share)

        states, ends, kept, ys, totals = state
        body = part == 0
        before = self.horizon - COMPARED + part - 1
        first = jnp.where(body, self.horizon, jnp.where(part == 1, 0, before - 1))
        end = jnp.where(body, self.grid.block, before)
        states, ys, totals = jax.lax.fori_loop(first, end, advance, (states, ys, totals))

        def from_ends() -> tuple[Tree, Tree]:
            return self.grid.starts(states, self.init), states

        # A branch that all devices take alike, so that none waits for a message that is not sent.
        states, ends = jax.lax.cond(body, from_ends, lambda: (states, ends))
        return states, ends, put_row(kept, states, jnp.maximum(part - 1, 0)), ys, totals
