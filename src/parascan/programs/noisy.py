"""A program run with a random error in every operation, which shows how far rounding moves its results.

Each operation's result is multiplied by ``1 + c u`` times a random sign, with u the unit of rounding of its dtype and c
its accuracy in such units.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array, Float

from .inside import bind, called, interpreted
from .patterns import mixed
from .platform import platform_of
from .primitives import CONTROL, COSTLY, EXACT, OWN_TANGENTS, PRODUCTS, SUMS

UNITS_OF_COSTLY = 4.0
"""Error of an elementary function in units of rounding; vectorized ones are no better than that in float32."""

UNITS_OF_PROGRAMS = 8.0
"""Error of a loop, a branch or a function with a derivative rule of its own, as a whole, in units of rounding."""

OPAQUE = CONTROL | OWN_TANGENTS
"""Operations whose inner operations get no errors; instead their operands and results get ``UNITS_OF_PROGRAMS``."""

DRAWN = 8
"""Bits that are drawn at once for each entry, of which each operation takes one."""

PRODUCTS_IN_PASSES = {"gpu": 2.0**-11, "cuda": 2.0**-11, "rocm": 2.0**-11, "tpu": 2.0**-9}
"""Unit of rounding of float32 matrix products in the default precision of accelerators."""


class Noisy:
    """One run of a program in which every operation gets a random error; it counts them, to draw new signs for each."""

    def __init__(self, key: Array, size: Array) -> None:
        self.seed = jax.random.bits(key, (), jnp.uint32)
        self.size = size
        self.count = 0
        self._bits: dict[tuple[tuple[int, ...], int], Array] = {}

    def run(self, closed: ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
        """Results of a program.

        Args:
            closed: the program.
            args: its arguments.
        """
        return interpreted(closed, args, self._apply)

    def _apply(self, eqn: Any, operands: list[Any]) -> list[Any]:
        """Results of one operation with its error."""
        name = eqn.primitive.name
        if name not in OPAQUE and (inner := called(eqn)) is not None:
            return self.run(inner, operands)
        if name == "convert_element_type":
            return [self._converted(eqn, operands)]
        if name in EXACT:
            return bind(eqn, eqn.params, operands)
        if name in PRODUCTS:
            return [self._product(eqn, operands)]
        if name in SUMS:
            # Each term errs, so that cancellation between terms leaves what they leave.
            return bind(eqn, eqn.params, [self.err(operands[0], _units_of_sum(eqn)), *operands[1:]])
        if name in OPAQUE:
            operands = [self.err(operand, UNITS_OF_PROGRAMS) for operand in operands]
        units = {True: UNITS_OF_PROGRAMS, False: UNITS_OF_COSTLY if name in COSTLY else 1.0}[name in OPAQUE]
        return [self.err(out, units) for out in bind(eqn, eqn.params, operands)]

    def _converted(self, eqn: Any, operands: list[Any]) -> Any:
        """A conversion, which rounds only where it narrows."""
        before, after = operands[0].dtype, eqn.outvars[0].aval.dtype
        out = bind(eqn, eqn.params, operands)[0]
        floating = jnp.issubdtype(before, jnp.inexact) and jnp.issubdtype(after, jnp.inexact)
        narrows = floating and float(jnp.finfo(after).eps) > float(jnp.finfo(before).eps)
        return self.err(out, 1.0) if narrows else out

    def _product(self, eqn: Any, operands: list[Any]) -> Any:
        """A product of matrices each of whose terms errs, so that cancellation between terms leaves what they leave.

        The errors of the terms of an entry add up to one of a random sign, whose size is the root of the sum of their
        squares. To move the terms themselves would take a matrix of its own for every run of a program.
        """
        out = bind(eqn, eqn.params, operands)[0]
        if not jnp.issubdtype(out.dtype, jnp.inexact):
            return out
        # Parts of the largest entry, so that squares neither overflow nor vanish.
        sizes = [jnp.abs(jax.lax.stop_gradient(operand)) for operand in operands]
        largest = [jnp.max(size, initial=0) for size in sizes]
        parts = [size / jnp.where(most > 0, most, 1) for size, most in zip(sizes, largest, strict=True)]
        squares = bind(
            eqn, eqn.params, [(part * part).astype(each.dtype) for part, each in zip(parts, operands, strict=True)]
        )
        moved = jnp.sqrt(jnp.abs(squares[0])) * largest[0] * largest[1]
        return out + (self._error(out, _accuracy_of_product(eqn)) * moved).astype(out.dtype)

    def err(self, value: Any, units: float) -> Any:
        """The value with an error of so many units of rounding in a random direction.

        Args:
            value: an array; one that is not floating stays as it is.
            units: how many.
        """
        value = jnp.asarray(value)
        if not jnp.issubdtype(value.dtype, jnp.inexact):
            return value
        error = self._error(value, units * _unit(value.dtype))
        return value * (1 + error.astype(value.real.dtype))

    def _error(self, value: Array, scale: float) -> Float[Array, "..."]:
        """The next operation's error of each entry, of one size and a random sign."""
        self.count += 1
        # No random key for each operation: its generator would be most of the program that is compiled.
        draw, bit = divmod(self.count, DRAWN)
        kind = value.shape, draw
        if kind not in self._bits:
            entries = jnp.arange(value.size, dtype=jnp.uint32).reshape(value.shape)
            self._bits[kind] = mixed(entries, self.seed + np.uint32(draw))
        positive = (self._bits[kind] & np.uint32(1 << bit)) != 0
        return jnp.where(positive, scale, -scale) * self.size


def _unit(dtype: Any) -> float:
    """The unit of rounding of a dtype."""
    return 0.5 * float(jnp.finfo(dtype).eps)


def _units_of_terms(count: int) -> float:
    """Error of each term of a sum in units of rounding.

    Partial sums grow like the root of the number of terms, and so do their errors in units of one term.
    """
    return max(1.0, 0.5 * math.sqrt(count))


def _units_of_sum(eqn: Any) -> float:
    """Error of each term of an operation that sums over axes, in units of rounding."""
    axes = eqn.params.get("axes", (eqn.params.get("axis"),))
    return _units_of_terms(math.prod(eqn.invars[0].aval.shape[axis] for axis in axes))


def _accuracy_of_product(eqn: Any) -> float:
    """Error of each term of a product of matrices, as a part of it."""
    operand = eqn.invars[0].aval
    (contracted, _), _ = eqn.params["dimension_numbers"]
    units = _units_of_terms(math.prod(operand.shape[axis] for axis in contracted))
    passes = PRODUCTS_IN_PASSES.get(platform_of())
    precise = operand.dtype != jnp.float32 or "HIGHEST" in str(eqn.params.get("precision")).upper()
    return units * (_unit(operand.dtype) if passes is None or precise else passes)
