"""Runs over all rows of all chunks, several rows in a turn of the loop, where starting a kernel outlasts its work.

An accelerator starts each operation of a loop's turn by itself, and its host looks at the loop's condition after each
turn. In a turn of several rows, inputs are taken and outputs put once, products that need no state are joined by the
compiler, and the condition is looked at once. The rows, the junctions and the judgment are those of ``passes``.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..solution import Tree
from .acceptance import COMPARED, NEARLY
from .grid import row_at
from .passes import JUNCTIONS, RUNS, Attempt, Passes, going

TRUE, NOWHERE = JUNCTIONS, JUNCTIONS + 1
"""Where the states of a turn are kept: those of the run from arbitrary starts at the number of the junction that the
turn ends at, those of the true run in one place, and what nobody reads in another."""

ROOM = NOWHERE + 1
"""Turns whose states are kept."""


class PassesInTurns(Passes):
    """As ``Passes``, for a grid whose turns are the compared rows, on one device, of a step without totals.

    The warm-up, the junctions and the chunks end with a turn.
    """

    def run(self, blocks: Tree, room: Tree) -> Attempt:
        """The runs up to the last junction that was looked at; accepted if its excess is no more than one.

        Args:
            blocks: inputs in chunks, as ``Grid.cut`` gives them.
            room: for the outputs ``[N P, B, ...]``.
        """
        states = self.forgotten.states
        kept = jax.tree.map(lambda leaf: jnp.zeros((ROOM, COMPARED + 1, *leaf.shape), leaf.dtype), states)
        # The run from arbitrary starts comes first and has no junction to judge: it ends with none looked at.
        first = Attempt(states, kept, room, states, self.zero, self.zero, self.unjudged, jnp.int32(-1))
        with jax.named_scope(RUNS):
            return jax.lax.while_loop(partial(going, NEARLY), partial(self._run, blocks), first)

    @property
    def junctions(self) -> Int[Array, "2"]:
        """The rows up to which the true run may go, ends of turns."""
        return super().junctions // COMPARED * COMPARED

    def _run(self, blocks: Tree, before: Attempt) -> Attempt:
        """One run: from arbitrary starts to the end, from the true starts to the first junction, or to the second."""
        number, junctions = before.junctions + 1, self.junctions
        arbitrary = number == 0
        firsts = jnp.stack([self.forgotten.row, jnp.zeros_like(junctions[0]), junctions[0]])
        lasts = jnp.stack([jnp.full_like(junctions[0], self.grid.block), *junctions])
        states, kept, ys = jax.lax.fori_loop(
            firsts[number] // COMPARED,
            lasts[number] // COMPARED,
            partial(self._turn, blocks, arbitrary),
            (before.states, before.kept, before.ys),
        )

        def chosen(one: Tree, other: Tree) -> Tree:
            return jax.tree.map(lambda a, b: jnp.where(arbitrary, a, b), one, other)

        ends = chosen(states, before.ends)
        states = chosen(self.grid.starts(states, self.init), states)
        junction = jnp.maximum(number - 1, 0)
        true = jax.tree.map(lambda leaf: leaf[TRUE], kept)
        other = jax.tree.map(lambda leaf: leaf[1:], row_at(kept, junction))
        inputs = self.grid.take_turn(blocks, junctions[junction] - COMPARED)
        rows = jax.tree.map(lambda *each: jnp.stack(each), *inputs)
        from_before, after = (
            jax.tree.map(lambda leaf, cut=cut: leaf[cut], true) for cut in (slice(-1), slice(1, None))
        )
        found = jnp.where(arbitrary, jnp.inf, self.judged(from_before, (after, other), rows)[0])
        return before._replace(states=states, kept=kept, ys=ys, ends=ends, excess=found, junctions=number)

    def _turn(
        self, blocks: Tree, arbitrary: Array, index: Int[Array, ""], filled: tuple[Tree, Tree, Tree]
    ) -> tuple[Tree, Tree, Tree]:
        """The rows of one turn, with the states before it and after each of them in their place."""
        states, kept, ys = filled
        first, met, outputs = index * COMPARED, [states], []
        for x in self.grid.take_turn(blocks, first):
            states, y, _ = self.forward(states, x)
            met.append(states)
            outputs.append(y)
        at = first + COMPARED == self.junctions
        place = jnp.where(arbitrary, jnp.where(at[0], 0, jnp.where(at[1], 1, NOWHERE)), TRUE)

        def keep(room: Array, *rows: Array) -> Array:
            return jax.lax.dynamic_update_index_in_dim(room, jnp.stack(rows), place, 0)

        return states, jax.tree.map(keep, kept, *met), self.grid.put_turn(ys, outputs, first)
