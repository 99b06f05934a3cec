"""Inline constants: arrays written into a compiled program at every place where they are used.

JAX passes the arrays that the branches of a ``cond`` close over as arguments, so that XLA does not know their values:
it then repeats in every step what it would otherwise have computed once from the weights.
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
    """An array as a parameter of an operation; it is compared and hashed by identity, as parameters have to be."""

    def __init__(self, array: ArrayLike) -> None:
        kind = jax.typeof(array)
        self.array = np.asarray(array, kind.dtype)
        self.weak_type = kind.weak_type


def writable(array: ArrayLike) -> bool:
    """Whether an array's values can be written into a program: known numbers in this process, and few."""
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
    """The array's shape and dtype."""
    return ShapedArray(values.array.shape, values.array.dtype, weak_type=values.weak_type)


def _lower(_: mlir.LoweringRuleContext, *, values: Values) -> list[mlir.Value]:
    """The constant that XLA gets."""
    return [mlir.ir_constant(values.array)]


mlir.register_lowering(_written, _lower)
