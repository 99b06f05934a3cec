"""The backend ``"chunked"``: steps in sequence inside chunks, all chunks at once, and a tree across the chunks.

1. Summarize: every chunk's product of matrices and its last row for zero inflow, one step of all chunks at a time.
2. Across: these last rows obey a linear recurrence with these products, which the tree solves for the true inflows.
3. Fill: every chunk is swept again from its true inflow.

No partial product but the running one is ever stored, and each matrix takes part in one matrix product, half of what
a tree over all steps spends. Depth ``2 T / P + 2 log2 P`` for P chunks. P is bounded, so the program, and with it the
time to compile, does not grow with T.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ...programs.built_in import here
from ...solution import State, Trajectory
from .._abstract import AbstractComposableTransition
from . import associative_scan, sequential_scan


def run(transition: AbstractComposableTransition, b: Trajectory, *, transpose: bool) -> Trajectory:
    """Solution of the recurrence, or of the transposed one."""
    chunks, rows = layout(len(b))
    pieces = partial(cut, chunks=chunks, rows=rows)
    inside, offsets = jax.tree.map(pieces, transition), pieces(b)
    entering = _entering(inside.slices, transpose)
    products, ends = jax.vmap(partial(summary, transpose=transpose))(inside, offsets, entering)
    if transpose:
        products = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), products)
    ends = associative_scan.run(transition.with_slices(products), ends, transpose=transpose)
    inflows = _inflows(transition, entering, ends, transpose)
    filled = jax.vmap(partial(sequential_scan.sweep, transpose=transpose))(inside, offsets, inflows)
    return filled.reshape(chunks * rows, -1)[: len(b)]


def layout(length: int) -> tuple[int, int]:
    """Number of chunks, and rows in each: an exact division of the length if there is one with enough chunks.

    Otherwise the operands will be padded with zeros, which costs a copy of them.
    """
    most = min(here().products, -(-length // 2))
    exact = [chunks for chunks in range(most // 2 + 1, most + 1) if length % chunks == 0]
    chunks = max(exact, default=most)
    return chunks, -(-length // chunks)


def cut(x: Array, chunks: int, rows: int) -> Array:
    """Leading axis as ``[chunks, rows]``, zeros beyond its end."""
    missing = chunks * rows - x.shape[0]
    padded = jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)) if missing else x
    return padded.reshape(chunks, rows, *x.shape[1:])


def _entering(slices: PyTree[Array], transpose: bool) -> PyTree[Array]:
    """For each chunk the matrix that joins it to the chunk from which its inflow comes.

    The matrix in row 0 of a chunk joins it to the chunk before. Where a chunk has no such neighbor the entry is unused.
    """
    return jax.tree.map(lambda x: jnp.roll(x[:, 0], -1, axis=0) if transpose else x[:, 0], slices)


def summary(
    inside: AbstractComposableTransition, b: Trajectory, entering: PyTree[Array], *, transpose: bool
) -> tuple[PyTree[Array], State]:
    """Product of one chunk's matrices, and the row computed last when nothing flows in.

    Args:
        inside: the matrices of the chunk.
        b: its offsets.
        entering: the matrix that joins it to the chunk from which its inflow comes.
        transpose: whether the recurrence is the transposed one.
    """
    multiply = inside.transposed_product if transpose else inside.product

    def step(carry: tuple[PyTree[Array], State], k: Array) -> tuple[tuple[PyTree[Array], State], None]:
        product, state = carry
        row = inside.row(k)
        product = inside.compose(product, row) if transpose else inside.compose(row, product)
        return (product, multiply(row, state) + b[k - 1 if transpose else k]), None

    start = (entering, b[-1 if transpose else 0])
    return jax.lax.scan(step, start, jnp.arange(1, len(b)), reverse=transpose)[0]


def _inflows(
    transition: AbstractComposableTransition, entering: PyTree[Array], ends: Float[Array, "P D"], transpose: bool
) -> Float[Array, "P D"]:
    """The inflow of each chunk from its neighbor; zero for the chunk that is computed first."""
    multiply = transition.transposed_product if transpose else transition.product
    arriving = jax.vmap(multiply)(entering, jnp.roll(ends, -1 if transpose else 1, axis=0))
    return arriving.at[-1 if transpose else 0].set(0)
