"""How many chunks to run side by side, decided from what is known while tracing: without a clock, always the same.

Seconds come from ``programs.cost`` and the machine's record. The constants here have no unit, or count steps, chunks,
vector registers or operations.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..programs.built_in import here
from ..programs.cost import (
    EVERY_BATCH,
    Kind,
    chunk_seconds,
    full_use,
    gain_of,
    in_one_loop,
    is_heavy,
    kind_of,
    step_seconds,
    use,
)
from ..programs.machine import Machine
from ..programs.platform import platform_of
from ..programs.work import FEW, Work, as_work
from .acceptance import COMPARED
from .coupled_copies import COPIES

SHORTEST_BLOCK = 128
"""Least steps of a chunk, so that those that are run twice are few among them."""

SHORTEST = 32 * SHORTEST_BLOCK
"""Steps below which a sequence is not worth cutting: 32 of the shortest chunks."""

SHORTEST_BLOCK_OF_LIGHT_STEPS, SHORTEST_BLOCK_IN_DOUBLE = 192, 512
"""Least steps of a chunk where a step computes little for each entry, so that more chunks gain little, and in double
precision, in which a start is forgotten after twice as many steps."""

BETWEEN_CHECKS = 4
"""Steps between two looks at the distance of the copies: a look costs as much as a small step."""

PART_OF_CACHE = 4
"""One in so many bytes of the nearest cache is for states of chunks; others for weights, inputs and values between."""

HALF, FEW_VECTORS, HEAVY_VECTORS = 0.5, 4, 8
"""Sizes of a state in vector registers, between which the number of chunks changes. States of up to half a register, of
one and of four take as many chunks as have room in the nearest cache; heavy steps with states of up to the last size
take twice as many as fill the registers."""

WORTH_FULL_VECTORS = 0.675
"""Least use of the vector units, as a part of full use, from which chunks are a gain on a CPU: 20 chunks, which fill no
whole vectors, took 1.2 times as long as one step after the other."""

LEAST_GAIN_WITH_COPY = 1.45
"""Least factor by which full chunks are to be faster with the copy that steps left over take: LSTMs of 8 and 9 units in
float64, of lengths that no good number divides, have 1.46 and 1.64 by count, and ran 2.1 to 2.6 times as fast."""

CROWDED, WAYS = 0.7, 4
"""Part of the use that is left where the rows of the chunks lie a multiple of a page apart and push one another out of
the nearest cache, and number of chunks for each place of the cache from which they do."""

TOGETHER = 4
"""Chunks of all sequences of a batch together, in units of those that fill the registers, where states are small or
steps heavy; elsewhere a batch has as many together as a single sequence."""

FEWEST_BLOCKS = 4
"""Least chunks of each sequence in a batch, or on each of several devices: fewer gain less than moving rows costs."""

COPY_OF_HEAVY_STEPS, LONG_BLOCK = 0.05, 512
"""Assumed cost of copying the outputs of heavy steps, as a part of their sequential time; and steps of a chunk from
which numbers of chunks are allowed that leave steps over, and so take a copy, although others divide the length."""

FIRST_CHECK = 16
"""Steps of copies that run ahead before the first look at them, and least steps between two: a look takes as long as
many small steps."""

IN_ONE_LOOP = 4
"""How much less it costs to set out a step of the copies that run ahead where XLA makes one loop of all of them."""

LONGEST_PART = 3
"""A system may take one in so many steps of a chunk to forget its start."""

LEAST_GAIN = 1.05
"""Least factor by which chunks have to be faster, with their warm-up counted."""

COST_OF_FORGETTING = 1.6
"""Cost of a step of the warm-up, in steps of the chunks: it runs the copies too; a quarter is added for safety."""

TRIAL_SHARE = 0.02
"""Part of the sequential time that may be spent on finding out that a system does not forget."""


def choose_chunks(
    length: int,
    size: int,
    work: float | Work,
    batch: int = 1,
    devices: int = 1,
    platform: str | None = None,
    kind: Kind | None = None,
    largest_batch: int = EVERY_BATCH,
    *,
    double: bool = False,
    copy: float | None = None,
    machine: Machine | None = None,
) -> int:
    """Chunks for each sequence on each device, or 0 where one step after the other is the better way.

    A batch is parallel work that is there already: it takes its share of the chunks.

    Args:
        length: T, steps of a sequence.
        size: D, entries of a state.
        work: what a step computes, or its operations alone.
        batch: N, sequences that run at once.
        devices: over which each sequence is spread.
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``; that of ``platform_of()`` when None.
        kind: of the step; by its work when None.
        largest_batch: most sequences at once for which chunks are worth it on a CPU.
        double: whether states are of double precision.
        copy: part of the sequential time that copying inputs and outputs takes, which steps left over cost; by the work
            when None.
        machine: that it runs on; this one, by what is known without measuring, when None.
    """
    if length < SHORTEST or size == 0:
        return 0
    platform, work, shortest = platform or platform_of(), as_work(work), SHORTEST_BLOCK
    machine = machine or here(platform, double=double)
    kind, heavy = kind or kind_of(work, size, machine), is_heavy(work, size, machine)
    if batch > largest_batch if platform == "cpu" else machine.full(batch, work.operations):
        return 0
    if platform == "cpu":
        alone, together = _room(size, machine, kind, heavy=heavy and size > FEW, double=double)
        if kind is not Kind.SMALL and (double or not heavy or size <= FEW):
            shortest = SHORTEST_BLOCK_IN_DOUBLE if double else SHORTEST_BLOCK_OF_LIGHT_STEPS
        most = min(alone, max(alone, together // devices) // batch)
        single = full_use(machine) // (1 if kind is Kind.NEAR else 2)
        fewest = single if batch == 1 and devices == 1 else FEWEST_BLOCKS
    else:
        alone = most = max(machine.near_bytes // PART_OF_CACHE // (4 * size * batch), 1)
        if devices == 1:
            return _fewest_rows(length, min(most, length // shortest))
        fewest = 1
    counts = _counts(min(most, length // (shortest * devices)), fewest)
    if not counts:
        return 0
    gain = gain_of(kind, machine)
    if copy is None or devices > 1:
        # On a mesh the copy is made even where the steps are then taken one after the other.
        copy = COPY_OF_HEAVY_STEPS if heavy else math.inf
    exact = [count for count in counts if length % (count * devices) == 0]
    long = LONG_BLOCK if exact else 2 * SHORTEST_BLOCK
    affordable = 1 / gain + copy < 1 / LEAST_GAIN
    # Over devices that divide the length, steps left over would move steps from device to device.
    affordable &= not (devices > 1 and exact and length % devices == 0)
    copied = [count for count in counts if affordable and (length >= long * count * devices or count == fewest)]
    if not exact and not copied:
        return 0

    def filled(count: int) -> float:
        return use(count * batch, machine) * min(1, alone / count)

    def value(count: int) -> float:
        share = 1 if count in exact else 1 / (1 + gain * copy)
        return filled(count) * share * _undisturbed(count, length // (count * devices), size, machine)

    best = max([*exact, *copied], key=value)
    least = min(WORTH_FULL_VECTORS, LEAST_GAIN_WITH_COPY / gain) / devices
    pays = filled(best) * devices >= WORTH_FULL_VECTORS and value(best) >= least
    return best if platform != "cpu" or pays else 0


def _undisturbed(count: int, rows: int, size: int, machine: Machine) -> float:
    """Part of the use that is left where the rows of the chunks push one another out of the nearest cache."""
    alike = rows * size * 8 % (machine.near_bytes // machine.near_ways) == 0
    return CROWDED if alike and size > FEW and count > WAYS * machine.near_ways else 1.0


def _fewest_rows(length: int, most: int) -> int:
    """Chunks with which a device that waits for its kernels to start has fewest of them to wait for.

    These are the rows of a chunk, in whole turns, and the steps that are left over, each of which takes one more.
    """

    def rows(count: int) -> int:
        block = length // count // COMPARED * COMPARED
        return block + length - count * block

    return min(_counts(most, 1), key=rows, default=0)


def _counts(most: int, fewest: int) -> Sequence[int]:
    """Numbers of chunks that may be chosen; none where the most is below the fewest."""
    return range(max(most // 4, fewest), most + 1) if most >= fewest else ()


def _room(size: int, machine: Machine, kind: Kind, *, heavy: bool, double: bool) -> tuple[int, int]:
    """Best number of chunks of one sequence on a CPU, and the most of a batch together.

    More chunks would not fill the vector registers better and would not fit the near caches. Products of heavy steps
    are faster the wider they are. In double precision fewer, longer chunks leave more steps for the warm-up.
    """
    full, held = full_use(machine), 4 * size / machine.vector_bytes
    if heavy:
        alone = 2 * full if held <= HEAVY_VECTORS else full
    else:
        fitting = next((vectors for vectors in (HALF, 1, FEW_VECTORS) if held <= vectors), None)
        alone = full if fitting is None else int(machine.near_bytes / PART_OF_CACHE / (fitting * machine.vector_bytes))
    if kind is Kind.SMALL:
        # A row of theirs costs little to set out.
        alone = full
    elif double:
        alone = min(alone, full)
    return alone, TOGETHER * full if heavy or held <= FEW_VECTORS else alone


def chunks_at_once(size: int, machine: Machine | None = None) -> int:
    """Most chunks that are worth running together, when there are many.

    Args:
        size: D, entries of a state.
        machine: that it runs on; this one, by what is known without measuring, when None.
    """
    platform = platform_of()
    machine = machine or here(platform)
    if platform != "cpu":
        return max(machine.near_bytes // PART_OF_CACHE // (4 * max(size, 1)), 1)
    # Large states come with their tangents here, of which the nearest cache holds fewer.
    large = 4 * size > FEW_VECTORS * machine.vector_bytes
    return full_use(machine) // 2 if large else _room(size, machine, Kind.OTHER, heavy=False, double=False)[0]


class Patience(NamedTuple):
    """How long a system may take to forget its start, and what counts as forgotten.

    Attributes:
        trial: rows after which it is given up unless it is on its way.
        most: rows after which it is given up in any case.
        gap: rows between two looks at pairs of copies that run ahead of all chunks, alone; None where copies run beside
            all chunks.
        visited: whether a copy starts from a state that another chunk has reached, and not from its own, moved far off.
        tolerance: distance that the user accepts where two chunks meet, as for ``acceptance.allowances``.
    """

    trial: int
    most: int
    gap: int | None = None
    visited: bool = False
    tolerance: float = 0.0


def followed(chunks: int, batch: int) -> int:
    """Chunks of each sequence that pairs of copies stand for, where they run ahead: a few in all.

    Args:
        chunks: of a sequence on a device.
        batch: N, sequences that run at once.
    """
    return max(min(COPIES // batch, chunks), 1)


def choose_patience(
    block: int,
    chunks: int,
    work: float | Work,
    batch: int = 1,
    platform: str | None = None,
    kind: Kind | None = None,
    machine: Machine | None = None,
) -> Patience:
    """How many steps a system may take to forget its start, so that little time is lost if it does not.

    Args:
        block: B, steps of a chunk.
        chunks: chunks of a sequence on a device.
        work: what a step computes, or its operations alone.
        batch: N, sequences that run at once.
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``; that of ``platform_of()`` when None.
        kind: of the step; by its work when None.
        machine: that it runs on; this one, by what is known without measuring, when None.
    """
    work, platform = as_work(work), platform or platform_of()
    machine = machine or here(platform, double=work.double)
    together, step = chunks * batch, step_seconds(work, machine)
    most = block // LONGEST_PART
    if platform == "cpu":
        kind = kind or kind_of(work, 0, machine)
        gain = gain_of(kind, machine) * min(use(together, machine), 1)
        most = min(most, int(block * max(gain / LEAST_GAIN - 1, 0) / COST_OF_FORGETTING))
        looked_at = batch * followed(chunks, batch)
        ahead = looked_at + min(COPIES, looked_at)
        row = step + ahead * chunk_seconds(work, machine, ahead)
        row += machine.row / (IN_ONE_LOOP if in_one_loop(work, machine) else 1)
        gap = FIRST_CHECK if kind is Kind.SMALL else 2 * BETWEEN_CHECKS
        return Patience(max(int(TRIAL_SHARE * chunks * block * step / row), gap), most, gap)
    row = COST_OF_FORGETTING * together * chunk_seconds(work, machine, together)
    # Never less than a step, nor than a row by itself: on an accelerator both wait for their kernels to start.
    allowed = TRIAL_SHARE * chunks * block * step / max(row, machine.row, step)
    return Patience(max(int(allowed) // BETWEEN_CHECKS, 1) * BETWEEN_CHECKS, most)
