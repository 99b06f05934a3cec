"""How coarsely a program computes: the coarsest unit of rounding among the values that each of its results comes from.

Only values that depend on the carry count: weights or inputs that are stored in a narrow dtype are the same in every
iteration. What comes through integers or booleans does not count either, nor do operations that round for other reasons
than their dtype.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from .inside import interpreted, programs_of
from .primitives import LOOPS
from .unknown import unknown_is

Unit = float
"""Unit of rounding of a value that depends on the state; zero where it does not."""


@unknown_is(lambda closed, own: own)
def coarsest_units(closed: ClosedJaxpr, own: list[Unit]) -> list[Unit]:
    """For each leaf of the carry the coarsest unit of rounding that its value goes through, whatever the step.

    A program that is not understood has the units of the carry's own dtypes.

    Args:
        closed: the step as ``(carry leaves, input leaves) -> (carry leaves, output leaves)``.
        own: units of the dtypes of the carry's leaves.
    """
    units = own
    # One pass a leaf at most: a unit travels from leaf to leaf, at least one further in every step.
    for _ in own:
        after = _after(closed.jaxpr, [*units, *[0.0] * (len(closed.jaxpr.invars) - len(own))])
        before, units = units, [max(pair) if unit else 0.0 for *pair, unit in zip(units, after, own, strict=False)]
        if units == before:
            break
    return units


def unit_of(dtype: Any) -> Unit:
    """The unit of rounding of a floating dtype, zero for any other.

    Args:
        dtype: any.
    """
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.inexact) else 0.0


def _after(jaxpr: Jaxpr, units: Sequence[Unit]) -> list[Unit]:
    """Units of a program's results, given those of its arguments."""
    return interpreted(jaxpr, units, _of_operation, lambda atom, value: 0.0)


def _of_operation(eqn: Any, units: list[Unit]) -> list[Unit]:
    """Units of the results of one operation."""
    coarsest = max(units, default=0.0)
    if coarsest == 0.0:
        return [0.0] * len(eqn.outvars)
    programs = programs_of(eqn)
    called = len(programs) == 1 and (len(programs[0].invars), len(programs[0].outvars)) == (
        len(units),
        len(eqn.outvars),
    )
    if called and eqn.primitive.name not in LOOPS:
        found = _after(programs[0], units)
    else:
        # Branches, loops and the like: whatever one of their values is rounded to may reach all results.
        found = [max([coarsest, *_inside(programs, coarsest)])] * len(eqn.outvars)
    if eqn.primitive.name == "reduce_precision":
        found = [max(found[0], 2.0 ** -eqn.params["mantissa_bits"])]
    results = zip(found, (var.aval for var in eqn.outvars), strict=True)
    return [
        max(unit, own) if unit and (own := unit_of(getattr(aval, "dtype", bool))) else 0.0 for unit, aval in results
    ]


def _inside(programs: list[Jaxpr], unit: Unit) -> list[Unit]:
    """Units of the results of programs whose floating arguments all have one unit."""
    found = []
    for program in programs:
        found += _after(program, [unit if unit_of(getattr(var.aval, "dtype", bool)) else 0.0 for var in program.invars])
    return found
