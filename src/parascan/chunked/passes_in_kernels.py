"""Runs over all rows of all chunks by a kernel for each stretch of rows, on a GPU and for steps that fit into one.

A stretch ends at a junction or at the end of the chunks, so a handful of launches takes all rows. The rows, the
junctions and the judgment are those of ``passes``.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..programs.kernels import RowKernel
from ..solution import Tree
from .acceptance import COMPARED, NEARLY
from .passes import RUNS, Attempt, going
from .passes_in_turns import PassesInTurns


@dataclass(frozen=True)
class PassesInKernels(PassesInTurns):
    """As ``PassesInTurns``, by a kernel.

    Args:
        kernel: the step as a kernel.
    """

    kernel: RowKernel

    def run(self, blocks: Tree, room: Tree) -> Attempt:
        """The runs up to the last junction that was looked at; accepted if its excess is no more than one.

        Args:
            blocks: inputs in chunks, as ``Grid.cut`` gives them.
            room: for the outputs ``[N P, B, ...]``.
        """
        block, others = jnp.int32(self.grid.block), []
        states, ys, row = self.forgotten.states, room, self.forgotten.row
        for junction in self.junctions:
            states, kept, ys = self._stretch(blocks, states, (row, junction), ys)
            others.append(jax.tree.map(lambda leaf: leaf[1:], kept))
            row = junction
        states, _, ys = self._stretch(blocks, states, (row, block), ys, keep=0)
        other = jax.tree.map(lambda *each: jnp.stack(each), *others)
        starts, infinite = self.grid.starts(states, self.init), jnp.asarray(jnp.inf, jnp.float32)
        first = Attempt(starts, other, ys, states, self.zero, self.zero, infinite, jnp.int32(0))
        with jax.named_scope(RUNS):
            return jax.lax.while_loop(partial(going, NEARLY), partial(self._to_junction, blocks), first)

    def _to_junction(self, blocks: Tree, before: Attempt) -> Attempt:
        """The run from the true starts to the first junction, or from there to the second."""
        number, junctions = before.junctions, self.junctions
        first = jnp.where(number == 0, 0, junctions[0])
        states, true, ys = self._stretch(blocks, before.states, (first, junctions[number]), before.ys)
        other = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, number, keepdims=False), before.kept)
        inputs = self.grid.take_turn(blocks, junctions[number] - COMPARED)
        rows = jax.tree.map(lambda *each: jnp.stack(each), *inputs)
        ahead, after = (jax.tree.map(lambda leaf, cut=cut: leaf[cut], true) for cut in (slice(-1), slice(1, None)))
        found = self.judged(ahead, (after, other), rows)
        return before._replace(states=states, ys=ys, excess=found, junctions=number + 1)

    def _stretch(
        self, blocks: Tree, states: Tree, rows: tuple[Array, Array], ys: Tree, keep: int = COMPARED
    ) -> tuple[Tree, Tree, Tree]:
        """The rows up to a junction: states after them, states at the last rows, and outputs."""
        which = jnp.arange(self.grid.batch * self.grid.chunks, dtype=jnp.int32)
        return self.kernel.run(states, blocks, which, rows, ys, keep=keep, reverse=self.grid.reverse)
