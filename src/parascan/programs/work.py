"""How much a step computes and how long it takes, by counting: no clock, the same answer every time."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from .inside import programs_of
from .unknown import unknown_is

COSTLY = frozenset(
    {"acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "erf", "erf_inv", "erfc"}
    | {"exp", "exp2", "expm1", "lgamma", "log", "log1p", "log2", "logistic", "pow", "rsqrt", "sin", "sinh", "sqrt"}
    | {"tan", "tanh", "random_bits", "threefry2x32"}
)
"""Operations that take about ten others."""

MOVING = frozenset(
    {"broadcast_in_dim", "concatenate", "convert_element_type", "copy", "dynamic_slice", "dynamic_update_slice"}
    | {"expand_dims", "gather", "iota", "pad", "reshape", "rev", "slice", "split", "squeeze", "stack"}
    | {"stop_gradient", "transpose"}
)
"""Operations that compute nothing."""

SETTING_OUT = 8
"""Nanoseconds that any step takes on one core."""

PRODUCT = 15
"""Nanoseconds that each product of a matrix adds, however small: its loops are not joined with what surrounds them."""

FUNCTION = 30
"""Nanoseconds that each costly operation adds to a step with products, beyond one that ends it."""

OPERATION, IN_LARGE_PRODUCTS = 0.09, 0.02
"""Nanoseconds of each of the first thousand operations, and of the others: those are of large products."""

NEAR = (2500, 20000)
"""Operations of a step between which its weights fill vector registers but not the nearest cache of 32 kB (float32
networks of 36 to 96 units): one step after the other is at its fastest there, and lanes gain least."""


@unknown_is(lambda closed: 0.0)
def operations(closed: ClosedJaxpr) -> float:
    """Arithmetic operations of one step, roughly."""
    return float(sum(operations_of(eqn) for eqn in equations(closed.jaxpr)))


@unknown_is(lambda step, *example: False)
def costly(step: Callable[..., Any], *example: Any) -> bool:
    """Whether a step has operations that take about ten others.

    Args:
        step: the step.
        example: its arguments, as arrays or ``ShapeDtypeStruct``.
    """
    return functions_of(jax.make_jaxpr(step)(*example)) > 0


def functions_of(closed: ClosedJaxpr) -> int:
    """How many costly operations a step has, whatever their number of entries.

    Args:
        closed: the step.
    """
    return sum(eqn.primitive.name in COSTLY for eqn in equations(closed.jaxpr))


def step_time(work: float, products: int = 0, functions: int = 0) -> float:
    """Nanoseconds of a step on one core, within a factor of two for networks of 4 to 128 units in float32.

    Args:
        work: its operations, as ``operations`` counts them.
        products: how many products of matrices it has.
        functions: how many costly operations.
    """
    if near(work, functions):
        alone = 50 + 0.01 * work
    else:
        large = max(work - 1000, 0)
        alone = SETTING_OUT + OPERATION * (work - large) + IN_LARGE_PRODUCTS * large
    return alone + PRODUCT * products + FUNCTION * max(functions - 1, 0)


def near(work: float, functions: int = 0) -> bool:
    """Whether the weights of a step are of the size at which one step after the other is at its fastest.

    Those of one product and one function are; gates, of a few smaller products, are not.

    Args:
        work: its operations, as ``operations`` counts them.
        functions: how many costly operations, as far as known.
    """
    return NEAR[0] < work < NEAR[1] and functions <= 1


def terms_of(eqn: Any) -> int:
    """Terms of each entry of a product.

    Args:
        eqn: a ``dot_general``.
    """
    (contracted, _), _ = eqn.params["dimension_numbers"]
    return int(np.prod([eqn.invars[0].aval.shape[axis] for axis in contracted]))


def equations(jaxpr: Any) -> list[Any]:
    """All equations of a program that are not merely calls, including those of programs inside it."""
    found = []
    for eqn in jaxpr.eqns:
        inner = programs_of(eqn)
        found.extend([eqn] if not inner else [])
        for program in inner:
            found.extend(equations(program))
    return found


def operations_of(eqn: Any) -> float:
    """Operations of one equation that calls no other program; moving entries is none.

    Args:
        eqn: the equation.
    """
    if eqn.primitive.name in MOVING:
        return 0
    entries = sum(int(np.prod(var.aval.shape)) for var in eqn.outvars)
    if eqn.primitive.name == "dot_general":
        return 2 * entries * terms_of(eqn)
    return entries * (10 if eqn.primitive.name in COSTLY else 1)
