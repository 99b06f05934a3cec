"""Seconds of a step, one after the other and for chunks side by side, from its work and the machine's record.

The default decides by these while it traces, and so does the planner where nothing is measured. Nothing is timed here.
"""

import enum
import math

from jax.extend.core import ClosedJaxpr

from .built_in import here
from .machine import Machine
from .work import Work, counted

CALLS = 10
"""Fixed cost of an evaluation in parallel, in empty calls: its program has so many loops."""

EVERY_BATCH = 2**62
"""A number of sequences that no batch has."""

LEAST_GAIN_OF_SMALL = 2.0
"""Least factor by which chunks of small steps must be faster, without their warm-up."""

FULL = 4
"""Vector registers that the chunks fill, one entry of single precision each, when the record's gains hold: 32 chunks
on most processors."""

PRODUCTS_ARE_LARGE = 2.5
"""Operations of a step, in units of the record's ``few``, from which its weights no longer fit the registers."""

HELD = 1.22
"""Most bytes of weights, in units of the nearest cache, that count as held by it: little of them is loaded again."""

OUT_OF_CACHE = 2
"""Most bytes of inputs and outputs, in units of the last cache, that are still mostly found there."""


FUSED_ENTRIES, FUSED_FUNCTIONS = 6, 2
"""Entries of inputs, states and outputs of a step, and costly operations that it waits for, up to which XLA makes one
loop of a search over a few chunks."""


class Kind(enum.Enum):
    """Kinds of steps that are treated differently when chunks are chosen on a CPU."""

    SMALL = enum.auto()
    """Few entries and no large product: a step of all chunks costs little to set out."""
    NEAR = enum.auto()
    """Fast one after the other, with weights that fill vector registers and stay in the nearest cache: chunks gain
    little."""
    OTHER = enum.auto()


def kind_of(step: ClosedJaxpr | Work, size: int, machine: Machine | None = None) -> Kind:
    """The kind of a step.

    Args:
        step: its program, or its work where that is counted.
        size: D, entries of a state.
        machine: that it runs on; this one, by what is known without measuring, when None.
    """
    work = _counted(step, size)
    if work.small:
        return Kind.SMALL
    return Kind.NEAR if near(work, machine or here(double=work.double)) else Kind.OTHER


def _counted(step: ClosedJaxpr | Work, size: int) -> Work:
    """The work of a step."""
    return step if isinstance(step, Work) else counted(step, size)


def near(work: Work, machine: Machine) -> bool:
    """Whether the weights of a step have the size at which one step after the other is fastest.

    The weights of one product and one function can have it; gates, of a few smaller products, do not. Each weight takes
    part in two operations and is counted with four bytes.

    Args:
        work: of the step.
        machine: that it runs on.
    """
    larger = work.operations > PRODUCTS_ARE_LARGE * machine.few
    return larger and 2 * work.operations < HELD * machine.near_bytes and work.functions <= 1


def waiting(work: Work, machine: Machine) -> float:
    """Seconds that a small step waits for the results of its operations; the sequences of a batch wait together.

    Args:
        work: of the step.
        machine: that it runs on.
    """
    waits = machine.wait * work.waits + machine.wait_costly * work.vectorized + machine.term * work.terms
    return machine.turn * (1 + work.turns) + waits


def computing(work: Work, machine: Machine) -> float:
    """Seconds that a small step computes on the entries of one sequence.

    Args:
        work: of the step.
        machine: that it runs on.
    """
    costly = machine.vectorized * work.vectorized_entries + library_seconds(work, machine)
    return machine.entry * (work.entries + work.powers) + costly


def step_seconds(work: Work, machine: Machine) -> float:
    """Seconds of a step when one follows the other on one core.

    Args:
        work: of the step.
        machine: that it runs on.
    """
    if work.small:
        return waiting(work, machine) + computing(work, machine)
    if near(work, machine):
        alone = machine.turn_near + machine.operation_near * work.operations
    else:
        further = max(work.operations - machine.few, 0)
        alone = machine.turn_large + machine.operation * (work.operations - further) + machine.operation_large * further
    stalls = max(work.functions - 1, 0) if work.products else 0
    alone += machine.turn * work.turns + machine.loop * work.products + machine.stall * stalls
    return alone + library_seconds(work, machine)


def library_seconds(work: Work, machine: Machine) -> float:
    """Seconds of a step in functions that XLA calls for each entry, so that they gain nothing side by side.

    Args:
        work: of the step.
        machine: that it runs on.
    """
    return machine.called * work.called_entries


def gain_of(kind: Kind, machine: Machine) -> float:
    """How many times as fast large steps of a kind are side by side as in turn, library functions aside."""
    return machine.gain_near if kind is Kind.NEAR else machine.gain


def chunk_seconds(work: Work, machine: Machine, chunks: int, *, far: bool = False) -> float:
    """Seconds that each of so many chunks side by side adds to a step of all of them.

    Args:
        work: of the step.
        machine: that it runs on.
        chunks: how many there are.
        far: whether inputs and outputs are larger than the caches.
    """
    if work.small:
        moved = (machine.move_far if far else machine.move) * work.size
        plain = machine.entry_beside * (work.entries + work.product_operations) + machine.join * work.joined
        costly = machine.vectorized * work.vectorized_entries + machine.called * (work.called_entries + work.powers)
        return moved + plain + costly
    called = library_seconds(work, machine)
    # What a loop turn takes is shared by all of them.
    alone = max(step_seconds(work, machine) - called - machine.turn_large, 0.0)
    return alone / (gain_of(kind_of(work, 0, machine), machine) * min(use(chunks, machine), 1.0)) + called


def row_seconds(work: Work, machine: Machine, chunks: int) -> float:
    """Seconds in which so many chunks side by side take one step each.

    Args:
        work: of the step.
        machine: that it runs on.
        chunks: how many there are.
    """
    return machine.row + chunks * chunk_seconds(work, machine, chunks)


def use(chunks: int, machine: Machine) -> float:
    """How well a number of chunks uses the machine, as a part of full use; whole vectors of chunks use it better.

    Args:
        chunks: how many there are.
        machine: that they run on.
    """
    full = full_use(machine)
    return _use(chunks, full) / _use(full, full)


def full_use(machine: Machine) -> int:
    """Chunks side by side that fill the machine, where each has one entry of four bytes in a register.

    Args:
        machine: that they run on.
    """
    return FULL * machine.vector_bytes // 4


def _use(chunks: int, full: int) -> float:
    """How well a number of chunks uses the machine, as a part of the use by arbitrarily many."""
    half, quarter, eighth = full // 2, full // 4, full // 8
    shares = ((half, 1.0), (quarter, 0.9), (eighth, 0.75))
    whole = next((share for multiple, share in shares if multiple and chunks % multiple == 0), 0.5)
    return whole * chunks / (chunks + half)


def in_one_loop(work: Work, machine: Machine) -> bool:
    """Whether XLA compiles a search over a few chunks of a small step into one loop that calls nothing.

    Args:
        work: of the step.
        machine: that it runs on.
    """
    quick = step_seconds(work, machine) <= FUSED_FUNCTIONS * machine.wait_costly
    return work.small and work.moved <= FUSED_ENTRIES and quick


def largest_batch(step: ClosedJaxpr | Work, size: int, length: int, machine: Machine | None = None) -> int:
    """Most sequences of a batch for which chunks of a step are worth it, as far as known: for small elementwise steps.

    In a batch each product is a loop of its own, but not in chunks of small steps, so that steps with products gain
    more from chunks.

    Args:
        step: its program, or its work where that is counted.
        size: D, entries of a state.
        length: T, how often it is taken.
        machine: that it runs on; this one, by what is known without measuring, when None.
    """
    work = _counted(step, size)
    if not work.small or work.products:
        return EVERY_BATCH
    return batch_within_gain(work, length, machine or here(double=work.double))


def batch_within_gain(work: Work, length: int, machine: Machine) -> int:
    """Most sequences of a batch for which chunks of a small step gain enough; zero if not even a single one does.

    Args:
        work: of the step.
        length: T, how often it is taken.
        machine: that it runs on.
    """
    far = length * work.size > OUT_OF_CACHE * machine.far_bytes
    beside = chunk_seconds(work, machine, full_use(machine), far=far)
    each = LEAST_GAIN_OF_SMALL * beside - computing(work, machine)
    return int(waiting(work, machine) / each) if each > 0 else EVERY_BATCH


def is_heavy(work: Work, size: int, machine: Machine) -> bool:
    """Whether a step takes far longer than moving its state.

    Args:
        work: of the step.
        size: D, entries of a state.
        machine: that it runs on.
    """
    return work.operations >= machine.heavy * size


def copy_share_back(closed: ClosedJaxpr, work: Work, length: int, size: int, totals: int = 0) -> float | None:
    """Part of the sequential time of a way back that copying takes; None for heavy steps, of which it is little.

    What is counted is too much for them: with it, an LSTM of 47 units ran back 1.0 times as fast as the plain loop, and
    2.2 times without.

    Args:
        closed: the step back, ``(carry, x) -> (carry, y)``, with one leaf in its carry.
        work: of the step.
        length: T, how often it is taken.
        size: D, entries of a state.
        totals: how many of its last results are added up, and not put out.
    """
    if is_heavy(work, size, here(double=work.double)):
        return None
    return copy_share(closed, work, length, 1, totals)


def copy_share(
    closed: ClosedJaxpr, work: Work, length: int, carried: int, totals: int = 0, machine: Machine | None = None
) -> float:
    """Part of the sequential time that copying all inputs and outputs takes.

    A plain loop adds up its totals at every step, and so moves them twice.

    Args:
        closed: the step, ``(carry, x) -> (carry, y)``.
        work: of the step.
        length: T, how often it is taken.
        carried: leaves of the carry.
        totals: how many of its last results are added up, and not put out.
        machine: that it runs on; this one, by what is known without measuring, when None.
    """
    machine = machine or here(double=work.double)
    results = len(closed.out_avals) - totals
    inputs, outputs, added = closed.in_avals[carried:], closed.out_avals[carried:results], closed.out_avals[results:]
    *sizes, moved = [
        length * sum(math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 8) for aval in avals)
        for avals in (inputs, outputs, added)
    ]
    # The last cache holds what is copied twice: where it is from, and where it goes.
    rates = [machine.copy if 2 * held <= machine.far_bytes else machine.copy_far for held in sizes]
    taken = sum(held * rate for held, rate in zip(sizes, rates, strict=True))
    return taken / max(length * step_seconds(work, machine) + 2 * moved * machine.copy, 1e-9)
