"""A sequence run as chunks side by side when the system forgets its start, and step by step when it does not.

All chunks but the first start from an arbitrary state. Pairs of copies of some chunks, which run ahead of them on a CPU
and beside them elsewhere, tell by which row H such a start is forgotten. The chunks run to their end, and the end of
each is the true start of the next, from which the first H rows are then run. Where these meet row H, the two must agree
to rounding, by the rule of ``acceptance``, or else at a later row: that, and not the copies, judges the answer. If
copies part or the judgment fails, the steps are taken one after the other, in the same program.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Int

from ..programs.batching import closed_over_chunks, over_chunks
from ..programs.closure import Closed, close_over
from ..programs.device_axis import DeviceAxis
from ..programs.partial_evaluation import partially_evaluated
from ..programs.shapes import row_of
from ..solution import Tree
from .chunk_count import Patience
from .grid import Grid
from .in_kernels import PassesInKernels, advanced, in_kernels, scan_in_kernel
from .passes import Passes
from .passes_in_turns import PassesInTurns
from .plain_loop import AbstractTally, State, Steps, in_batch, in_place, no_totals, take_steps, tallying
from .repair import ONE_BY_ONE, repaired
from .warm_up import Step, forget, forget_ahead


class Way(NamedTuple):
    """Which way an answer came about.

    Attributes:
        chunks: chunks that it was put together from, over all devices; 0 where steps were taken one after the other.
        warm_up: rows of every chunk until its start was forgotten, or until that was given up.
        fell_back: whether chunks were tried and given up.
        redone: chunks that had not forgotten their starts, and were run again one step after the other.
    """

    chunks: Int[Array, ""]
    warm_up: Int[Array, ""]
    fell_back: Bool[Array, ""]
    redone: Int[Array, ""]


def no_blocks(*, fell_back: bool = False) -> Way:
    """The way of steps that are taken one after the other from the start.

    Args:
        fell_back: whether chunks were asked for.
    """
    return Way(jnp.int32(0), jnp.int32(0), jnp.asarray(fell_back), jnp.int32(0))


def _over_chunks(step: Step, carry: Tree, x: Tree) -> Callable[[Step, Tree, Tree], tuple[Tree, Tree, Tree]]:
    """A function that takes a step in many chunks at once, and also gives the sum of what it adds to totals."""
    if isinstance(step, Closed):
        return lambda step, carry, x: (*closed_over_chunks(cast(Closed, step), carry, x), ())
    return over_chunks(tallying(step), (False, True, True), step, carry, x, summed=(False, False, True))


def run_blocks(
    step: Step,
    init: Tree,
    xs: Tree,
    grid: Grid,
    patience: Patience,
    finish: Callable[[State, Steps], State] | None = None,
) -> tuple[State, Way]:
    """Final carry ``[N, ...]``, outputs ``[N, P B, ...]`` and totals of a batch of sequences, right in every case.

    Totals are those of one sequence on one device. With ``finish``, the results are those of all T steps.

    Args:
        step: the step of one sequence.
        init: initial carries, floating leaves ``[N, ...]``.
        xs: inputs, leaves ``[N or 1, T, ...]`` with T = P B or more; those of this device, when the grid goes over a
            mesh axis.
        grid: how the sequences are cut.
        patience: how long a system may take to forget its start.
        finish: takes the steps that the chunks leave over, from the results of these and by a function that takes steps
            one after the other; None where they leave none, or on a mesh axis. It is not called where the copies do not
            meet: then the plain loop takes all steps.
    """
    carry = row_of(init)
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), xs)
    zero = no_totals(step, carry, x)
    if isinstance(step, AbstractTally):
        grid = grid._replace(turn=1)
    closed = close_over(step, carry, x)
    example = jax.eval_shape(lambda: (grid.spread(init), grid.take(grid.cut(xs), jnp.int32(0))))
    forward = partially_evaluated(_over_chunks(step, carry, x), step, *example)
    fused = in_kernels(closed, carry, x, grid)
    steps: Steps = partial(take_steps, step) if fused is None else partial(scan_in_kernel, fused, closed)
    if grid.turn > 1:
        blocks = grid.cut(xs)
        stretch = None if fused is None else partial(advanced, fused, blocks, grid)
        forgotten = forget(closed, (carry, x), init, partial(grid.take_turn, blocks), grid, patience, stretch)
    elif patience.gap is not None:
        forgotten = forget_ahead(closed, (carry, x), init, xs, grid, patience)
    else:
        # Inputs beyond the chunks make the cutting a copy, which is of no use to a system that does not forget.
        take = partial(grid.take, grid.cut(xs)) if finish is None else partial(grid.picked, xs)
        forgotten = forget(closed, (carry, x), init, take, grid, patience)

    def side_by_side() -> tuple[State, Way]:
        given = closed, forward, init, zero, grid, forgotten, patience.tolerance
        kind = PassesInTurns if grid.turn > 1 else Passes
        passes = kind(*given) if fused is None else PassesInKernels(*given, fused)
        last = passes.run(grid.cut(xs), grid.room(closed.shapes[1]))
        if grid.axis is None and grid.turn == 1 and not isinstance(step, AbstractTally):
            given = init, grid.own(xs), grid.joined(last.ys)
            carry, ys, anew, redone = repaired(step, *given, grid, passes.refused(last))
            done = _select(anew, carry, grid.final(last.ends)), ys, last.totals
            kept = redone < grid.chunks
            way = Way(_counted(grid.chunks, kept), forgotten.horizon, ~kept, jnp.where(kept, redone, 0))
            return done if finish is None else finish(done, steps), way
        agreed = jnp.all(last.excess <= 1)
        carry, totals = _select(agreed, (grid.final(last.ends), last.totals), (init, zero))
        before = grid.joined(last.ys), totals, ~agreed
        if fused is None:
            done = grid.together(run_steps(step, carry, grid.own(xs), grid, *before))
        else:
            own = grid.own(xs)
            done = scan_in_kernel(fused, closed, carry, own, grid.length, reverse=grid.reverse, before=before)
        way = Way(_counted(grid.chunks * grid.devices, agreed), forgotten.horizon, ~agreed, jnp.int32(0))
        return done if finish is None else finish(done, steps), way

    def one_by_one() -> tuple[State, Way]:
        way = Way(jnp.int32(0), forgotten.horizon, jnp.asarray(True), jnp.int32(0))
        if grid.axis is None:
            whole = partial(scan_steps, step, prepared=grid.prepared) if fused is None else steps
            return whole(init, xs, grid.length + grid.rest, reverse=grid.reverse), way
        return _one_device_after_the_other(step, init, xs, grid), way

    return jax.lax.cond(forgotten.met, side_by_side, one_by_one)


def scan_steps(
    step: Step,
    init: Tree,
    xs: Tree,
    length: int,
    *,
    reverse: bool,
    spread: DeviceAxis | None = None,
    prepared: bool = False,
) -> State:
    """As ``take_steps``; over devices that divide the steps, one device takes its steps after the other."""
    if spread is None or not spread.divides(length):
        return take_steps(step, init, xs, length, reverse=reverse, prepared=prepared)
    batch = jax.tree.leaves(init)[0].shape[0]
    grid = Grid(batch, 1, length // spread.size, reverse, spread.names, spread.size, prepared=prepared)
    shared, rows = PartitionSpec(), spread.rows(1)
    run = partial(_one_device_after_the_other, grid=grid)
    return spread.over(run, (shared, shared, rows), (shared, rows, shared))(step, init, xs)


def _counted(chunks: int, kept: Bool[Array, ""]) -> Int[Array, ""]:
    """A number of chunks, or 0 where none was kept."""
    return jnp.where(kept, chunks, 0).astype(jnp.int32)


def _select(first: Bool[Array, ""], one: Tree, other: Tree) -> Tree:
    """The one tree where a flag is true, else the other."""
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


def run_steps(
    step: Step, init: Tree, xs: Tree, grid: Grid, ys: Tree, totals: Tree, wanted: Bool[Array, ""]
) -> tuple[Tree, Tree, Tree]:
    """The results one step after the other if they are wanted, else ``init``, ``ys`` and ``totals`` as they are.

    It is a loop, of no turns where they are not wanted, since a branch would copy the outputs; where it does turn it is
    a little slower than ``jax.lax.scan``. On a mesh axis one device follows the other.
    """
    if grid.batch == 1:
        # Without the axis of the batch, so that XLA compiles what it compiles for ``jax.lax.scan``.
        init, xs, ys = (jax.tree.map(lambda leaf: leaf[0], tree) for tree in (init, xs, ys))
        carry, ys, totals = _turns(partial(tallying(step), step), (init, ys, totals), xs, grid, wanted, time=0)
        return *jax.tree.map(lambda leaf: leaf[None], (carry, ys)), totals
    return _turns(in_batch(step, xs, grid.batch), (init, ys, totals), xs, grid, wanted, time=1)


def _turns(
    step: Callable[[Tree, Tree], State],
    start: State,
    xs: Tree,
    grid: Grid,
    wanted: Bool[Array, ""],
    time: int,
) -> State:
    """The loop over the rows of each device."""
    length = grid.chunks * grid.block
    one = in_place(step, xs, length, reverse=grid.reverse, time=time)

    def rows(wanted: Bool[Array, ""], state: State) -> State:
        with jax.named_scope(ONE_BY_ONE):
            return jax.lax.fori_loop(0, jnp.where(wanted, length, 0), one, state)

    return rows(wanted, start) if grid.axis is None else _device_by_device(rows, start, grid, wanted)


def _one_device_after_the_other(step: Step, init: Tree, xs: Tree, grid: Grid) -> State:
    """The results of all devices by the plain loop; ``xs`` are the inputs of this device."""
    shapes = jax.eval_shape(partial(_own_steps, step, init, xs, grid))
    ys, totals = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes[1:])
    rows = partial(_scan_if, step, xs, grid)
    return grid.together(_device_by_device(rows, (init, ys, totals), grid, jnp.asarray(True)))


def _own_steps(step: Step, init: Tree, xs: Tree, grid: Grid) -> State:
    """``jax.lax.scan`` over the rows of this device."""
    return scan_steps(step, init, xs, grid.chunks * grid.block, reverse=grid.reverse, prepared=grid.prepared)


def _scan_if(step: Step, xs: Tree, grid: Grid, wanted: Bool[Array, ""], state: State) -> State:
    """``jax.lax.scan`` over the rows of this device, if it is wanted."""

    def scanned() -> State:
        carry, ys, totals = _own_steps(step, state[0], xs, grid)
        return carry, ys, jax.tree.map(jnp.add, state[2], totals)

    return jax.lax.cond(wanted, scanned, lambda: state)


def _device_by_device(
    rows: Callable[[Bool[Array, ""], State], State], start: State, grid: Grid, wanted: Bool[Array, ""]
) -> State:
    """The results of all devices, each of which takes its rows when it is its turn."""

    def turn(index: Array, state: State) -> State:
        source = grid.devices - 1 - index if grid.reverse else index
        carry, ys, totals = rows(jax.lax.axis_index(grid.axis or ()) == source, state)
        return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, grid.axis or ())[source], carry), ys, totals

    return jax.lax.fori_loop(0, jnp.where(wanted, grid.devices, 0), turn, start)
