"""Rows by a kernel for each stretch of them, on a GPU and for steps that fit into one.

A stretch of the runs over chunks ends at a junction or at the end of the chunks, so a handful of launches takes all
rows. The rows, the junctions and the judgment are those of ``passes``.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..programs.closure import Closed
from ..programs.kernels import RowKernel, kernel_of
from ..programs.platform import kernels_wanted
from ..solution import Tree
from .acceptance import COMPARED, NEARLY
from .grid import Grid, row_at
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
            states, kept, ys = self._launched(blocks, states, (row, junction), ys)
            others.append(jax.tree.map(lambda leaf: leaf[1:], kept))
            row = junction
        states, _, ys = self._launched(blocks, states, (row, block), ys, keep=0)
        other = jax.tree.map(lambda *each: jnp.stack(each), *others)
        starts = self.grid.starts(states, self.init)
        first = Attempt(starts, other, ys, states, self.zero, self.zero, self.unjudged, jnp.int32(0))
        with jax.named_scope(RUNS):
            return jax.lax.while_loop(partial(going, NEARLY), partial(self._to_junction, blocks), first)

    def _to_junction(self, blocks: Tree, before: Attempt) -> Attempt:
        """The run from the true starts to the first junction, or from there to the second."""
        number, junctions = before.junctions, self.junctions
        first = jnp.where(number == 0, 0, junctions[0])
        states, true, ys = self._launched(blocks, before.states, (first, junctions[number]), before.ys)
        other = row_at(before.kept, number)
        inputs = self.grid.take_turn(blocks, junctions[number] - COMPARED)
        rows = jax.tree.map(lambda *each: jnp.stack(each), *inputs)
        ahead, after = (jax.tree.map(lambda leaf, cut=cut: leaf[cut], true) for cut in (slice(-1), slice(1, None)))
        found, _ = self.judged(ahead, (after, other), rows)
        return before._replace(states=states, ys=ys, excess=found, junctions=number + 1)

    def _launched(
        self, blocks: Tree, states: Tree, rows: tuple[Array, Array], ys: Tree, keep: int = COMPARED
    ) -> tuple[Tree, Tree, Tree]:
        """The rows up to a junction: states after them, states at the last rows, and outputs."""
        which = jnp.arange(self.grid.batch * self.grid.chunks, dtype=jnp.int32)
        return self.kernel.run(states, blocks, which, rows, ys, keep=keep, reverse=self.grid.reverse)


def in_kernels(closed: Closed, carry: Tree, x: Tree, grid: Grid) -> RowKernel | None:
    """A step as a kernel, where rows are to be run by one.

    Args:
        closed: the step of one sequence.
        carry: shapes of its carry.
        x: shapes of its inputs.
        grid: how the sequences are cut.
    """
    if grid.turn == 1 or not kernels_wanted():
        return None
    found = kernel_of(closed, carry, x, grid.batch * (grid.length + grid.rest))
    return found if isinstance(found, RowKernel) else None


def advanced(
    kernel: RowKernel, blocks: Tree, grid: Grid, states: Tree, which: Array, rows: tuple[Array, Array]
) -> Tree:
    """The states ``[..., columns]`` after a stretch of rows.

    Args:
        kernel: the step.
        blocks: inputs in chunks.
        grid: how the sequences are cut.
        states: before these rows.
        which: the chunk whose inputs each column takes.
        rows: the first row, and that which the stretch ends before.
    """
    return kernel.run(states, blocks, which, rows, reverse=grid.reverse).states


def scan_in_kernel(
    kernel: RowKernel,
    closed: Closed,
    init: Tree,
    xs: Tree,
    length: int,
    *,
    reverse: bool,
    before: tuple[Tree, Tree, Bool[Array, ""]] | None = None,
) -> tuple[Tree, Tree, Tree]:
    """Steps of a batch of sequences one after the other, all in one launch: final carry, outputs, and no totals.

    Args:
        kernel: the step.
        closed: the step of one sequence.
        init: initial carries ``[N, ...]``.
        xs: inputs ``[N or 1, T, ...]``.
        length: T.
        reverse: whether time runs from the last row to the first.
        before: outputs ``[N, T, ...]`` and totals, which stay unless a flag, the last, is true; None for all steps.
    """
    batch = jax.tree.leaves(init)[0].shape[0]
    room = jax.tree.map(lambda leaf: jax.lax.empty((batch, length, *leaf.shape), leaf.dtype), closed.shapes[1])
    ys, totals, wanted = (room, (), jnp.asarray(True)) if before is None else before
    rows = jnp.int32(0), jnp.where(wanted, length, 0)
    states = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), init)
    found = kernel.run(states, xs, jnp.arange(batch, dtype=jnp.int32), rows, ys, reverse=reverse)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), found.states), found.ys, totals
