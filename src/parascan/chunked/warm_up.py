"""The warm-up: the rows in which chunks forget their arbitrary starts, measured by coupled copies of some chunks."""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..programs.batching import closed_over_chunks
from ..programs.closure import close_over
from ..programs.partial_evaluation import partially_evaluated
from ..programs.unrounded import exact_entries
from ..solution import Tree
from .acceptance import COMPARED
from .chunk_count import BETWEEN_CHECKS, Patience, followed
from .coupled_copies import CoupledCopies, goal
from .grid import Grid

MARGIN = 8
"""The warm-up is longer than the copies took to meet by one in so many rows, since chunks without a copy may forget a
little later. Without it half of the networks had to be run again; with it none of 69."""

PUNCTUAL, NEARLY = 0.8, 0.85
"""Copies have to come nearly together within the first part of the rows allowed; nearly is the second part of the way
to meeting, on a logarithmic scale."""

UNDER_WAY = 0.25
"""Part of the way that copies must have come in half of the rows, on the scale of their recent states: where the states
themselves decay, the copies come closer without forgetting their start."""

FLOOR = 32.0
"""Distance, in units of what counts as agreement, from which copies that come no closer have met too: where a step adds
up many entries and forgets slowly, rounding itself holds them apart. They were 1 to 4 units apart in Kalman filters of
3 to 6 states, and up to 22 in one of 8, whose junctions were all accepted."""

CLOSE = 1e-3
"""Largest such distance as a part of the magnitude of a state: the units of narrow dtypes are larger."""

STALLED = 8
"""Copies come no closer where their distance has not halved for one in so many of the rows that they have taken: on
the way from where they set out it halves more than 20 times."""

PART_TO_VISIT = 4
"""One in so many rows of the trial is for chunks to come to where copies of others set out from, where they do so."""

WARM_UP = "warm_up"
"""Name of the loop over the warm-up in compiled programs and profiles."""

FEW_INPUTS = 8
"""Entries of the inputs of a step up to which those of all rows that copies may take are laid out beforehand: XLA takes
a row of them within its loop then. Of larger inputs that would be a copy in vain where a start is not forgotten."""

Step = Callable[[Tree, Tree], tuple[Tree, Tree]]
"""``(carry, x) -> (carry, y)``, a tree whose leaves are the arrays that it uses."""


Stretch = Callable[[Tree, Array, tuple[Array, Array]], Tree]
"""The states after some rows, from those before them, the chunk whose inputs each of them takes, and the rows."""


class _Following(NamedTuple):
    """Copies that are followed until they have met or are given up.

    Attributes:
        row: the next one.
        apart: distance of the copies, in units of what counts as agreement.
        fallen: logarithm of the part that is left of it.
        first: distance at the first look.
        lowest: distance when it had last halved.
        since: row of that look.
        states: of the chunks and their copies.
        recent: magnitudes of the states at the last look.
    """

    row: Int[Array, ""]
    apart: Float[Array, ""]
    fallen: Float[Array, ""]
    first: Float[Array, ""]
    lowest: Float[Array, ""]
    since: Int[Array, ""]
    states: Tree
    recent: Tree


class Forgotten(NamedTuple):
    """What the coupled copies show about the warm-up.

    Attributes:
        met: whether the copies met.
        row: the row where they met, or were given up.
        horizon: H, some rows later, by which chunks without a copy are expected to have forgotten their start too.
        states: of all chunks at ``row`` ``[..., N P]``.
    """

    met: Bool[Array, ""]
    row: Int[Array, ""]
    horizon: Int[Array, ""]
    states: Tree


def forget(
    step: Step,
    example: tuple[Tree, Tree],
    init: Tree,
    take: Callable[[Array], Tree],
    grid: Grid,
    patience: Patience,
    stretch: Stretch | None = None,
) -> Forgotten:
    """Whether copies meet within the rows allowed, and from which row on all chunks have forgotten their starts.

    Args:
        step: the step of one sequence.
        example: shapes of its carry and inputs.
        init: initial carries, floating leaves ``[N, ...]``.
        take: the inputs ``[..., N P]`` of one step of every chunk; of each step of a turn where these are several.
        grid: how the sequences are cut.
        patience: how long a system may take to forget its start.
        stretch: runs the rows of a turn in one launch; None where they are launched one by one.
    """
    most = max(patience.most - COMPARED, 1) // grid.turn * grid.turn
    closed = close_over(step, *example)
    copies = CoupledCopies(grid.batch * grid.chunks, exact_entries(closed, *example), patience.tolerance)
    start, far = copies.start(grid.spread(init)), goal(init, patience.tolerance)
    advance = partially_evaluated(
        lambda step, carry, x: closed_over_chunks(step, carry, x)[0],
        closed,
        start,
        jax.eval_shape(lambda: copies.join(take(jnp.int32(0)) if grid.turn == 1 else take(jnp.int32(0))[0])),
    )

    def run(first: Array, end: Array, states: Tree) -> Tree:
        if stretch is not None:
            return stretch(states, copies.join(jnp.arange(grid.batch * grid.chunks, dtype=jnp.int32)), (first, end))
        if grid.turn > 1:
            for x in take(first):
                states = advance(states, copies.join(x))
            return states
        return jax.lax.fori_loop(first, end, lambda i, states: advance(states, copies.join(take(i))), states)

    def follow(state: _Following) -> _Following:
        row = state.row
        end = jnp.minimum(row + (_unlooked(row, patience) if grid.turn == 1 else grid.turn), most)
        states = run(row, end, state.states)
        # Copies start far outside of where the states of a system at rest will be, and until they have come there their
        # distance is as large as they are: the pace is measured in units of where they set out.
        shares = [jnp.where(now == 0, 0, now / first) for now, first in zip(copies.parted(states), begun, strict=True)]
        fallen = jnp.log(reduce(jnp.maximum, shares).astype(far.dtype))
        apart = copies.apart(states, state.recent)
        first, halved = jnp.where(row == set_out, apart, state.first), apart < state.lowest / 2
        lowest, since = jnp.where(halved, apart, state.lowest), jnp.where(halved, end, state.since)
        return _Following(end, apart, fallen, first, lowest, since, states, copies.magnitudes(states))

    infinite = jnp.asarray(jnp.inf, jnp.float32)
    set_out = _set_out(patience, grid)
    with jax.named_scope(WARM_UP):
        if patience.visited:
            once = grid.turn if grid.turn > 1 else max(set_out, 1)
            visits = jax.lax.fori_loop(0, set_out // once, lambda i, at: run(i * once, (i + 1) * once, at), start)
            start = copies.exchanged(visits)
        begun = copies.parted(start)
        begin, none = jnp.int32(set_out), jnp.zeros_like(far)
        before = _Following(begin, infinite, none, infinite, infinite, begin, start, copies.magnitudes(start))
        last = jax.lax.while_loop(partial(_going, patience.trial, most, far), follow, before)
    row, met = last.row, everywhere(_met(far, last), grid)
    further = jax.lax.div(row, jnp.int32(MARGIN)) if grid.turn == 1 else -(row // -(MARGIN * grid.turn)) * grid.turn
    horizon = jnp.where(met, jnp.minimum(row + further, most) + COMPARED, row)
    return Forgotten(met, row, horizon, copies.part(last.states))


def _met(far: Float[Array, ""], state: _Following) -> Bool[Array, ""]:
    """Whether copies agree to rounding, or are held apart by it alone.

    Args:
        far: logarithm of the part of their first distance at which copies agree.
        state: where they are.
    """
    # Not ``//``, which would also say how negative numbers are rounded.
    stalled = state.row - state.since > jax.lax.div(state.row, jnp.int32(STALLED))
    return (state.apart <= 1) | (stalled & (state.apart <= jnp.minimum(FLOOR, CLOSE * jnp.exp(-far))))


def _going(trial: int, most: int, far: Float[Array, ""], state: _Following) -> Bool[Array, ""]:
    """Whether copies that have not met are followed further."""
    # Distances start at about one in units of the scale, so their logarithm starts near zero. Seven tenths of the pace
    # that is needed will do at first, the whole of it from some rows on: what is given up late has cost most. But
    # whoever is nearly there when the time for it has come is let go on.
    part = state.row / max(PUNCTUAL * most, 1)
    needed = jnp.minimum(part * jnp.minimum(0.7 + 2 * part, 1), NEARLY)
    under_way = (2 * state.row < most) | (jnp.log(state.apart) <= jnp.log(state.first) + UNDER_WAY * far)
    hopeful = (state.row < trial) | ((state.fallen <= far * needed) & under_way)
    return (state.row < most) & ~_met(far, state) & hopeful


def _set_out(patience: Patience, grid: Grid) -> int:
    """The row at which copies set out, before which the chunks come to where they start from."""
    rows = min(patience.trial, max(patience.most - COMPARED, 1))
    return rows // PART_TO_VISIT // grid.turn * grid.turn if patience.visited else 0


def _unlooked(row: Int[Array, ""], patience: Patience) -> int | Int[Array, ""]:
    """Rows until the next look at the copies: more of them later where copies run ahead, which are cheap."""
    return BETWEEN_CHECKS if patience.gap is None else jnp.maximum(patience.gap, jax.lax.div(row, jnp.int32(MARGIN)))


def forget_ahead(
    step: Step, example: tuple[Tree, Tree], init: Tree, xs: Tree, grid: Grid, patience: Patience
) -> Forgotten:
    """As ``forget``, by pairs of copies alone: no chunk has begun when it is known how long the warm-up is.

    Where a step takes as long for a few chunks as for one, this is cheaper than to look at the copies of all chunks
    as they run, and it costs a system that does not forget next to nothing.

    Args:
        step: as for ``forget``.
        example: as for ``forget``.
        init: as for ``forget``.
        xs: inputs, leaves ``[N or 1, T, ...]``.
        grid: as for ``forget``.
        patience: as for ``forget``.
    """
    count, rows = followed(grid.chunks, grid.batch), max(patience.most, 1)
    few = grid._replace(chunks=count, block=rows, rest=0)
    if sum(math.prod(leaf.shape[2:]) for leaf in jax.tree.leaves(xs)) > FEW_INPUTS:
        take = partial(grid.picked, xs, count=count)
    else:
        take = partial(few.take, grid.windows(xs, count, rows))
    found = forget(step, example, init, take, few, patience)
    # The rows in which chunks came to where copies set out from are not part of the way from there until they meet.
    horizon = jnp.where(found.met, found.horizon - _set_out(patience, grid), found.horizon)
    return found._replace(row=jnp.zeros_like(found.row), horizon=horizon, states=grid.spread(init))


def everywhere(flag: Bool[Array, ""], grid: Grid) -> Bool[Array, ""]:
    """Whether a flag holds on all devices."""
    return flag if grid.axis is None else jax.lax.pmin(flag.astype(jnp.int32), grid.axis) > 0
