"""Bytes that a call holds at its peak, from shapes alone, and the refusal of one that holds too much."""

import math
from typing import ClassVar, Protocol

import jax

from ..problem.boundaries import Blocked
from ..problem.flat_recurrence import Recurrence
from ..solution import Tree

TRAJECTORIES = 8
"""Arrays of the size of the states that an iteration holds at once: two iterates, one-step predictions, residual,
correction, guess, repair."""

TRANSITIONS = 2
"""Arrays of the size of the stored Jacobians that are held at once: the Jacobians, and the products that give them."""


class Updates(Protocol):
    """A method that knows how many bytes its updates hold at once, and whether devices share them out."""

    spreads: ClassVar[bool]

    def update_bytes(self, recurrence: Recurrence) -> int:
        """Bytes of one update."""
        ...


def states_bytes(recurrence: Recurrence) -> int:
    """Bytes of one trajectory.

    Args:
        recurrence: whose trajectory it is.
    """
    return recurrence.length * recurrence.size * recurrence.dtype.itemsize


def bytes_of(tree: Tree) -> int:
    """Bytes of the arrays of a tree; keys count as two words.

    Args:
        tree: arrays, or shapes of them.
    """
    return sum(
        math.prod(leaf.shape) * getattr(leaf.dtype, "itemsize", 8)
        for leaf in jax.tree.leaves(tree)
        if hasattr(leaf, "shape")
    )


def bytes_on_boundaries(recurrence: Recurrence, method: Updates, length: int) -> int:
    """Bytes of a method on the boundaries of blocks, with the states that are returned.

    Args:
        recurrence: of single steps.
        method: the method that is applied to the boundaries.
        length: steps of a block.
    """
    coarse = jax.eval_shape(lambda: Blocked.of(recurrence, length).coarse)
    uneven = recurrence.length % min(length, recurrence.length) != 0
    # Chunks of different length are padded, which takes a copy of the inputs.
    copied = bytes_of(recurrence.inputs) if uneven else 0
    return method.update_bytes(coarse) + 2 * states_bytes(recurrence) + copied


def on_each_device(needed: int, recurrence: Recurrence, method: Updates) -> int:
    """Bytes that one device holds, of those that a solve needs in all.

    Args:
        needed: bytes in all.
        recurrence: what is solved, with the devices that it is cut over.
        method: what makes its updates.
    """
    devices = recurrence.devices
    if devices is None or not devices.divides(recurrence.length) or not method.spreads:
        return needed
    return -(-needed // devices.size)


def refuse_memory(recurrence: Recurrence, name: str, needed: int, method: Updates, limit: int) -> None:
    """Refuse a solve that would hold more than a limit, before anything is allocated.

    Args:
        recurrence: the recurrence to solve.
        name: of the solver.
        needed: bytes that it holds.
        method: what makes its updates.
        limit: bytes.

    Raises:
        ValueError: it would hold more; the error names the length of blocks that would fit.
    """
    if needed <= limit:
        return
    lengths = (min(2**power, recurrence.length) for power in range(1, recurrence.length.bit_length() + 1))
    fitting = next((each for each in lengths if bytes_on_boundaries(recurrence, method, each) <= limit), None)
    cure = (
        "a larger limit: the states alone do not fit"
        if fitting is None
        else f"a larger limit, or solver=MultipleShooting({type(method).__name__}(...), length={fitting})"
    )
    raise ValueError(
        f"memory_limit: given {readable(limit)}, but {name} on {recurrence.length} steps of "
        f"{recurrence.size} entries holds about {readable(needed)}, expected {cure}."
    )


def readable(count: int) -> str:
    """Bytes with a unit.

    Args:
        count: bytes.
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
