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
from jaxtyping import Array, Bool

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
            return bind(eqn, eqn.params, [self.err(operands[0], *_accuracy_of_sum(eqn)), *operands[1:]])
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
        units, unit = _accuracy_of_sum(eqn)
        scale = units * (0.5 * float(jnp.finfo(eqn.invars[0].aval.dtype).eps) if unit is None else unit)
        self.count += 1
        error = jnp.where(self._signs(out), scale, -scale) * moved * self.size
        return out + error.astype(out.dtype)

    def err(self, value: Any, units: float, unit: float | None = None) -> Any:
        """The value with an error of so many units of rounding in a random direction.

        Args:
            value: an array; one that is not floating stays as it is.
            units: how many.
            unit: of rounding; that of the dtype when None.
        """
        value = jnp.asarray(value)
        if not jnp.issubdtype(value.dtype, jnp.inexact):
            return value
        self.count += 1
        scale = units * (0.5 * float(jnp.finfo(value.dtype).eps) if unit is None else unit)
        error = jnp.where(self._signs(value), scale, -scale) * self.size
        return value * (1 + error.astype(value.real.dtype))

    def _signs(self, value: Array) -> Bool[Array, "..."]:
        """Whether the error of each entry is positive."""
        # Not by a random key for each operation: its generator would be most of the program that is compiled.
        draw, bit = divmod(self.count, DRAWN)
        kind = value.shape, draw
        if kind not in self._bits:
            entries = jnp.arange(value.size, dtype=jnp.uint32).reshape(value.shape)
            self._bits[kind] = mixed(entries, self.seed + np.uint32(draw))
        return (self._bits[kind] & np.uint32(1 << bit)) != 0


def _accuracy_of_sum(eqn: Any) -> tuple[float, float | None]:
    """Error of each term of a sum in units of rounding, and the unit where it is not that of the dtype.

    Partial sums grow like the root of the number of terms, and so do their errors in units of one term.
    """
    operand = eqn.invars[0].aval
    if eqn.primitive.name not in PRODUCTS:
        axes = eqn.params.get("axes", (eqn.params.get("axis"),))
        terms = math.prod(operand.shape[axis] for axis in axes)
        return max(1.0, 0.5 * math.sqrt(terms)), None
    (contracted, _), _ = eqn.params["dimension_numbers"]
    terms = math.prod(operand.shape[axis] for axis in contracted)
    units, precision = max(1.0, 0.5 * math.sqrt(terms)), eqn.params.get("precision")
    passes = PRODUCTS_IN_PASSES.get(platform_of())
    if passes is None or operand.dtype != jnp.float32 or "HIGHEST" in str(precision).upper():
        return units, None
    return units, passes
