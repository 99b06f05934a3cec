"""A linear recurrence cut over devices along time: a local scan, an exchange of one summary a device, an apply.

1. Summarize: each device finds the map from the state before its steps to the state after them, ``s -> P s + e``.
2. Exchange: every device gets the maps of all, D^2 + D numbers each for dense matrices, and so the state before its own
   steps.
3. Fill: each device sweeps its steps again from there.

The work of a device is that of its steps times D + 2 for dense matrices (their product costs D times as much as a
sweep), times 3 for diagonal ones. What is known by products alone has no such map: it runs in chunks on every device,
where products contract, and one device after the other where they do not.

Source: Blelloch 1990, section 1.4; the exchange of one summary is the two-level form of "chunked".
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..programs.device_axis import DeviceAxis
from ..programs.platform import platform_of
from ..solution import State, Trajectory
from ._abstract import AbstractComposableTransition, AbstractTransition
from .backends import chunks_scan, sequential_scan
from .backends.blocked_scan import cut, layout, summary
from .scaled import ScaledTransition


def run_over(transition: AbstractTransition, b: Trajectory, devices: DeviceAxis, *, transpose: bool) -> Trajectory:
    """Solution of the recurrence, or of the transposed one, over devices.

    Args:
        transition: ``A_1 .. A_T``.
        b: offsets ``[T D]``.
        devices: that the rows are cut over; rows of zeros are added where they do not divide T.
        transpose: whether to solve the transposed recurrence.
    """
    if not isinstance(transition, AbstractComposableTransition):
        return chunks_scan.run(transition, b, transpose=transpose, spread=devices)
    scaled = ScaledTransition.of(transition)
    rows = -(-len(b) // devices.size)
    whole = partial(_padded, missing=rows * devices.size - len(b))
    local = partial(_local, scaled, devices=devices, transpose=transpose)
    cut_over = devices.rows()
    solve = devices.over(local, (cut_over, cut_over), cut_over)
    return solve(jax.tree.map(whole, scaled.slices), whole(b))[: len(b)]


def _padded(leaf: Array, missing: int) -> Array:
    """Rows with some of zeros after them."""
    return jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)) if missing else leaf


def _local(
    transition: AbstractComposableTransition,
    slices: PyTree[Array],
    b: Trajectory,
    *,
    devices: DeviceAxis,
    transpose: bool,
) -> Trajectory:
    """The rows of one device, in chunks where the platform has products to run side by side."""
    chunks, rows = (1, len(b)) if platform_of(b) == "cpu" or len(b) < 2 else layout(len(b))
    pieces = partial(cut, chunks=chunks, rows=rows)
    inside = jax.tree.map(pieces, transition.with_slices(slices))
    offsets = pieces(b)
    entering = _entering(inside.slices, slices, devices, transpose)
    products, ends = jax.vmap(partial(summary, transpose=transpose))(inside, offsets, entering)
    products, ends = _prefixes(transition, products, ends, transpose)
    inflow = _inflow(transition, (products, ends), devices, transpose)
    multiply = jax.vmap(transition.transposed_product if transpose else transition.product, in_axes=(0, None))
    # The first device in time has no inflow, and a first matrix that is not used and may be infinite.
    reached = jnp.where(_is_first(devices, transpose), ends, multiply(products, inflow) + ends)
    before = jnp.concatenate([reached[1:], inflow[None]] if transpose else [inflow[None], reached[:-1]])
    arriving = jax.vmap(transition.transposed_product if transpose else transition.product)(entering, before)
    first = jnp.arange(chunks) == (chunks - 1 if transpose else 0)
    arriving = jnp.where((first & _is_first(devices, transpose))[:, None], 0, arriving)
    filled = jax.vmap(partial(sequential_scan.sweep, transpose=transpose))(inside, offsets, arriving)
    return filled.reshape(chunks * rows, -1)[: len(b)]


def _entering(pieces: PyTree[Array], slices: PyTree[Array], devices: DeviceAxis, transpose: bool) -> PyTree[Array]:
    """For each chunk the matrix that joins it to the chunk from which its inflow comes, maybe on another device."""
    if not transpose:
        return jax.tree.map(lambda leaf: leaf[:, 0], pieces)
    pairs = [(source + 1, source) for source in range(devices.size - 1)]

    def one(piece: Array, leaf: Array) -> Array:
        following = jax.lax.ppermute(leaf[0], devices.names, pairs)
        return jnp.concatenate([piece[1:, 0], following[None]])

    return jax.tree.map(one, pieces, slices)


def _prefixes(
    transition: AbstractComposableTransition, products: PyTree[Array], ends: Float[Array, "P D"], transpose: bool
) -> tuple[PyTree[Array], Float[Array, "P D"]]:
    """The maps from the state before all chunks of this device to the end of each."""

    def join(first: tuple[PyTree[Array], State], then: tuple[PyTree[Array], State]) -> tuple[PyTree[Array], State]:
        if transpose:
            # (A_then^T A_first^T) is kept as the matrix whose transpose it is.
            product = transition.compose(first[0], then[0])
            return product, transition.transposed_product(then[0], first[1]) + then[1]
        end = transition.product(then[0], first[1]) + then[1]
        return transition.compose(then[0], first[0]), end

    if len(ends) == 1:
        return products, ends
    return jax.lax.associative_scan(jax.vmap(join), (products, ends), reverse=transpose)


def _inflow(
    transition: AbstractComposableTransition,
    prefixes: tuple[PyTree[Array], Float[Array, "P D"]],
    devices: DeviceAxis,
    transpose: bool,
) -> State:
    """The state before the steps of this device, from the maps of all devices."""
    multiply = transition.transposed_product if transpose else transition.product
    whole = jax.tree.map(lambda leaf: leaf[0 if transpose else -1], prefixes)
    products, ends = jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, devices.names), whole)
    last = devices.size - 1 if transpose else 0

    def onward(state: State, index: Array) -> tuple[State, State]:
        product = jax.tree.map(lambda leaf: leaf[index], products)
        after = jnp.where(index == last, ends[index], multiply(product, state) + ends[index])
        return after, state

    inflows = jax.lax.scan(onward, jnp.zeros_like(ends[0]), jnp.arange(devices.size), reverse=transpose)[1]
    return inflows[jax.lax.axis_index(devices.names)]


def _is_first(devices: DeviceAxis, transpose: bool) -> Array:
    """Whether this device is computed first."""
    return jax.lax.axis_index(devices.names) == (devices.size - 1 if transpose else 0)
