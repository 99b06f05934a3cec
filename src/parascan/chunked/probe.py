"""Parts of a run in chunks on their own, for the planner's pilots: the coupled copies, and the rows of all chunks."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..programs.batching import closed_over_chunks
from ..programs.closure import close_over
from ..programs.partial_evaluation import partially_evaluated
from ..programs.shapes import row_of
from ..solution import Tree
from .chunk_count import LONGEST_PART, Patience
from .grid import Grid
from .warm_up import Step, forget


def coupling_rows(step: Step, init: Tree, xs: Tree, length: int, chunks: int) -> tuple[Bool[Array, ""], Int[Array, ""]]:
    """Whether copies of one sequence from different starts meet within a third of a chunk, and after how many steps.

    Args:
        step: ``(carry, x) -> (carry, y)``, a tree whose leaves are the arrays that it uses.
        init: initial carry, floating leaves.
        xs: inputs with leading axis T.
        length: T.
        chunks: number of chunks; steps that they leave over at the end are not looked at.
    """
    grid = Grid(1, chunks, length // chunks)
    x = row_of(xs)
    init, rows = jax.tree.map(lambda leaf: leaf[None], (init, jax.tree.map(lambda leaf: leaf[: grid.length], xs)))
    carry = row_of(init)
    patience = Patience(grid.block, grid.block // LONGEST_PART)
    found = forget(step, (carry, x), init, partial(grid.take, grid.cut(rows)), grid, patience)
    return found.met, found.row


def fill_rows(step: Step, init: Tree, xs: Tree, length: int, chunks: int) -> tuple[Tree, Tree]:
    """All steps of all chunks side by side, each chunk from the initial state: the work of a run without its answer.

    Args:
        step: ``(carry, x) -> (carry, y)``, a tree whose leaves are the arrays that it uses.
        init: initial carry, floating leaves.
        xs: inputs with leading axis T.
        length: T, a multiple of ``chunks``.
        chunks: their number.

    Returns:
        The states after the last row of every chunk, and the outputs with leading axis T.
    """
    grid = Grid(1, chunks, length // chunks)
    example = (init, jax.tree.map(lambda leaf: leaf[0], xs))
    init, rows = jax.tree.map(lambda leaf: leaf[None], (init, xs))
    cut, states = grid.cut(rows), grid.spread(init)
    closed = close_over(step, *jax.eval_shape(lambda: example))
    forward = partially_evaluated(
        closed_over_chunks, closed, states, jax.eval_shape(lambda: grid.take(cut, jnp.int32(0)))
    )

    def advance(row: Array, state: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        states, y = forward(state[0], grid.take(cut, row))
        return states, grid.put(state[1], y, row)

    room = grid.room(closed.shapes[1])
    states, ys = jax.lax.fori_loop(0, grid.block, advance, (states, room))
    return states, jax.tree.map(lambda leaf: leaf[0], grid.joined(ys))
