"""Arrays written into a compiled program at every place where they are used.

JAX hands what the branches of a ``cond`` close over to them as arguments, and XLA then no longer knows the values: it
computes with weights in every step what it would have computed once beforehand.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray, Tracer
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jaxtyping import Array, ArrayLike

from .built_in import here


class Values:
    """An array as a parameter of an operation; known by identity, as parameters are compared and hashed."""

    def __init__(self, array: ArrayLike) -> None:
        kind = jax.typeof(array)
        self.array = np.asarray(array, kind.dtype)
        self.weak_type = kind.weak_type


def writable(array: ArrayLike) -> bool:
    """Whether an array's values are at hand, here and as numbers, and few; arrays of NumPy are arrays here too."""
    if isinstance(array, Tracer):
        return False
    kind = jax.typeof(array)
    if not isinstance(kind.dtype, np.dtype) or not getattr(array, "is_fully_addressable", True):
        return False
    return kind.size * kind.dtype.itemsize <= here(double=kind.dtype.itemsize == 8).known_bytes


def written(values: Values) -> Array:
    """The array, as a constant of the program that is being traced."""
    return _written.bind(values=values)


_written = Primitive("written")


@_written.def_impl
def _eager(*, values: Values) -> Array:
    """The array outside of any program."""
    return jnp.asarray(values.array)


@_written.def_abstract_eval
def _shape(*, values: Values) -> ShapedArray:
    """Its shape and dtype."""
    return ShapedArray(values.array.shape, values.array.dtype, weak_type=values.weak_type)


def _lower(_: mlir.LoweringRuleContext, *, values: Values) -> list[mlir.Value]:
    """The constant that XLA gets."""
    return [mlir.ir_constant(values.array)]


mlir.register_lowering(_written, _lower)
