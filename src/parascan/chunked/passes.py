"""Runs over all rows of all chunks, side by side, until every junction between two chunks is accepted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..programs.lazy import add_into
from ..solution import Tree
from .acceptance import COMPARED, NEARLY, allowances, excess
from .grid import Grid, row_at
from .part_rows import PARTS, in_one_part, part_rows, up_to_junction
from .repair import Refused
from .warm_up import Forgotten, Step

JUNCTIONS = 2
"""Rows at which the two runs of a chunk may be joined: H, where its start should be forgotten, and a later one, for
systems that take a little longer in chunks without a copy. What fails at both is given up."""

FURTHER = 2
"""The later junction lies at so many times H, or halfway between H and the end of the chunks if that is earlier."""

Filled = tuple[Tree, Tree, Tree, Tree]
"""What rows hand on: states of the chunks, the states that are kept, outputs and totals."""

Bounds = Int[Array, "stretches parts 3"]
"""Of every part of every stretch: its first row, the row that it ends before, and the place of the states after it."""

BODY = JUNCTIONS
"""The stretch of the rows that follow the later junction, where chunks run from arbitrary starts; before it are those
that end at a junction, after it those of the true run."""

OTHER_ROOM, TRUE_ROOM = 0, JUNCTIONS * COMPARED
"""Where states are kept: those after the compared rows on the run from arbitrary starts, for each junction; and on the
true run those before them and after each of them, for one junction at a time."""

ROOM = TRUE_ROOM + PARTS + 1
"""States that are kept; the last place is for what nobody reads."""

NOWHERE = ROOM - 1
PLACES = np.array(
    [
        *(
            [NOWHERE, *range(OTHER_ROOM + COMPARED * each, OTHER_ROOM + COMPARED * (each + 1))]
            for each in range(JUNCTIONS)
        ),
        [NOWHERE] * PARTS,
        *([TRUE_ROOM + part for part in range(PARTS)] for _ in range(JUNCTIONS)),
    ],
    np.int32,
)
"""Where the states after each part of each stretch are kept."""

START, ROW, NEAR, FAR, END = range(5)
"""Marks of rows: the first one, that where the copies met, the two junctions, and the end."""

STRETCHES = (
    up_to_junction(ROW, NEAR),
    up_to_junction(NEAR, FAR),
    in_one_part(FAR, END),
    up_to_junction(START, NEAR),
    up_to_junction(NEAR, FAR),
)
"""The parts of each stretch."""

RUNS = "runs"
"""Name of the loop over the runs in compiled programs and profiles."""


class Attempt(NamedTuple):
    """What the runs give up to a junction, and how far they are apart there.

    Attributes:
        states: of the chunks, where the next stretch goes on ``[..., N P]``.
        kept: states at the compared rows ``[ROOM, ..., N P]``.
        ys: outputs ``[N P, B, ...]``.
        ends: states after the last row ``[..., N P]``.
        totals: totals over all rows but those of ``replaced``.
        replaced: totals over the rows between the junctions, on the run from arbitrary starts.
        excess: distance at the junction in units of what is accepted, of each chunk; the largest of all on a mesh.
        junctions: how many have been looked at.
        allowed: distances that are accepted at the last one ``[COMPARED, N P, ...]``; none where no chunk is run again.
    """

    states: Tree
    kept: Tree
    ys: Tree
    ends: Tree
    totals: Tree
    replaced: Tree
    excess: Float[Array, " NP"]
    junctions: Int[Array, ""]
    allowed: Tree = ()


def going(nearly: float, attempt: Attempt) -> Bool[Array, ""]:
    """Whether a junction is yet to be looked at.

    Args:
        nearly: largest excess after which a later one is.
        attempt: what has been run.
    """
    # What is far off remembers its start, and a few rows more would not help either.
    begun = attempt.junctions > 0
    largest = jnp.max(attempt.excess)
    near = (attempt.junctions < JUNCTIONS) & (largest > 1) & (largest <= nearly)
    return ~begun | near


@dataclass(frozen=True)
class Passes:
    """A run over all rows of all chunks from arbitrary starts, then one from the true starts up to a junction.

    One loop takes all rows, so that two runs of a chunk that have come together go on to round alike.

    Args:
        step: of one sequence.
        forward: the step of all chunks at once, with what it adds to totals.
        init: initial carries, floating leaves ``[N, ...]``.
        zero: totals over no step.
        grid: how the sequences are cut.
        forgotten: what the coupled copies showed.
        tolerance: distance that the user accepts at a junction, as for ``allowances``.
    """

    step: Step
    forward: Callable[[Tree, Tree], tuple[Tree, Tree, Tree]]
    init: Tree
    zero: Tree
    grid: Grid
    forgotten: Forgotten
    tolerance: float

    def run(self, blocks: Tree, room: Tree) -> Attempt:
        """The runs up to the last junction that was looked at; accepted if its excess is no more than one.

        Args:
            blocks: inputs in chunks, as ``Grid.cut`` gives them.
            room: for the outputs ``[N P, B, ...]``.
        """
        states = self.forgotten.states
        kept = jax.tree.map(lambda leaf: jnp.zeros((ROOM, *leaf.shape), leaf.dtype), states)

        def no_distances(leaf: Array) -> Array:
            return jnp.zeros((COMPARED, leaf.shape[-1], *leaf.shape[:-1]), jnp.finfo(leaf.dtype).dtype)

        allowed = jax.tree.map(no_distances, states)
        first = Attempt(states, kept, room, states, self.zero, self.zero, self.unjudged, jnp.int32(0), allowed)

        with jax.named_scope(RUNS):
            last = jax.lax.while_loop(partial(going, NEARLY), partial(self._attempt, blocks, self._bounds()), first)
        totals = jax.tree.map(
            lambda total, part: jnp.where(last.junctions == 1, total + part, total), last.totals, last.replaced
        )
        return last._replace(totals=totals)

    def _attempt(self, blocks: Tree, bounds: Bounds, before: Attempt) -> Attempt:
        """The runs up to the first junction, or the true run from there to the second."""
        number = before.junctions
        start = (before.states, before.kept, before.ys, before.totals), before.ends, before.replaced
        (states, kept, ys, totals), ends, replaced = jax.lax.fori_loop(
            jnp.where(number == 0, 0, BODY + 1 + number),
            BODY + 2 + number,
            partial(self._stretch, blocks, bounds),
            start,
        )

        other = _rows_of(kept, OTHER_ROOM + COMPARED * number, COMPARED)
        true = _rows_of(kept, TRUE_ROOM, PARTS)
        from_before, after = _rows_of(true, 0, COMPARED), _rows_of(true, 1, COMPARED)
        rows = self.junctions[number] - COMPARED + jnp.arange(COMPARED)
        inputs = jax.vmap(partial(self.grid.take, blocks))(rows)
        found, allowed = self.judged(from_before, (after, other), inputs)
        if self.grid.axis is not None:
            found = jnp.full_like(found, jax.lax.pmax(jnp.max(found), self.grid.axis))
        return Attempt(states, kept, ys, ends, totals, replaced, found, number + 1, allowed)

    def refused(self, attempt: Attempt) -> Refused:
        """Which chunks are refused at the last junction, and what another judgment of one of them takes.

        Args:
            attempt: the runs up to that junction.
        """
        number = attempt.junctions - 1
        rows = _rows_of(attempt.kept, OTHER_ROOM + number * COMPARED, COMPARED)
        starts = self.grid.starts(attempt.ends, self.init)
        allowed = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, -1), attempt.allowed)
        excess, starts, other, allowed = self.grid.in_order((attempt.excess, starts, rows, allowed))
        starts = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 1), starts)
        other, allowed = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 2), (other, allowed))
        return Refused(jnp.any(excess > 1, axis=-1), starts, other, allowed, self.junctions[number])

    @property
    def unjudged(self) -> Float[Array, " NP"]:
        """The excess of chunks before they are judged."""
        return jnp.full(self.grid.batch * self.grid.chunks, jnp.inf, jnp.float32)

    def judged(self, before: Tree, runs: tuple[Tree, Tree], inputs: Tree) -> tuple[Float[Array, " NP"], Tree]:
        """Distance of the two runs in units of what is accepted, and that, from rows ``[COMPARED, ..., N P]``."""
        # Chunks come second: these few steps are taken all at once, by the step as it is.
        before, (true, other), xs = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 1), (before, runs, inputs))
        allowed = allowances(self.step, before, true, xs, self.tolerance)
        return excess(true, other, allowed), allowed

    @property
    def junctions(self) -> Int[Array, "2"]:
        """The rows up to which the true run may go."""
        horizon, block = self.forgotten.horizon, self.grid.block
        # Rows are not negative: a shift leaves out of the program how ``//`` rounds negative numbers.
        later = jnp.minimum(FURTHER * horizon, (horizon + block) >> 1)
        return jnp.stack([horizon, jnp.clip(later, horizon + COMPARED, block)])

    def _bounds(self) -> Bounds:
        """The rows of all parts, and the places of the states after them."""
        rows = part_rows([0, self.forgotten.row, *self.junctions, self.grid.block], *STRETCHES)
        return jnp.concatenate([rows, PLACES[..., None]], axis=-1)

    def _stretch(
        self, blocks: Tree, bounds: Bounds, number: Int[Array, ""], state: tuple[Filled, Tree, Tree]
    ) -> tuple[Filled, Tree, Tree]:
        """All parts of a stretch, and what is to be done at its end."""
        filled, ends, replaced = state
        parts = row_at(bounds, number)

        def part(index: Array, filled: Filled) -> Filled:
            first, end, place = row_at(parts, index)
            return self._rows(blocks, (first, end), place, filled)

        states, kept, ys, totals = jax.lax.fori_loop(0, PARTS, part, filled)

        def from_ends() -> tuple[Tree, Tree]:
            return self.grid.starts(states, self.init), states

        # A branch that all devices take alike, so that none waits for a message that is not sent.
        states, ends = jax.lax.cond(number == BODY, from_ends, lambda: (states, ends))
        between, void = number == BODY - 1, number < BODY
        replaced = jax.tree.map(lambda old, new: jnp.where(between, new, old), replaced, totals)
        # What the warm-up from an arbitrary start adds to totals is not theirs.
        totals = jax.tree.map(lambda leaf, none: jnp.where(void, none, leaf), totals, self.zero)
        return (states, kept, ys, totals), ends, replaced

    def _rows(self, blocks: Tree, rows: tuple[Array, Array], place: Array, filled: Filled) -> Filled:
        """The rows of one part, and the states after them in their place."""

        def advance(row: Array, state: tuple[Tree, Tree, Tree]) -> tuple[Tree, Tree, Tree]:
            states, y, share = self.forward(state[0], self.grid.take(blocks, row))
            return states, self.grid.put(state[1], y, row), jax.tree.map(add_into, state[2], share)

        states, kept, ys, totals = filled
        states, ys, totals = jax.lax.fori_loop(*rows, advance, (states, ys, totals))
        kept = jax.tree.map(lambda room, leaf: jax.lax.dynamic_update_index_in_dim(room, leaf, place, 0), kept, states)
        return states, kept, ys, totals


def _rows_of(room: Tree, first: int | Int[Array, ""], count: int) -> Tree:
    """Some of the states that are kept."""
    return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, count), room)
