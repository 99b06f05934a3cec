"""What a small step without large products takes, alone and among many lanes; by counting, without a clock.

Alone it waits for one operation after the other; among lanes these overlap, and what counts is how much is moved. Rates
from steps of 1 to 8 entries over sequences of 2 10^4 to 10^6 steps, on one core of an AMD EPYC.
"""

from typing import Any, NamedTuple

import numpy as np
from jax.extend.core import ClosedJaxpr

from .batching import small_product
from .work import COSTLY, MOVING, equations, terms_of

SMALL = 8
"""Entries of a state up to which these rates hold."""

SETTING_OUT = 3.0
"""Nanoseconds of a step alone that computes nothing."""

LATENCY, LATENCY_OF_COSTLY = 0.25, 10.0
"""Nanoseconds that an operation makes the next one wait, whatever its number of entries."""

ENTRY_ALONE, ENTRY_AMONG = 0.04, 0.03
"""Nanoseconds of each further entry of an operation of arithmetic."""

PRODUCT = 3.0
"""Nanoseconds of each term of a product of a matrix with a vector alone; a single scalar product costs nothing more."""

JOINING, JOINED = frozenset({"concatenate", "stack"}), 1.0
"""Operations that put entries together, and nanoseconds for each entry among lanes: XLA chooses between the parts anew
for every entry."""

VECTORIZED = (0.4, 1.3)
"""Nanoseconds for each entry of a costly operation that XLA has vector code for, in single and double precision."""

CALLED = (6.0, 8.0)
"""The same of one that calls a function of the library for each entry, side by side as alone."""

CALLS = frozenset({"acos", "asin", "atan", "atan2", "cbrt", "lgamma", "pow", "tan"})
"""Operations without vector code in any precision."""

CALLS_IN_DOUBLE = frozenset({"acosh", "asinh", "atanh", "cos", "erf_inv", "sin"})
"""Those without it in double precision."""

MOVE, MOVE_FROM_MEMORY = (0.28, 0.38), (0.28, 0.5)
"""Nanoseconds for each entry that is put into lanes or taken out of them, from the caches and from memory."""

EVERY_BATCH = 2**62
"""A number of sequences that no batch has."""

CACHES = 2**26
"""Bytes of inputs and outputs up to which the caches hold them."""

LEAST_GAIN = 2.0
"""How many times as fast lanes of small steps must be, before what it costs to forget the start."""


class StepTimes(NamedTuple):
    """Nanoseconds of a step.

    Attributes:
        waiting: alone, for what comes before, which sequences of a batch do together.
        computing: alone, for the entries of one sequence.
        among: for each lane among some 32.
    """

    waiting: float
    computing: float
    among: float

    @property
    def alone(self) -> float:
        """One after the other."""
        return self.waiting + self.computing

    @property
    def largest_batch(self) -> int:
        """Sequences at once up to which lanes are worth it; zero where they are not for a single one."""
        each = LEAST_GAIN * self.among - self.computing
        return int(self.waiting / each) if each > 0 else EVERY_BATCH


def small(closed: ClosedJaxpr, size: int) -> bool:
    """Whether a step has few entries and no product but small ones.

    Args:
        closed: the step.
        size: D, entries of a state.
    """
    products = (eqn for eqn in equations(closed.jaxpr) if eqn.primitive.name == "dot_general")
    return size <= SMALL and all(small_product(eqn) for eqn in products)


def times_of(closed: ClosedJaxpr, length: int) -> StepTimes:
    """How long a small step takes.

    Args:
        closed: the step.
        length: T, how often it is taken.
    """
    avals = (*closed.in_avals, *closed.out_avals)
    moved = [int(np.prod(aval.shape)) for aval in avals]
    held = length * sum(count * aval.dtype.itemsize for count, aval in zip(moved, avals, strict=True))
    rates = MOVE if held <= CACHES else MOVE_FROM_MEMORY
    waiting, computing = SETTING_OUT, 0.0
    among = sum(count * rates[is_double(aval)] for count, aval in zip(moved, avals, strict=True))
    for eqn in equations(closed.jaxpr):
        entries = sum(int(np.prod(var.aval.shape)) for var in eqn.outvars)
        if eqn.primitive.name in JOINING:
            among += entries * JOINED
        if eqn.primitive.name in MOVING:
            continue
        if eqn.primitive.name == "dot_general":
            terms = terms_of(eqn)
            waiting += PRODUCT * terms if entries > 1 else 0
            among += 2 * terms * entries * ENTRY_AMONG
            continue
        costly, each = eqn.primitive.name in COSTLY, _rate(eqn)
        among += entries * each
        if not costly or eqn.primitive.name == "pow":
            # A power may turn out to be a few products, when XLA knows the exponent.
            waiting, computing = waiting + LATENCY, computing + entries * ENTRY_ALONE
        else:
            waiting += LATENCY_OF_COSTLY if each < min(CALLED) else 0
            computing += entries * each
    return StepTimes(waiting, computing, among)


def largest_batch(closed: ClosedJaxpr, size: int, length: int) -> int:
    """Sequences at once up to which lanes of a step are worth it, as far as that is known: of small elementwise steps.

    Products in a batch are loops of their own, which lanes of small ones are not: those gain the more.

    Args:
        closed: the step.
        size: D, entries of a state.
        length: T, how often it is taken.
    """
    elementwise = all(eqn.primitive.name != "dot_general" for eqn in equations(closed.jaxpr))
    return times_of(closed, length).largest_batch if small(closed, size) and elementwise else EVERY_BATCH


def _rate(eqn: Any) -> float:
    """Nanoseconds for each entry of an operation among lanes."""
    if eqn.primitive.name not in COSTLY:
        return ENTRY_AMONG
    name, double = eqn.primitive.name, is_double(eqn.outvars[0].aval)
    called = name in CALLS or (double and name in CALLS_IN_DOUBLE)
    return (CALLED if called else VECTORIZED)[double]


def is_double(aval: Any) -> bool:
    """Whether entries are of double precision; keys and the like count as single."""
    return getattr(aval.dtype, "itemsize", 4) == 8
