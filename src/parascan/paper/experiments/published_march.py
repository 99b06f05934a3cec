"""The rest of a run whose finite states grow by one step an update, all at once."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@eqx.filter_jit
def march(
    step: Any, start: Float[Array, " D"], xs: Array | None, states: Float[Array, "T D"], known: int | Int[Array, ""]
) -> Float[Array, "T D"]:
    """Leading states that updates leave as they are, and every state after them as the update that appends it has it.

    The parallel scan's value at a step is a fold, from the left, over blocks of a power of two steps each, the largest
    first; a block is the product of its halves. One pass keeps the last block of every size. Each value is summed in
    the scan's order; last bits may differ, as another program is compiled.

    Args:
        step: ``(state, x) -> state``.
        start: s_0 [D].
        xs: inputs [T, ...], or None.
        states: the known states, then whatever [T, D].
        known: how many are known.
    """
    length, dimension = states.shape
    sizes = max(length.bit_length(), 1)

    def append(carry: tuple, row: tuple) -> tuple[tuple, Array]:
        matrices, offsets, before = carry
        place, x, given = row
        image, jacobian = step(before, x), jax.jacrev(step)(before, x)
        first = place == 0
        block = (jnp.where(first, 0.0, jacobian), jnp.where(first, image, image - jacobian @ before))
        matrices, offsets = _stored(matrices, offsets, block, place)
        state = jnp.where(place < known, given, _folded(matrices, offsets, place + 1))
        return (matrices, offsets, state), state

    blocks = (jnp.zeros((sizes, dimension, dimension), states.dtype), jnp.zeros((sizes, dimension), states.dtype))
    return jax.lax.scan(append, (*blocks, start), (jnp.arange(length), xs, states))[1]


def _stored(matrices: Array, offsets: Array, block: tuple[Array, Array], place: Array) -> tuple[Array, Array]:
    """The blocks with one more step: it is joined to every block that it completes, the smallest first."""
    matrix, offset = block
    joining = jnp.asarray(True)
    for size in range(len(offsets)):
        full = (place >> size) & 1 == 1
        rests = joining & ~full
        before = matrices[size], offsets[size]
        matrices = matrices.at[size].set(jnp.where(rests, matrix, before[0]))
        offsets = offsets.at[size].set(jnp.where(rests, offset, before[1]))
        joining &= full
        joined = matrix @ before[0], matrix @ before[1] + offset
        matrix, offset = (jnp.where(joining, new, old) for new, old in zip(joined, (matrix, offset), strict=True))
    return matrices, offsets


def _folded(matrices: Array, offsets: Array, count: Array) -> Array:
    """The state after some steps, from the blocks that they consist of."""
    state, begun = jnp.zeros_like(offsets[0]), jnp.asarray(False)
    for size in reversed(range(len(offsets))):
        part = (count >> size) & 1 == 1
        state = jnp.where(part, jnp.where(begun, matrices[size] @ state + offsets[size], offsets[size]), state)
        begun |= part
    return state
