"""What a call will hold at its peak, from shapes alone, and the refusal of one that holds too much."""

import math

import jax
import jax.numpy as jnp

from ..problem.boundaries import Blocked
from ..problem.flat_recurrence import Recurrence
from ..problem.signature import Signature
from ..solution import Tree
from . import (
    AbstractDirectSolver,
    AbstractIterativeSolver,
    Blocks,
    Diagonal,
    Forgetting,
    GradientDescent,
    Hybrid,
    LevenbergMarquardt,
    LineSearch,
    Newton,
)
from .gradient import RATES

TRAJECTORIES = 8
"""Arrays like the states that an iteration holds at once: two iterates, images, residual, correction, guess, repair."""

TRANSITIONS = 2
"""Arrays like the stored Jacobians: the products that they are made of, and themselves."""

COPIES_OF_CHUNKS = 2
"""Arrays like the outputs that a run in chunks holds at once: those of the chunks, and what is returned."""

COVARIANCES = 6
"""Arrays like the stored Jacobians that the smoother of Levenberg-Marquardt holds beside them."""


def require_memory(recurrence: Recurrence, solver: AbstractIterativeSolver | Blocks, limit: int) -> None:
    """Refuse a solve that would hold more than a limit, before anything is allocated.

    Args:
        recurrence: the recurrence to solve.
        solver: how.
        limit: bytes.

    Raises:
        ValueError: it would hold more; names the block length that would fit.
    """
    needed = peak_bytes(recurrence, solver)
    if needed <= limit:
        return
    method = solver.outer if isinstance(solver, Blocks) else solver
    fitting = _fitting_length(recurrence, method, limit)
    cure = (
        "a larger limit: the states alone do not fit"
        if fitting is None
        else f"a larger limit, or solver=Blocks({type(method).__name__}(...), length={fitting})"
    )
    raise ValueError(
        f"memory_limit: given {readable(limit)}, but {type(solver).__name__} on {recurrence.length} steps of "
        f"{recurrence.size} entries holds about {readable(needed)}, expected {cure}."
    )


def peak_bytes(recurrence: Recurrence, solver: AbstractIterativeSolver | Blocks) -> int:
    """Bytes that a solve holds at its peak beside its inputs: iterates, stored Jacobians, the states it returns."""
    if isinstance(solver, Blocks):
        coarse = jax.eval_shape(lambda: Blocked.of(recurrence, solver.length).coarse)
        uneven = recurrence.length % min(solver.length, recurrence.length) != 0
        # Blocks of different length are padded, which takes a copy of the inputs.
        copied = _bytes(recurrence.inputs) if uneven else 0
        return _of_iterations(coarse, solver.outer) + 2 * _states(recurrence) + copied
    return _of_iterations(recurrence, solver) + _states(recurrence)


def require_room(signature: Signature, solver: AbstractDirectSolver | Forgetting, limit: int) -> None:
    """Refuse a call whose answer alone would take more than a limit, before anything is allocated.

    Args:
        signature: the call, by a solver that does not iterate.
        solver: how.
        limit: bytes.

    Raises:
        ValueError: it would hold more.
    """
    needed = room_bytes(signature, solver)
    if needed > limit:
        raise ValueError(
            f"memory_limit: given {readable(limit)}, but {type(solver).__name__} on {signature.length} steps holds "
            f"about {readable(needed)}, expected a larger limit, or ps.stream, which hands out a window at a time."
        )


def room_bytes(signature: Signature, solver: AbstractDirectSolver | Forgetting) -> int:
    """Bytes that a call holds at its peak beside its inputs, by a solver that does not iterate.

    One step after the other that is what it returns; chunks are put together from outputs of their own.
    """
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), signature.xs)
    carry, y = jax.eval_shape(signature.step, signature.init, x)
    copies = COPIES_OF_CHUNKS if isinstance(solver, Forgetting) else 1
    return _bytes(carry) + copies * signature.length * _bytes(y)


def _of_iterations(recurrence: Recurrence, method: AbstractIterativeSolver) -> int:
    """Bytes of one iteration."""
    total = TRAJECTORIES * _states(recurrence)
    if isinstance(method, LineSearch):
        return _of_iterations(recurrence, method.inner) + 2 * method.trials * _states(recurrence)
    if isinstance(method, Hybrid):
        return max(_of_iterations(recurrence, part) for part in (method.first, method.then))
    if isinstance(method, GradientDescent) and method.optimizer is None:
        return total + 2 * len(RATES) * _states(recurrence)
    if isinstance(method, LevenbergMarquardt):
        width = 1 if isinstance(method.linearization, Diagonal) else recurrence.size
        return total + (TRANSITIONS + COVARIANCES) * width * _states(recurrence)
    if isinstance(method, Newton):
        states = jax.ShapeDtypeStruct((recurrence.length, recurrence.size), recurrence.dtype)
        stored = jax.eval_shape(
            lambda recurrence, states: jax.tree.leaves(
                method.linearization.transition(recurrence, states, jnp.zeros((), jnp.int32)).slices
            ),
            recurrence,
            states,
        )
        known = {(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(recurrence.inputs)}
        # What a matrix-free transition keeps of the inputs are the inputs themselves.
        total += TRANSITIONS * _bytes([leaf for leaf in stored if (leaf.shape, leaf.dtype) not in known])
    return total


def _fitting_length(recurrence: Recurrence, method: AbstractIterativeSolver, limit: int) -> int | None:
    """The least power of two as block length that fits, or None."""
    for power in range(1, recurrence.length.bit_length() + 1):
        length = min(2**power, recurrence.length)
        if peak_bytes(recurrence, Blocks(method, length)) <= limit:
            return length
    return None


def _states(recurrence: Recurrence) -> int:
    """Bytes of one trajectory."""
    return recurrence.length * recurrence.size * recurrence.dtype.itemsize


def _bytes(tree: Tree) -> int:
    """Bytes of the arrays of a tree; keys count as two words."""
    return sum(
        math.prod(leaf.shape) * getattr(leaf.dtype, "itemsize", 8)
        for leaf in jax.tree.leaves(tree)
        if hasattr(leaf, "shape")
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
