"""Whether a scan is run in chunks: for one sequence, for a batch of them under ``jax.vmap``, and on a mesh.

Under ``jax.vmap`` a branch whose condition differs between batch elements runs both of its sides. So the batching is
done here: the sequences of a batch become further chunks of one run, with one decision for all.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from ..programs.built_in import here
from ..programs.closure import close_over
from ..programs.cost import EVERY_BATCH, Kind
from ..programs.device_axis import DeviceAxis
from ..programs.machine import Machine
from ..programs.platform import platform_of
from ..programs.shapes import row_of
from ..programs.work import Work, as_work
from ..solution import Tree
from .acceptance import COMPARED
from .batch import merged
from .chunk_count import LONGEST_PART, Patience, choose_chunks, choose_patience
from .engine import Way, no_blocks, run_blocks, scan_steps
from .grid import Grid
from .plain_loop import AbstractTally, State, Steps
from .warm_up import Step

SHORTEST_BLOCK_AT_ALL = 4 * COMPARED
"""Least steps of a chunk, also where the user gives their number: room for the compared steps and for a warm-up."""


class Layout(eqx.Module):
    """Sizes and options of a run, which are known before it is traced.

    Attributes:
        length: T, steps.
        size: D, entries of a state.
        work: what a step computes, or its operations alone.
        reverse: whether time runs from the last row to the first.
        spread: devices that the sequence is cut over; None for one.
        chunks: chunks of one sequence on each device; None to choose by the sizes.
        batch: sequences that are known to run at once.
        trial: steps after which a system that is not on its way to forget is given up; None for as many as take a small
            part of the sequential time.
        kind: of the step; by its work when None.
        largest_batch: most sequences at once for which chunks are worth it on a CPU.
        double: whether states are of double precision.
        copy: part of the sequential time that copying inputs and outputs takes; by the work when None.
        prepared: whether steps one after the other find computed what needs no carry, for all of them at once.
        known: record of the machine; what is known of this one without measuring when None.
        tolerance: distance that the user accepts where two chunks meet, as for ``acceptance.allowances``.
        visited: whether copies start from states that other chunks have reached.
    """

    length: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    work: Work = eqx.field(static=True, converter=as_work)
    reverse: bool = eqx.field(static=True, default=False)
    spread: DeviceAxis | None = eqx.field(static=True, default=None)
    chunks: int | None = eqx.field(static=True, default=None)
    batch: int = eqx.field(static=True, default=1)
    trial: int | None = eqx.field(static=True, default=None)
    kind: Kind | None = eqx.field(static=True, default=None)
    largest_batch: int = eqx.field(static=True, default=EVERY_BATCH)
    double: bool = eqx.field(static=True, default=False)
    copy: float | None = eqx.field(static=True, default=None)
    prepared: bool = eqx.field(static=True, default=False)
    known: Machine | None = eqx.field(static=True, default=None)
    tolerance: float = eqx.field(static=True, default=0.0)
    visited: bool = eqx.field(static=True, default=False)

    @property
    def machine(self) -> Machine:
        """The record of the machine that the run is for."""
        return self.known or here(self.platform, double=self.double)

    @property
    def devices(self) -> int:
        """Number of devices."""
        return 1 if self.spread is None else self.spread.size

    @property
    def platform(self) -> str | None:
        """The platform of the devices; None where they are not known, for the default platform."""
        return None if self.spread is None else self.spread.platform

    @property
    def launched(self) -> bool:
        """Whether the run waits for kernels to start, so that several rows are taken in one turn of a loop."""
        return self.spread is None and platform_of() != "cpu"

    @property
    def uncut(self) -> str:
        """Why the sequence is not cut, in a sentence."""
        if self.chunks is None:
            return f"no cut of its {self.length} steps into chunks is expected to be faster by enough"
        block = self.length // (self.chunks * self.devices)
        return (
            f"it is short: {self.length} steps in {self.chunks * self.devices} chunks make {block} a chunk, "
            f"which needs {SHORTEST_BLOCK_AT_ALL}"
        )

    def grid(self, batch: int) -> Grid | None:
        """How a batch of sequences is cut, or None for one step after the other."""
        chunks = self.chunks
        if chunks is None:
            sizes = self.length, self.size, self.work, batch, self.devices
            facts = self.platform, self.kind, self.largest_batch
            chunks = choose_chunks(*sizes, *facts, double=self.double, copy=self.copy, machine=self.machine)
        block = self.length // max(chunks * self.devices, 1)
        turn = COMPARED if self.launched else 1
        if self.chunks is None:
            block -= block % turn
        if chunks == 0 or block < SHORTEST_BLOCK_AT_ALL:
            return None
        axis = None if self.spread is None else self.spread.names
        rest = self.length - self.devices * chunks * block
        turn = 1 if block % turn else turn
        return Grid(batch, chunks, block, self.reverse, axis, self.devices, rest, turn, self.prepared)


def scan_blocks(step: Step, init: Tree, xs: Tree, layout: Layout) -> tuple[Tree, Tree, Way]:
    """Final carry and outputs, as ``jax.lax.scan`` returns them, and which way they came; not to be differentiated.

    Args:
        step: ``(carry, x) -> (carry, y)``, a tree whose leaves are the arrays that it uses.
        init: initial carry, floating leaves.
        xs: inputs with leading axis T.
        layout: sizes and choices.
    """
    (carry, ys, _), way = _of_one(step, init, xs, layout)
    return carry, ys, way


def tally_blocks(step: AbstractTally, init: Tree, xs: Tree, layout: Layout) -> State:
    """Final carry, outputs, and totals over all steps of a step that has them; not to be differentiated.

    Args:
        step: a step that also says what it adds to the totals.
        init: initial carry, floating leaves.
        xs: inputs with leading axis T.
        layout: sizes and choices.
    """
    return _of_one(step, init, xs, layout)[0]


def _of_one(step: Step, init: Tree, xs: Tree, layout: Layout) -> tuple[State, Way]:
    """Results of a single sequence, and which way they came."""
    if not isinstance(step, AbstractTally):
        with jax.numpy_dtype_promotion("standard"):
            x = row_of(xs)
            step = close_over(step, jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), init), x)
    one = jax.tree.map(lambda leaf: leaf[None], (init, xs))
    (carry, ys, totals), way = _batch(step, *one, layout=layout)
    return (*jax.tree.map(lambda leaf: leaf[0], (carry, ys)), totals), way


def _batch(step: Step, init: Tree, xs: Tree, *, layout: Layout) -> tuple[State, Way]:
    """A batch of sequences, with a rule for a batch of batches; leaves of ``xs`` are ``[N or 1, T, ...]``."""
    batch = jax.tree.leaves(init)[0].shape[0]
    run = jax.custom_batching.custom_vmap(partial(_evaluate, layout=layout))

    @run.def_vmap
    def rule(count: int, mapped: list[Tree], step: Step, *args: Tree) -> tuple[tuple[State, Way], Tree]:
        if count == 1:
            one = jax.tree.map(lambda leaf, flag: leaf[0] if flag else leaf, (step, *args), tuple(mapped))
            out = jax.tree.map(lambda leaf: leaf[None], _batch(*one, layout=layout))
        # Totals are those of one sequence, which chunks of several would mix.
        elif any(jax.tree.leaves(mapped[0])) or isinstance(step, AbstractTally):
            axes = jax.tree.map(lambda flag: 0 if flag else None, mapped)
            out = jax.vmap(partial(_one_by_one, layout=layout), in_axes=tuple(axes), axis_size=count)(step, *args)
        else:
            init, xs = (
                jax.tree.map(partial(merged, count, batch, keep), part, flags)
                for part, flags, keep in zip(args, mapped[1:], (False, True), strict=True)
            )
            (carry, ys, totals), way = _batch(step, init, xs, layout=layout)
            carry, ys = jax.tree.map(lambda leaf: leaf.reshape(count, batch, *leaf.shape[1:]), (carry, ys))
            totals, way = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), (totals, way))
            out = (carry, ys, totals), way
        return out, jax.tree.map(lambda _: True, out)

    return run(step, init, xs)


def _evaluate(step: Step, init: Tree, xs: Tree, *, layout: Layout) -> tuple[State, Way]:
    """The run under JAX's standard rules for promoting dtypes: the step has been traced already, under the user's."""
    with jax.numpy_dtype_promotion("standard"):
        return _in_blocks(step, init, xs, layout=layout)


def _in_blocks(step: Step, init: Tree, xs: Tree, *, layout: Layout) -> tuple[State, Way]:
    """A batch of sequences in chunks; the steps that these leave over are taken one after the other."""
    batch = jax.tree.leaves(init)[0].shape[0]
    grid = layout.grid(batch)
    if grid is None:
        return _one_by_one(step, init, xs, layout=layout)
    run: Callable[..., tuple[State, Way]] = partial(run_blocks, grid=grid, patience=patience_of(layout, grid))
    if layout.spread is not None:
        shared, rows = PartitionSpec(), layout.spread.rows(1)
        run = layout.spread.over(run, (shared, shared, rows), ((shared, rows, shared), shared))
    if grid.rest == 0:
        return run(step, init, xs)

    def finish(state: State, steps: Steps) -> State:
        carry, ys, totals = state
        cut = (0, grid.rest) if layout.reverse else (grid.length, layout.length)
        carry, more, others = steps(carry, _rows(xs, *cut), grid.rest, reverse=layout.reverse)
        parts = (more, ys) if layout.reverse else (ys, more)
        ys = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *parts)
        return carry, ys, jax.tree.map(jnp.add, totals, others)

    if grid.axis is not None:
        rows = _rows(xs, *((grid.rest, layout.length) if layout.reverse else (0, grid.length)))
        state, way = run(step, init, rows)
        return finish(state, partial(scan_steps, step)), way
    return run(step, init, xs, finish=finish)


def patience_of(layout: Layout, grid: Grid) -> Patience:
    """How long the system may take to forget its start."""
    sizes = grid.block, grid.chunks, layout.work, grid.batch
    chosen = choose_patience(*sizes, layout.platform, layout.kind, layout.machine)
    trial = chosen.trial if layout.trial is None else layout.trial
    if grid.turn > 1:
        # A row that is taken twice costs no more launches than one in a longer chunk.
        return Patience(trial, grid.block - COMPARED, None, layout.visited, layout.tolerance)
    # Who names the number of chunks, or has measured, knows that they are a gain.
    most = chosen.most if layout.chunks is None and layout.trial is None else grid.block // LONGEST_PART
    return Patience(trial, most, chosen.gap, layout.visited, layout.tolerance)


def _rows(xs: Tree, first: int, end: int) -> Tree:
    """Some rows of inputs ``[N or 1, T, ...]``."""
    return jax.tree.map(lambda leaf: leaf[:, first:end], xs)


def _one_by_one(step: Step, init: Tree, xs: Tree, *, layout: Layout) -> tuple[State, Way]:
    """A batch of sequences one step after the other."""
    options = {"reverse": layout.reverse, "spread": layout.spread, "prepared": layout.prepared}
    return scan_steps(step, init, xs, layout.length, **options), no_blocks()
