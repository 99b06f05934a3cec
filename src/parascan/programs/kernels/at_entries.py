"""Elementwise operations as a kernel computes them: in single precision at least, and with NaN where XLA gives NaN."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..inside import bind
from ..primitives import BITWISE, EXTREMES, IN_KERNELS, UNCHANGED


def at_entries(eqn: Any) -> Callable[..., Any] | None:
    """An elementwise operation on arrays of one shape; None where a kernel cannot hold it.

    Args:
        eqn: the operation.
    """
    name = eqn.primitive.name
    if name in UNCHANGED and len(eqn.invars) == 1:
        return lambda x: x
    kinds = [atom.aval.dtype for atom in (*eqn.invars, *eqn.outvars)]
    if name not in IN_KERNELS or (name == "select_n" and kinds[0] != jnp.bool_):
        return None
    if name in BITWISE and any(kind != jnp.bool_ for kind in kinds):
        return None
    dtype = eqn.outvars[0].aval.dtype
    if name == "bitcast_convert_type":
        bits = jnp.dtype(kinds[0]).itemsize == jnp.dtype(dtype).itemsize
        return (lambda x: jax.lax.bitcast_convert_type(x, dtype)) if bits else None

    def apply(*operands: Any) -> Any:
        if name == "convert_element_type":
            return operands[0].astype(dtype)
        wide = [_widened(each) for each in operands]
        (out,) = bind(eqn, eqn.params, wide)
        if name in EXTREMES:
            # Triton's own give the operand that is a number.
            out = _nan_where_any(out, wide)
        return out.astype(dtype)

    return apply


def times(first: Any, second: Any) -> Any:
    """The product of two arrays, in their dtype."""
    return (_widened(first) * _widened(second)).astype(first.dtype)


def plus(first: Any, second: Any) -> Any:
    """The sum of two arrays, in their dtype."""
    return (_widened(first) + _widened(second)).astype(first.dtype)


def _widened(array: Any) -> Any:
    """An array in single precision, where it is of less: as XLA computes, and since not every function is there."""
    return array.astype(jnp.float32) if jnp.issubdtype(array.dtype, jnp.floating) and array.itemsize < 4 else array


def _nan_where_any(out: Any, operands: Sequence[Any]) -> Any:
    """A result with NaN wherever an operand has it."""
    if not jnp.issubdtype(out.dtype, jnp.floating):
        return out
    for each in operands:
        out = jnp.where(each != each, each, out)
    return out
