"""The rounding error of single operations, with its sign: exact to the last bit for sums, nearly so for others.

Source: Knuth for sums; Dekker 1971 for products, and so for quotients and roots.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

LONGEST_SUM = 256
"""Most terms of a sum whose error is found by adding the terms one by one."""

LOW_BITS = {"float32": (jnp.uint32, 12), "float64": (jnp.uint64, 27)}
"""Bits that are cut off to halve a number, so that products of halves are exact."""


def lost_by(eqn: Any, values: list[Any], out: Array) -> Any:
    """The rounding error of an operation itself; None where the operation is exact or unknown.

    Args:
        eqn: the operation, with one real result.
        values: its operands.
        out: its result.
    """
    name, dtype = eqn.primitive.name, str(out.dtype)
    if (
        name == "convert_element_type"
        and jnp.issubdtype(values[0].dtype, jnp.floating)
        and values[0].dtype.itemsize > out.dtype.itemsize
    ):
        return values[0] - out.astype(values[0].dtype)
    if dtype not in LOW_BITS or any(jnp.asarray(value).dtype != out.dtype for value in values):
        return None
    if name == "dot_general":
        return _error_of_products(eqn, values[0], values[1], out)
    if name == "reduce_sum":
        return _error_of_sum(eqn, values[0], out)
    rule = RULES.get(name)
    return None if rule is None else rule(eqn, values, out)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """A sum and its error, which is exact.

    Args:
        a: a number.
        b: another.
    """
    total = a + b
    return total, _lost_by_sum(a, b, total)


def _lost_by_sum(a: Array, b: Array, total: Array) -> Array:
    """What a sum has lost."""
    part = total - a
    return (a - (total - part)) + (b - part)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """A product and its error, exact but for underflow.

    Args:
        a: a number.
        b: another, of the same type.
    """
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(value: Any) -> tuple[Array, Array]:
    """A number as a sum of two with half as many digits, split by bits, since compilers may simplify arithmetic."""
    value = jnp.asarray(value)
    integers, low = LOW_BITS[str(value.dtype)]
    bits = jax.lax.bitcast_convert_type(value, integers)
    high = jax.lax.bitcast_convert_type((bits >> low) << low, value.dtype)
    return high, value - high


def _of_product(eqn: Any, values: list[Any], out: Array) -> Array:
    """What a product loses."""
    product, error = two_product(*values)
    return (product - out) + error


def _of_quotient(eqn: Any, values: list[Any], out: Array) -> Array:
    """What a quotient loses."""
    product, error = two_product(out, values[1])
    return ((values[0] - product) - error) / values[1]


def _of_root(eqn: Any, values: list[Any], out: Array) -> Array:
    """What a square root loses."""
    product, error = two_product(out, out)
    return ((values[0] - product) - error) / (2 * out)


def _of_power(eqn: Any, values: list[Any], out: Array) -> Array | None:
    """What a small whole power loses."""
    exponent = eqn.params.get("y", 2)
    if not 2 <= exponent <= 8:
        return None
    product, lacking = values[0], jnp.zeros_like(values[0])
    for _ in range(exponent - 1):
        following, error = two_product(product, values[0])
        product, lacking = following, lacking * values[0] + error
    return (product - out) + lacking


RULES: dict[str, Callable[[Any, list[Any], Array], Array | None]] = {
    "add": lambda eqn, values, out: _lost_by_sum(values[0], values[1], out),
    "add_any": lambda eqn, values, out: _lost_by_sum(values[0], values[1], out),
    "sub": lambda eqn, values, out: _lost_by_sum(values[0], -values[1], out),
    "mul": _of_product,
    "div": _of_quotient,
    "sqrt": _of_root,
    "square": _of_power,
    "integer_pow": _of_power,
}
"""What single operations lose, by their operands and result."""


def _error_of_products(eqn: Any, a: Array, b: Array, out: Array) -> Array | None:
    """What a product of matrices loses, with terms added one by one."""
    (contracted_a, contracted_b), (batch_a, batch_b) = eqn.params["dimension_numbers"]
    terms = math.prod(a.shape[axis] for axis in contracted_a)
    if not 0 < terms <= LONGEST_SUM:
        return None
    free_a, free_b = (
        [axis for axis in range(x.ndim) if axis not in (*contracted, *batch)]
        for x, contracted, batch in ((a, contracted_a, batch_a), (b, contracted_b, batch_b))
    )
    left = a.transpose(*contracted_a, *batch_a, *free_a)
    right = b.transpose(*contracted_b, *batch_b, *free_b)
    # Terms first, then the axes of the result, of which each operand has its own.
    ones_a, ones_b = (1,) * len(free_a), (1,) * len(free_b)
    batch = out.shape[: len(batch_a)]
    left = left.reshape(terms, *left.shape[len(contracted_a) :], *ones_b)
    right = right.reshape(terms, *batch, *ones_a, *right.shape[len(contracted_b) + len(batch) :])
    return _lost_one_by_one(lambda pair: two_product(*jnp.broadcast_arrays(*pair)), (left, right), out)


def _error_of_sum(eqn: Any, operand: Array, out: Array) -> Array | None:
    """What a sum over axes loses, with terms added one by one."""
    axes = eqn.params["axes"]
    terms = math.prod(operand.shape[axis] for axis in axes)
    if not 0 < terms <= LONGEST_SUM:
        return None
    rows = jnp.moveaxis(operand, axes, range(len(axes))).reshape(terms, *out.shape)
    return _lost_one_by_one(lambda row: (row, jnp.zeros_like(row)), rows, out)


def _lost_one_by_one(term: Callable[[Any], tuple[Array, Array]], rows: Any, out: Array) -> Array:
    """What a sum lacks, given its terms with their own errors."""

    def add(carry: tuple[Array, Array], row: Any) -> tuple[tuple[Array, Array], None]:
        value, own = term(row)
        total, lost = two_sum(carry[0], value)
        return (total, carry[1] + lost + own), None

    (total, lacking), _ = jax.lax.scan(add, (jnp.zeros_like(out), jnp.zeros_like(out)), rows)
    return (total - out) + lacking
