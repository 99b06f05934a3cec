"""The rounding error of a step with its sign, as far as it can be had: errors that keep their sign add up.

A clock ``s + 0.1`` loses the same part of 0.1 at every step, so that its errors grow like the number of steps, not like
its root. The step's program is run once more with the exact error of every sum, product, quotient and root beside its
result, carried on to the step's result by forward differentiation. What elementary functions, loops and branches round
has no sign here; only what they make of errors before them counts.

Source: Langlois 2001, automatic linear correction of rounding errors; Knuth and Dekker for errors of sums and products.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from .._inside import INLINED, as_closed, bind, interpreted
from .._problem import Recurrence
from .._types import State, Trajectory, Tree
from .._unknown import unknown_is

LONGEST_SUM = 256
"""Most terms of a sum whose terms are added one by one."""

LOW_BITS = {"float32": (jnp.uint32, 12), "float64": (jnp.uint64, 27)}
"""Bits that are cut off to halve a number, so that products of halves are exact."""

NARROW = frozenset({"float16", "bfloat16"})
"""Types whose operations are done in float32 to see their error."""

ALIKE_IN_FLOAT32 = frozenset(
    {"add", "add_any", "sub", "mul", "div", "sqrt", "rsqrt", "square", "integer_pow", "pow", "exp", "log", "tanh"}
    | {"logistic", "sin", "cos", "tan", "exp2", "log1p", "expm1", "atan2"}
)
"""Operations that take float32 in place of a narrow type without a change of parameters."""


class _Measured(NamedTuple):
    """A value of the program and what it lacks to the exact one, None where it lacks nothing."""

    value: Any
    error: Any


def _without_errors(problem: Recurrence, states: Trajectory) -> tuple[Trajectory, Trajectory]:
    """Results alone, where a program is not understood."""
    return problem.images(states), jnp.zeros_like(states)


@unknown_is(_without_errors)
def images_with_errors(problem: Recurrence, states: Trajectory) -> tuple[Trajectory, Trajectory]:
    """Every step's result, and what it lacks to the exact one to first order, with its sign ``[T D]`` each.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]`` whose steps are evaluated.
    """
    inputs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), problem.inputs)
    state = jax.ShapeDtypeStruct((problem.size,), problem.dtype)
    program = jax.make_jaxpr(problem.advance)(state, inputs)

    def one(previous: State, x: Tree) -> tuple[State, State]:
        leaves = [_Measured(leaf, None) for leaf in jax.tree.leaves((previous, x))]
        value, error = _run(program, leaves)[0]
        return value, jnp.zeros_like(value) if error is None else error

    return jax.vmap(one)(problem.previous(states), problem.inputs)


def _run(closed: ClosedJaxpr, args: Sequence[_Measured]) -> list[_Measured]:
    """Results of a program."""
    return interpreted(closed, args, _apply, lambda value: _Measured(value, None))


def _apply(eqn: Any, operands: list[_Measured]) -> list[_Measured]:
    """Results of one operation."""
    inner = eqn.params.get(INLINED.get(eqn.primitive.name, ""))
    if inner is not None:
        return _run(as_closed(inner), operands)
    values = [operand.value for operand in operands]
    if len(eqn.outvars) != 1 or not _is_real(eqn.outvars[0].aval):
        return _carried_on(eqn, operands)
    (out,) = _carried_on(eqn, operands)
    if _is_narrowed(eqn, values):
        value, own = _in_float32(eqn, values, out.value.dtype)
        out = _Measured(value, out.error)
    else:
        own = _own_error(eqn, values, out.value)
    if own is None:
        return [out]
    own = jnp.where(jnp.isfinite(own), own, 0).astype(out.value.dtype)
    return [_Measured(out.value, own if out.error is None else out.error + own)]


def _is_real(aval: Any) -> bool:
    """Whether a value has real floating entries."""
    return jnp.issubdtype(aval.dtype, jnp.floating)


def _carried_on(eqn: Any, operands: list[_Measured]) -> list[_Measured]:
    """The operation's results, with errors of its operands alone."""
    values = [operand.value for operand in operands]
    moving = [place for place, operand in enumerate(operands) if operand.error is not None]
    if not moving:
        return [_Measured(out, None) for out in bind(eqn, eqn.params, values)]

    def run(*given: Any) -> tuple[list[Any], list[Any]]:
        filled = list(values)
        for place, value in zip(moving, given, strict=True):
            filled[place] = value
        outs = bind(eqn, eqn.params, filled)
        return [out for out in outs if _is_real(out)], [None if _is_real(out) else out for out in outs]

    given, errors = [values[place] for place in moving], [operands[place].error for place in moving]
    outs, changes, others = jax.jvp(run, given, errors, has_aux=True)
    measured = iter([_Measured(*pair) for pair in zip(outs, changes, strict=True)])
    return [next(measured) if other is None else _Measured(other, None) for other in others]


def _own_error(eqn: Any, values: list[Any], out: Array) -> Any:
    """What an operation itself loses, None where it is exact or unknown."""
    name, dtype = eqn.primitive.name, str(out.dtype)
    if name == "convert_element_type" and _is_real(values[0]) and values[0].dtype.itemsize > out.dtype.itemsize:
        return values[0] - out.astype(values[0].dtype)
    if dtype not in LOW_BITS or any(jnp.asarray(value).dtype != out.dtype for value in values):
        return None
    if name == "dot_general":
        return _error_of_products(eqn, values[0], values[1], out)
    if name == "reduce_sum":
        return _error_of_sum(eqn, values[0], out)
    rule = RULES.get(name)
    return None if rule is None else rule(eqn, values, out)


def _is_narrowed(eqn: Any, values: list[Any]) -> bool:
    """Whether an operation's result is a narrow type's, and what it rounds can be seen in float32."""
    if str(eqn.outvars[0].aval.dtype) not in NARROW:
        return False
    converted = eqn.primitive.name == "convert_element_type" and str(values[0].dtype) == "float32"
    return converted or eqn.primitive.name in ALIKE_IN_FLOAT32


def _in_float32(eqn: Any, values: list[Any], dtype: Any) -> tuple[Array, Array]:
    """The result of an operation on a narrow type, and its error."""
    wide = [jnp.asarray(value).astype(jnp.float32) for value in values]
    exact = wide[0] if eqn.primitive.name == "convert_element_type" else bind(eqn, eqn.params, wide)[0]
    numbers = jnp.finfo(dtype)
    # Compilers may leave out a conversion there and back, but not this.
    rounded = jax.lax.reduce_precision(exact, numbers.nexp, numbers.nmant)
    return rounded.astype(dtype), exact - rounded


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
    """A number as a sum of two of half as many digits; by bits, which no compiler takes for arithmetic."""
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
