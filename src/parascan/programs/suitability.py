"""Which steps are not to be run for several blocks at once: some give other answers there, some gain nothing."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from .platform import platform_of
from .small_steps import is_double, small, times_of
from .work import equations, functions_of, operations, step_time

LEAST_TIME = 1.6e6
"""Nanoseconds of a whole sequence on one core below which the price of finding out that nothing is gained shows: some
50 microseconds, and four rows of all lanes."""

LEAST_TIME_OF_SMALL, LEAST_TIME_OF_NUMBERS = 1e6, 1.2e5
"""The same for small steps without large products, whose times are better known, and for the least of those of single
numbers, of which XLA compiles the whole search for a memory into one loop: 10 microseconds."""

SLOWER_IN_DOUBLE = 1.3
"""How many times as long a step takes in double precision: 1.3 to 2.1 for networks of 5 to 32 units."""

COPY, COPY_TO_NEW_MEMORY, COPIED_IN_CACHES = 0.11, 0.5, 2**24
"""Nanoseconds for each byte that is copied, in the caches and where the system has to give new memory, and the most
bytes that the caches take."""

FEW_MOVES, FEW_NANOSECONDS = 6, 20
"""Entries of inputs, state and outputs, and time of a step, up to which it does."""

WORTH_A_MOVE = ((8, 4), (2**62, 8))
"""Operations for each entry of inputs, state and outputs below which moving the entries into lanes costs the gain, for
states up to a size."""

FEW_REDUCTIONS = 0.08
"""Part of the work in reductions above which lanes are no gain: with the lanes last XLA reduces entry by entry, and
computes again what several entries have in common (outer products 14 times as slow, a softmax of two 5 times)."""


def unsuited(closed: ClosedJaxpr) -> str | None:
    """Why a step must not be run for several blocks at once, or None.

    Side effects would come in another order, and keys of the ``rbg`` kind give other numbers in a batch.
    """
    if closed.effects:
        return "it has side effects"
    for aval in (*closed.in_avals, *closed.out_avals):
        if varies_over_mesh(aval) or _sharded(aval):
            return "its arrays are spread over a mesh already"
    for eqn in equations(closed.jaxpr):
        if eqn.primitive.name == "rng_bit_generator" or any("rbg" in str(_dtype(atom)) for atom in eqn.invars):
            return "its random numbers depend on the batch"
    return None


def unrewarding(closed: ClosedJaxpr, length: int, size: int) -> str | None:
    """Why a step gains nothing from several blocks at once, or None; rules from measurements on a CPU.

    Args:
        closed: the step.
        length: T, how often it is taken.
        size: D, entries of a state.
    """
    if platform_of() != "cpu":
        return None
    # XLA copies all outputs of this dtype at every step of a plain loop; blocks, and what they fall back to, avoid it.
    narrow = sum(aval.size * aval.dtype.itemsize for aval in closed.out_avals if aval.dtype == jnp.bfloat16)
    if COPY * narrow * length**2 > LEAST_TIME:
        return None
    work = operations(closed)
    moved = sum(int(np.prod(aval.shape)) for aval in (*closed.in_avals, *closed.out_avals))
    alone = time_alone(closed, length, size)
    if small(closed, size):
        rewarding = times_of(closed, length).largest_batch > 0
        least_step = size == 1 and moved <= FEW_MOVES and alone <= FEW_NANOSECONDS
        least = LEAST_TIME_OF_NUMBERS if least_step else LEAST_TIME_OF_SMALL
    else:
        least = LEAST_TIME
        rewarding = work >= next(each for bound, each in WORTH_A_MOVE if size <= bound) * moved
    if length * alone < least:
        each, whole, enough = _digits(alone), _digits(length * alone / 1e6), _digits(least / 1e6)
        return f"its steps are few and small: {length} of {each} ns take {whole} ms, blocks begin to pay at {enough} ms"
    if not rewarding:
        return (
            f"it computes little for what it reads and writes: {_digits(work)} operations for {moved} entries of "
            "inputs, state and outputs"
        )
    reduced = sum(
        int(np.prod(eqn.invars[0].aval.shape))
        for eqn in equations(closed.jaxpr)
        if eqn.primitive.name.startswith(("reduce_", "cum", "arg", "sort"))
    )
    if reduced > FEW_REDUCTIONS * work:
        share = _digits(100 * reduced / work)
        return f"it consists of reductions, which are slow side by side: {share} % of its operations"
    return None


def _digits(number: float) -> str:
    """A number with two digits, without an exponent."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:.0f}" if rounded >= 10 else f"{rounded:g}"


def time_alone(closed: ClosedJaxpr, length: int, size: int) -> float:
    """Nanoseconds of a step when one follows the other on one core, by counting.

    Args:
        closed: the step.
        length: T, how often it is taken.
        size: D, entries of a state.
    """
    if small(closed, size):
        return times_of(closed, length).alone
    products = sum(eqn.primitive.name == "dot_general" for eqn in equations(closed.jaxpr))
    alone = step_time(operations(closed), products, functions_of(closed) if products else 0)
    return alone * (SLOWER_IN_DOUBLE if any(map(is_double, closed.out_avals)) else 1)


def copy_share(closed: ClosedJaxpr, length: int, size: int, carried: int) -> float:
    """Part of the sequential time that copying all inputs and outputs takes.

    Args:
        closed: the step, ``(carry, x) -> (carry, y)``.
        length: T, how often it is taken.
        size: D, entries of a state.
        carried: leaves of the carry.
    """
    sizes = [
        length * sum(int(np.prod(aval.shape)) * getattr(aval.dtype, "itemsize", 8) for aval in avals[carried:])
        for avals in (closed.in_avals, closed.out_avals)
    ]
    taken = sum(held * (COPY if held <= COPIED_IN_CACHES else COPY_TO_NEW_MEMORY) for held in sizes)
    return taken / max(length * time_alone(closed, length, size), 1)


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
