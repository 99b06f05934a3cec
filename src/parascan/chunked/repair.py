"""Chunks that had not forgotten their starts, run again one step after the other from their true ones.

A chunk is run from the end of the chunk before it up to the junction. There it is judged against the run from an
arbitrary start, by the rule of ``acceptance``, as it was when all chunks ran side by side. If it is accepted now, what
that run gave from there on stands, and so does everything up to the next chunk that was refused. If not, the chunk is
run to its end, and the next one is judged from there.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..solution import Tree
from .acceptance import COMPARED, excess
from .grid import Grid, row_at
from .part_rows import PARTS, in_one_part, part_rows, up_to_junction
from .plain_loop import State, in_batch, in_place, tallying
from .warm_up import Step

MOST = 0.5
"""Largest part of the chunks that may be refused for the others to be kept: where most have not forgotten their starts,
hardly any would be accepted from a new one, and to judge each of them costs a little."""

HEAD, BODY = 0, 1
"""The rows of a chunk up to the junction, and those that follow it."""

START, JUNCTION, END = range(3)
"""Marks of rows of a chunk: the first one, the junction, and the end."""

ONE_BY_ONE = "one_by_one"
"""Name of the loop over single steps, after chunks that were given up, in compiled programs and profiles."""


class Refused(NamedTuple):
    """What is known of the chunks of a batch of sequences, of which some were refused.

    Attributes:
        refused: which were, in any of the sequences ``[P]``, in the order of time.
        starts: their starts, where each chunk before was accepted ``[P, N, ...]``.
        other: states after the compared rows on the runs from arbitrary starts ``[P, COMPARED, N, ...]``.
        allowed: distance that was accepted there ``[P, COMPARED, N, ...]``.
        junction: the row where they were judged.
    """

    refused: Bool[Array, " P"]
    starts: Tree
    other: Tree
    allowed: Tree
    junction: Int[Array, ""]


class _Progress(NamedTuple):
    """How far the repair has come.

    Attributes:
        chunk: that is at work.
        part: ``HEAD`` or ``BODY``.
        joined: whether the states so far end where the next chunk has started.
        carry: states ``[N, ...]``.
        kept: states before and after the compared rows ``[PARTS, N, ...]``.
        ys: outputs ``[N, P B, ...]``.
        redone: chunks that were run to their end.
    """

    chunk: Int[Array, ""]
    part: Int[Array, ""]
    joined: Bool[Array, ""]
    carry: Tree
    kept: Tree
    ys: Tree
    redone: Int[Array, ""]


def repaired(
    step: Step, init: Tree, xs: Tree, ys: Tree, grid: Grid, found: Refused
) -> tuple[Tree, Tree, Bool[Array, ""], Int[Array, ""]]:
    """Final carry where it is a new one, outputs, whether the carry is new, and how many chunks were run again.

    A chunk that had been accepted is judged by what was allowed then: if it is accepted again, its states there are the
    same up to rounding. One that had been refused is not judged again.

    Args:
        step: of one sequence.
        init: initial carries ``[N, ...]``.
        xs: inputs ``[N or 1, P B, ...]``.
        ys: outputs ``[N, P B, ...]``.
        grid: how the sequences are cut.
        found: which chunks were refused.
    """
    if grid.batch > 1:
        return _repaired(in_batch(step, xs, grid.batch), (init, xs, ys), grid, found, time=1)

    def without_batch(tree: Tree, axis: int = 0) -> Tree:
        return jax.tree.map(lambda leaf: leaf.take(0, axis), tree)

    # So that XLA compiles what it compiles for ``jax.lax.scan``.
    starts, other, allowed = (
        without_batch(*each) for each in ((found.starts, 1), (found.other, 2), (found.allowed, 2))
    )
    found = found._replace(starts=starts, other=other, allowed=allowed)
    one, given = partial(tallying(step), step), without_batch((init, xs, ys))
    carry, ys, is_new, redone = _repaired(one, given, grid, found, time=0)
    carry, ys = jax.tree.map(lambda leaf: leaf[None], (carry, ys))
    return carry, ys, is_new, redone


def _repaired(
    step: Callable[[Tree, Tree], State],
    given: tuple[Tree, Tree, Tree],
    grid: Grid,
    found: Refused,
    time: int,
) -> tuple[Tree, Tree, Bool[Array, ""], Int[Array, ""]]:
    """As ``repaired``, of initial carries, inputs and outputs, with or without an axis of the batch before time."""
    init, xs, ys = given
    some = jnp.mean(found.refused) <= MOST
    one = in_place(step, xs, grid.chunks * grid.block, reverse=grid.reverse, time=time)
    stretches = up_to_junction(START, JUNCTION), in_one_part(JUNCTION, END)
    bounds = part_rows([0, found.junction, grid.block], *stretches)

    def advance(at: _Progress) -> _Progress:
        chunk = jnp.where(at.joined, jnp.argmax(_ahead(found, at)).astype(jnp.int32), at.chunk)
        carry = jax.tree.map(partial(jnp.where, at.joined), row_at(found.starts, chunk), at.carry)
        first, is_head, parts = chunk * grid.block, at.part == HEAD, row_at(bounds, at.part)

        def part(index: Int[Array, ""], state: tuple[Tree, Tree, Tree]) -> tuple[Tree, Tree, Tree]:
            carry, kept, ys = state
            begin, end = first + row_at(parts, index)
            carry, ys, _ = jax.lax.fori_loop(begin, end, one, (carry, ys, ()))
            keep = partial(jax.lax.dynamic_update_index_in_dim, index=index, axis=0, allow_negative_indices=False)
            return carry, jax.tree.map(keep, kept, carry), ys

        carry, kept, ys = jax.lax.fori_loop(0, PARTS, part, (carry, at.kept, at.ys))
        runs = jax.tree.map(lambda leaf: leaf[1:], kept), row_at(found.other, chunk), row_at(found.allowed, chunk)
        # Rows without an axis of the batch get one of length one, in whose place chunks are otherwise.
        apart = excess(*jax.tree.map(lambda leaf: leaf.reshape(COMPARED, grid.batch, -1), runs))
        accepted = is_head & some & ~row_at(found.refused, chunk) & jnp.all(apart <= 1)
        goes_on = is_head & ~accepted
        return _Progress(
            jnp.where(goes_on, chunk, chunk + 1),
            jnp.where(goes_on, BODY, HEAD).astype(jnp.int32),
            accepted,
            carry,
            kept,
            ys,
            at.redone + goes_on,
        )

    kept = jax.tree.map(lambda leaf: jnp.zeros((PARTS, *leaf.shape), leaf.dtype), init)
    begin = _Progress(jnp.int32(0), jnp.int32(HEAD), some, init, kept, ys, jnp.int32(0))
    with jax.named_scope(ONE_BY_ONE):
        last = jax.lax.while_loop(partial(_waiting, found), advance, begin)
    return last.carry, last.ys, ~last.joined, last.redone


def _ahead(found: Refused, at: _Progress) -> Bool[Array, " P"]:
    """Which chunks were refused and are yet to come."""
    return found.refused & (jnp.arange(len(found.refused)) >= at.chunk)


def _waiting(found: Refused, at: _Progress) -> Bool[Array, ""]:
    """Whether a chunk is yet to be run again, or judged anew."""
    return jnp.where(at.joined, jnp.any(_ahead(found, at)), at.chunk < len(found.refused))
