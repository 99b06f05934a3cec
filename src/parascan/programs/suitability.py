"""Which steps are not to be run for several chunks at once: some would give other answers, some gain nothing."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from ..solution import Tree
from .built_in import here
from .cost import CALLS, batch_within_gain, gain_of, in_one_loop, kind_of, library_seconds, step_seconds
from .machine import Machine
from .platform import platform_of
from .primitives import DEPEND_ON_BATCH
from .work import FEW, Work, counted, equations

CALLS_OF_SMALL, CALLS_IN_ONE_LOOP = 6, 4
"""Cost, in empty calls, of finding out that a system of small steps does not forget its start, by coupled copies that
run ahead of all chunks; and the same where XLA compiles that into one loop."""

PRICE, PRICE_OF_SMALL = 1 / 32, 1 / 20
"""Part of the sequential time that may be spent on finding out whether chunks work: for large steps, and for small
ones, whose times are better known."""

MOVED_LIGHTLY = 2
"""Factor by which moving a state of a few entries, which vector registers hold, costs less for each entry, beside a
costly function of them: linear systems of 8 and 12 entries took 1.2 to 2.5 times as long in chunks."""

FEW_REDUCTIONS = 0.07
"""Part of the work in reductions above which chunks side by side are no gain: with the chunks as the last axis XLA
reduces entry by entry, and computes again what several entries have in common (outer products 14 times as
slow, a softmax of two 5 times)."""

LEAST_GAIN_BESIDE_LIBRARY = 1.3
"""Least factor by which chunks of large steps must be faster where functions of a library take part of their time, and
gain nothing: networks of 16 to 64 units with a sine or an arc tangent took 1.1 to 2 times as long in chunks."""

FOUND_OUT = "whether it forgets its start is found out on the way"
"""What no analysis beforehand decides."""


def unsuited(closed: ClosedJaxpr, *arrays: Tree) -> str | None:
    """Why a step must not be run for several chunks at once, or None.

    Side effects would come in another order, and keys of the ``rbg`` kind give other numbers in a batch.

    Args:
        closed: the step.
        arrays: what it is run with.
    """
    if closed.effects:
        return "it has side effects"
    kinds = [jax.typeof(leaf) for leaf in jax.tree.leaves(arrays)]
    for aval in (*closed.in_avals, *closed.out_avals, *kinds):
        if varies_over_mesh(aval) or _sharded(aval):
            return "its arrays are spread over a mesh already"
    for eqn, _ in equations(closed.jaxpr):
        if eqn.primitive.name in DEPEND_ON_BATCH or any("rbg" in str(_dtype(atom)) for atom in eqn.invars):
            return "its random numbers depend on the batch"
    return None


def unrewarding(
    closed: ClosedJaxpr,
    length: int,
    size: int,
    machine: Machine | None = None,
    work: Work | None = None,
    batch: int = 1,
) -> str | None:
    """Why a step gains nothing from several chunks at once on a CPU, or None.

    Args:
        closed: the step.
        length: T, how often it is taken.
        size: D, entries of a state.
        machine: that it runs on; this one, by what is known without measuring, when None.
        work: of the step, where that is counted.
        batch: N, sequences that are known to run at once.
    """
    if platform_of() != "cpu":
        return None
    work = work or counted(closed, size)
    machine = machine or here("cpu", double=work.double)
    least = least_seconds(work, machine)
    # XLA copies all outputs of this dtype at every step of a plain loop; chunks, and what they fall back to, avoid it.
    narrow = sum(aval.size * aval.dtype.itemsize for aval in closed.out_avals if aval.dtype == jnp.bfloat16)
    if machine.copy * narrow * length**2 > CALLS * machine.call / PRICE:
        return None
    alone, called = step_seconds(work, machine), _called(work, machine, batch)
    if length * (alone + called) < least:
        each, whole, enough = _digits(alone * 1e9), _digits(length * alone * 1e3), _digits(least * 1e3)
        return f"its steps are few and small: {length} of {each} ns take {whole} ms, chunks begin to pay at {enough} ms"
    if not _rewarding(work, size, length, machine, called / batch):
        return (
            f"it computes little for what it reads and writes: {_digits(work.operations)} operations for {work.moved} "
            "entries of inputs, state and outputs"
        )
    library = library_seconds(work, machine)
    if not work.small and library and _gain_beside(alone + called, library, work, machine) < LEAST_GAIN_BESIDE_LIBRARY:
        return (
            "it spends its time in functions that are computed entry by entry, as a sine is, and gain nothing side by "
            f"side: {_digits(library * 1e9)} of {_digits((alone + called) * 1e9)} ns"
        )
    if work.reduced > FEW_REDUCTIONS * work.operations:
        share = _digits(100 * work.reduced / work.operations)
        return f"it consists of reductions, which are slow side by side: {share} % of its operations"
    return None


def worth_a_trial(length: int, work: Work, machine: Machine | None = None, batch: int = 1) -> str:
    """Why chunks are tried of a step that ``unrewarding`` has nothing against, with the times that decide it.

    Args:
        length: T, how often it is taken.
        work: of the step.
        machine: that it runs on; this one, by what is known without measuring, when None.
        batch: N, sequences that are known to run at once.
    """
    if platform_of() != "cpu":
        return FOUND_OUT
    machine = machine or here("cpu", double=work.double)
    least, alone = least_seconds(work, machine), step_seconds(work, machine) + _called(work, machine, batch)
    if length * alone < least:
        return f"the plain loop would copy its bfloat16 outputs at every step; {FOUND_OUT}"
    each, whole, enough = _digits(alone * 1e9), _digits(length * alone * 1e3), _digits(least * 1e3)
    return f"{length} steps of {each} ns take {whole} ms, chunks begin to pay at {enough} ms; {FOUND_OUT}"


def least_seconds(work: Work, machine: Machine) -> float:
    """Seconds of a whole sequence from which chunks are tried; in shorter sequences a trial in vain costs too much.

    Args:
        work: of a step.
        machine: that it runs on.
    """
    if not work.small:
        return CALLS * machine.call / PRICE
    calls = CALLS_IN_ONE_LOOP if in_one_loop(work, machine) else CALLS_OF_SMALL
    return calls * machine.call / PRICE_OF_SMALL


def _called(work: Work, machine: Machine, batch: int) -> float:
    """Seconds that the products of a step take beside their operations in a batch, where XLA calls a library for each.

    A network of 8 units took 0.1 microseconds a step alone, and 1.1 in a batch of two; one of 27 units 0.5 and 3.
    """
    return work.products * machine.row if batch > 1 and not work.small else 0.0


def _gain_beside(alone: float, library: float, work: Work, machine: Machine) -> float:
    """How many times as fast a step is in chunks of which a part gains nothing."""
    return alone / ((alone - library) / gain_of(kind_of(work, 0, machine), machine) + library)


def _rewarding(work: Work, size: int, length: int, machine: Machine, called: float) -> bool:
    """Whether a step computes enough for what is moved into chunks and out of them."""
    if work.small:
        return batch_within_gain(work, length, machine) > 0
    moved = machine.gain * machine.move * work.size / (MOVED_LIGHTLY if size <= FEW and work.functions else 1)
    return machine.operation * work.operations + called >= moved


def _digits(number: float) -> str:
    """A number with two digits, without an exponent."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:.0f}" if rounded >= 10 else f"{rounded:g}"


def _dtype(atom: Any) -> Any:
    """Dtype of an operand."""
    return "" if isinstance(atom, Literal) else getattr(atom.aval, "dtype", "")


def varies_over_mesh(aval: Any) -> bool:
    """Whether a type says that its array differs from device to device, as in ``jax.shard_map`` with its checks.

    Args:
        aval: the type of an array; versions of JAX have it say so in two ways.
    """
    return bool(getattr(aval, "vma", None) or getattr(getattr(aval, "mat", None), "varying", None))


def _sharded(aval: Any) -> bool:
    """Whether an array's type names axes of a mesh."""
    sharding = getattr(aval, "sharding", None)
    return sharding is not None and any(part is not None for part in sharding.spec)
