"""The backend ``"contracting"``: chunks side by side where products contract, so that chunks forget their inflow.

For matrices known by their products alone, which cannot be multiplied with each other. Depth T / P for P chunks, work
T products and those that are run twice; one step after the other where the products do not contract.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ...chunked import Layout, scan_blocks
from ...programs.closure import Closed, Function, close_over
from ...programs.cost import copy_share_back
from ...programs.device_axis import DeviceAxis, one_later
from ...programs.shapes import row_of
from ...programs.work import counted
from ...solution import State, Trajectory
from .._abstract import AbstractTransition


class _Forward(Function):
    """``s -> A_t s + b_t``; ``A_1`` is not used, so that an infinite entry in it does no harm."""

    product: Closed

    def __call__(self, state: State, x: tuple[PyTree[Array], State, Bool[Array, ""]]) -> tuple[State, State]:
        """The next state, twice."""
        row, b, first = x
        state = jnp.where(first, 0, self.product(row, state)) + b
        return state, state


class _Backward(Function):
    """``y_t -> A_t^T y_t + b_{t-1}``, with ``y_t`` as output."""

    product: Closed

    def __call__(self, y: State, x: tuple[PyTree[Array], State]) -> tuple[State, State]:
        """The solution at the step before, and here."""
        row, before = x
        return self.product(row, y) + before, y


def run(
    transition: AbstractTransition, b: Trajectory, *, transpose: bool, spread: DeviceAxis | None = None
) -> Trajectory:
    """Solution of the recurrence, or of the transposed one.

    Args:
        transition: ``A_1 .. A_T``.
        b: offsets ``[T D]``.
        transpose: whether to solve the transposed recurrence.
        spread: devices that the rows are cut over; None for one.
    """
    multiply = transition.transposed_product if transpose else transition.product
    row = row_of(transition.slices)
    product = close_over(multiply, row, jax.ShapeDtypeStruct(b.shape[1:], b.dtype))
    init = jnp.zeros_like(b[0])
    work = counted(product.closed)
    double, copy = b.dtype.itemsize == 8, copy_share_back(product.closed, work, *b.shape)
    options = {"reverse": transpose, "spread": spread, "double": double, "copy": copy}
    layout = Layout(len(b), b.shape[1], work, **options)
    if transpose:
        rows = transition.slices, one_later(init, b, spread)
        return scan_blocks(_Backward(product), b[-1], rows, layout)[1]
    first = jnp.arange(len(b)) == 0
    return scan_blocks(_Forward(product), init, (transition.slices, b, first), layout)[1]
