"""How many blocks to run side by side, by facts that are known while tracing: no clock, the same answer every time."""

import math
from typing import NamedTuple

from ..programs.kind import Kind, kind_by_work
from ..programs.platform import platform_of
from ..programs.small_steps import EVERY_BATCH
from ..programs.work import step_time

SHORTEST = 4096
"""Steps below which a sequence is not worth cutting."""

SHORTEST_BLOCK = 128
"""Least steps of a block: the rows that are run twice must be few among them."""

SHORTEST_BLOCK_OF_LIGHT_STEPS, SHORTEST_BLOCK_IN_DOUBLE = 192, 512
"""The same for steps that compute little for each entry, which gain little from more lanes than that leaves, and in
double precision, in which a start is forgotten after twice as many rows."""

BETWEEN_CHECKS = 4
"""Steps after which the distance of twins is looked at again: looking costs as much as a small step."""

LANES_ON_CPU = ((4, 512), (8, 256), (32, 64), (2**62, 32))
"""Best number of lanes for states up to a size: more do not fill vector registers better, but leave the near caches."""

LANES_OF_HEAVY_STEPS = ((64, 64), (2**62, 32))
"""The same for steps that compute much for each entry, whose products are better the wider they are."""

LANES_IN_DOUBLE = 32
"""Most lanes in double precision: these fill the vector registers already, and longer blocks may forget later."""

LANES_OF_SMALL_STEPS, FEW_NUMBERS = 32, 2**16
"""The same for small steps without large products, whose rows cost little to set out; half as many of single numbers,
in sequences up to a length: XLA compiles the whole search for a memory into one loop then."""

LANES_IN_ONE_SET = 32
"""Lanes above which rows a multiple of a page apart, which share few places of a cache, push one another out."""

PAGE = 4096
"""Bytes after which addresses fall into the same places of the nearest cache."""

LEAST_VALUE = 0.45
"""Use of vectors from which lanes are a gain on a CPU: 20 lanes, no whole vectors, took 1.2 times as long."""

LANES_OF_A_BATCH = 128
"""Most lanes of a batch of sequences together, where states are small or steps heavy; elsewhere as many as alone."""

LARGE = 32
"""Entries of a state above which the states, inputs and outputs of many lanes leave the nearest cache."""

FEWEST_LANES = 16
"""Least lanes of one sequence on one CPU device: fewer leave vector registers empty."""

FEWEST_LANES_WHERE_NEAR = 32
"""The same for steps that are fast alone: 16 lanes took 0.9 to 1.2 times as long as one after the other."""

FEWEST_BLOCKS = 4
"""Least blocks of each sequence in a batch, or on each of several devices: fewer do not pay for the moves of rows."""

ENTRIES_ELSEWHERE = 2**18
"""Most entries of all lanes together on an accelerator."""

WORTH_A_COPY = 300
"""Operations for each entry of the state from which a step costs much more than copying what it puts out."""

COPY_OF_HEAVY_STEPS, LONG_BLOCK = 0.05, 512
"""What a copy takes of the sequential time there, and steps of a block from which better numbers of lanes may take one
although some divide the length."""

WORTH_AN_ADJOINT = 300
"""Operations for each entry of the state from which the adjoint in blocks beats reverse mode through a plain loop."""

BATCH_OF_ADJOINTS = 8
"""Batch from which reverse mode through a plain loop wins, whose products are then full ones."""

LONGEST_PART = 3
"""One in so many rows of a block is the most in which a system may forget its start."""

LONGEST_PART_OF_SMALL_STEPS = 6
"""The same for small steps: of their rows, which outputs hardly add to, the search takes the larger part."""

GAIN, GAIN_WHERE_NEAR = 2.5, 1.3
"""How many times as fast many lanes are as one after the other, when they forget at once (1.9 to 5, and 1.3 to 1.9)."""

LEAST_GAIN = 1.05
"""What is to be left of that."""

COST_OF_FORGETTING = 1.6
"""Rows' worth of the forgetting for each row that it takes: of lanes and twins, and a quarter more for safety."""

TRIAL_SHARE = 0.02
"""Part of the sequential time that may be spent on finding out that a system does not forget."""


def choose_lanes(
    length: int,
    size: int,
    work: float,
    batch: int = 1,
    devices: int = 1,
    platform: str | None = None,
    kind: Kind | None = None,
    largest_batch: int = EVERY_BATCH,
    *,
    double: bool = False,
    copy: float | None = None,
) -> int:
    """Blocks for each sequence on each device, or 0 where one step after the other is the better way.

    A batch is parallel work that is there already: it takes its share of the lanes.

    Args:
        length: T, steps of a sequence.
        size: D, entries of a state.
        work: operations of a step, as ``operations`` counts them.
        batch: N, sequences that run at once.
        devices: over which each sequence is spread.
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``; that of ``platform_of()`` when None.
        kind: of the step; by its work when None.
        largest_batch: most sequences at once for which lanes are worth it on a CPU.
        double: whether states are of double precision.
        copy: part of the sequential time that copying inputs and outputs takes, which steps left over cost; by the work
            when None.
    """
    shortest = SHORTEST_BLOCK
    if length < SHORTEST or size == 0:
        return 0
    platform = platform or platform_of()
    if platform == "cpu":
        if batch > largest_batch:
            return 0
        heavy = size > 8 and work >= WORTH_A_COPY * size
        table = LANES_OF_HEAVY_STEPS if heavy else LANES_ON_CPU
        alone = next(lanes for bound, lanes in table if size <= bound)
        kind = kind or kind_by_work(work)
        if kind is Kind.SMALL:
            alone = LANES_OF_SMALL_STEPS // (2 if size == 1 and length <= FEW_NUMBERS else 1)
        elif double:
            alone, shortest = min(alone, LANES_IN_DOUBLE), SHORTEST_BLOCK_IN_DOUBLE
        elif not heavy:
            shortest = SHORTEST_BLOCK_OF_LIGHT_STEPS
        together = max(alone, LANES_OF_A_BATCH // devices) if heavy or size <= LARGE else alone
        most = min(alone, together // batch)
        single = FEWEST_LANES_WHERE_NEAR if kind is Kind.NEAR else FEWEST_LANES
        fewest = single if batch == 1 and devices == 1 else FEWEST_BLOCKS
    else:
        most, fewest = max(ENTRIES_ELSEWHERE // (size * batch), 1), 1
        alone = most
    most = min(most, length // (shortest * devices))
    if most < fewest:
        return 0
    counts = range(max(most // 4, fewest), most + 1)
    exact = [count for count in counts if length % (count * devices) == 0]
    if copy is None or devices > 1:
        # On a mesh the copy is made even where the steps are then taken one after the other.
        copy = COPY_OF_HEAVY_STEPS if work >= WORTH_A_COPY * size else math.inf
    long = LONG_BLOCK if exact else 2 * SHORTEST_BLOCK
    gain = GAIN_WHERE_NEAR if kind is Kind.NEAR else GAIN
    affordable = 1 / gain + copy < 1 / LEAST_GAIN
    copied = [count for count in counts if affordable and (length >= long * count * devices or count == fewest)]
    if not exact and not copied:
        return 0

    def value(count: int) -> float:
        crowded = size > 8 and count > LANES_IN_ONE_SET and length // (count * devices) * size * 8 % PAGE == 0
        share = 1 if count in exact else 1 / (1 + gain * copy)
        return _value(count * batch) * min(1, alone / count) * (0.7 if crowded else 1) * share

    best = max([*exact, *copied], key=value)
    return best if platform != "cpu" or value(best) * devices >= LEAST_VALUE else 0


def lanes_at_once(size: int) -> int:
    """Most lanes that are worth running together, when there are many.

    Args:
        size: D, entries of a state.
    """
    if platform_of() == "cpu":
        # Large states come with their tangents here, of which the nearest cache holds fewer.
        return FEWEST_LANES if size > LARGE else next(lanes for bound, lanes in LANES_ON_CPU if size <= bound)
    return max(ENTRIES_ELSEWHERE // max(size, 1), 1)


def adjoint_pays(size: int, work: float, batch: int) -> bool:
    """Whether a derivative is worth a recurrence of its own, rather than JAX's way through the plain loop.

    Args:
        size: D, entries of a state.
        work: operations of a step, as ``operations`` counts them.
        batch: N, sequences that run at once as far as known.
    """
    return work >= WORTH_AN_ADJOINT * size and batch < BATCH_OF_ADJOINTS


class Patience(NamedTuple):
    """How long a system may take to forget its start.

    Attributes:
        trial: rows after which it is given up unless it is on its way.
        most: rows after which it is given up in any case.
    """

    trial: int
    most: int


def choose_patience(
    block: int, lanes: int, work: float, batch: int = 1, platform: str | None = None, kind: Kind | None = None
) -> Patience:
    """Rows in which a system may forget its start, so that little is lost on those that do not.

    Args:
        block: B, steps of a block.
        lanes: blocks of a sequence on a device.
        work: operations of a step, as ``operations`` counts them.
        batch: N, sequences that run at once.
        platform: as for ``choose_lanes``.
        kind: as for ``choose_lanes``.
    """
    allowed, most = TRIAL_SHARE * lanes * block, block // LONGEST_PART
    if (platform or platform_of()) == "cpu":
        kind = kind or kind_by_work(work)
        gain = (GAIN_WHERE_NEAR if kind is Kind.NEAR else GAIN) * min(
            _value(lanes * batch) / _value(LANES_IN_ONE_SET), 1
        )
        most = min(most, int(block * max(gain / LEAST_GAIN - 1, 0) / COST_OF_FORGETTING))
        if kind is Kind.SMALL:
            most = min(most, block // LONGEST_PART_OF_SMALL_STEPS)
        # Measured on one core: a row takes that much longer with twins and looks at them, and a microsecond to set out.
        step = step_time(work)
        allowed *= step / (1.6 * lanes * batch * step / gain + 1000)
    # Elsewhere a row takes as long as a step: both wait for their kernels to start.
    return Patience(max(int(allowed) // BETWEEN_CHECKS, 1) * BETWEEN_CHECKS, most)


def _value(lanes: int) -> float:
    """How well a number of lanes uses the machine: whole vectors count, and ever more lanes ever less."""
    whole = next(share for multiple, share in ((16, 1.0), (8, 0.9), (4, 0.75), (1, 0.5)) if lanes % multiple == 0)
    return whole * lanes / (lanes + 16)
