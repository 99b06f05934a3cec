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
from ..programs.kernels import RowKernel
from ..programs.partial_evaluation import partially_evaluated
from ..programs.shapes import row_of
from ..solution import Tree
from .chunk_count import Patience
from .grid import Grid
from .in_kernels import PassesInKernels, advanced, in_kernels, scan_in_kernel
from .passes import Passes
from .passes_in_turns import PassesInTurns
from .plain_loop import AbstractTally, State, Steps, no_totals, take_steps, tallying
from .repair import ONE_BY_ONE, repaired
from .warm_up import Forgotten, Step, forget, forget_ahead


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
    forgotten = _warmed_up(closed, (carry, x), init, xs, grid, patience, fused, whole=finish is None)

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
        carry = _select(agreed, grid.final(last.ends), init)
        done = carry, grid.joined(last.ys), grid.together(last.totals)
        if fused is None:
            done = _replaced(~agreed, done, partial(one_by_one, grid.length), grid.own(xs))
        else:
            before = *done[1:], ~agreed
            done = scan_in_kernel(fused, closed, carry, grid.own(xs), grid.length, reverse=grid.reverse, before=before)
        way = Way(_counted(grid.chunks * grid.devices, agreed), forgotten.horizon, ~agreed, jnp.int32(0))
        return done if finish is None else finish(done, steps), way

    def one_by_one(length: int, init: Tree, xs: Tree) -> State:
        if grid.axis is not None:
            return _one_device_after_the_other(step, init, xs, grid)
        whole = partial(scan_steps, step, prepared=grid.prepared) if fused is None else steps
        return whole(init, xs, length, reverse=grid.reverse)

    def given_up() -> tuple[State, Way]:
        way = Way(jnp.int32(0), forgotten.horizon, jnp.asarray(True), jnp.int32(0))
        return one_by_one(grid.length + grid.rest, init, xs), way

    return jax.lax.cond(forgotten.met, side_by_side, given_up)


def _warmed_up(
    closed: Closed,
    example: tuple[Tree, Tree],
    init: Tree,
    xs: Tree,
    grid: Grid,
    patience: Patience,
    fused: RowKernel | None,
    *,
    whole: bool,
) -> Forgotten:
    """What coupled copies show: several rows in a turn, ahead of all chunks, or beside them.

    Args:
        closed: the step of one sequence.
        example: shapes of its arguments.
        init: initial carries ``[N, ...]``.
        xs: inputs ``[N or 1, T, ...]``.
        grid: how the sequences are cut.
        patience: how long a system may take to forget its start.
        fused: the step as a kernel, where there is one.
        whole: whether the chunks leave no step over.
    """
    if grid.turn > 1:
        blocks = grid.cut(xs)
        stretch = None if fused is None else partial(advanced, fused, blocks, grid)
        return forget(closed, example, init, partial(grid.take_turn, blocks), grid, patience, stretch)
    if patience.gap is not None:
        return forget_ahead(closed, example, init, xs, grid, patience)
    # Inputs beyond the chunks make the cutting a copy, which is of no use to a system that does not forget.
    take = partial(grid.take, grid.cut(xs)) if whole else partial(grid.picked, xs)
    return forget(closed, example, init, take, grid, patience)


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


def _replaced(wanted: Bool[Array, ""], done: State, steps: Callable[[Tree, Tree], State], xs: Tree) -> State:
    """The results of steps from the carry on where they are wanted, else those that are there.

    A loop of one turn or none: a branch would copy the results where they stay.
    """

    def turn(_: Array, done: State) -> State:
        # XLA would move out of the loop, and so compute in any case, what does not depend on its state.
        return steps(*jax.lax.optimization_barrier((done[0], xs)))

    with jax.named_scope(ONE_BY_ONE):
        return jax.lax.fori_loop(0, jnp.where(wanted, 1, 0), turn, done)


def _one_device_after_the_other(step: Step, init: Tree, xs: Tree, grid: Grid) -> State:
    """The results of all devices by the plain loop, where each takes its rows in its turn; ``xs`` are this device's."""

    def own(init: Tree) -> State:
        return scan_steps(step, init, xs, grid.chunks * grid.block, reverse=grid.reverse, prepared=grid.prepared)

    def turn(index: Array, state: State) -> State:
        source = grid.devices - 1 - index if grid.reverse else index
        mine = jax.lax.axis_index(grid.axis or ()) == source
        carry, ys, totals = jax.lax.cond(mine, lambda: own(state[0]), lambda: state)
        return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, grid.axis or ())[source], carry), ys, totals

    none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(own, init)[1:])
    carry, ys, totals = jax.lax.fori_loop(0, grid.devices, turn, (init, *none))
    return carry, ys, grid.together(totals)
