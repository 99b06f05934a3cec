"""How coarsely a step computes: the unit of rounding that each entry of its state is known to, from its program.

A carry may be of float32 while the step multiplies in bfloat16. Its iterates then never agree to more digits than
bfloat16 has, and a tolerance in units of float32 is met only when the last step has become exact, after T iterations.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from ..programs.inside import programs_of
from .carry import CarryLayout

Unit = float
"""Unit of rounding of a value that depends on the state; zero where it does not."""


def units_of_rounding(closed: ClosedJaxpr, layout: CarryLayout) -> np.ndarray:
    """For each entry of the flat state the coarsest unit of rounding among all floating values that it comes from.

    Only values that depend on the state count: weights or inputs that are stored in a narrow dtype are the same in
    every iteration. What comes through integers or booleans does not count either, nor do operations that round for
    other reasons than their dtype. Units are carried on from step to step. A program that is not understood has the
    units of the carry's own dtypes.

    Args:
        closed: the step as ``(carry leaves, input leaves) -> (carry leaves, output leaves)``.
        layout: of the carry.
    """
    own = [unit_of(leaf.dtype) if leaf.continuous else 0.0 for leaf in layout.leaves]
    units = own
    try:
        # One pass a leaf at most: a unit travels from leaf to leaf, at least one further in every step.
        for _ in own:
            after = _after(closed.jaxpr, [*units, *[0.0] * (len(closed.jaxpr.invars) - len(own))])
            before, units = units, [max(pair) if unit else 0.0 for *pair, unit in zip(units, after, own, strict=False)]
            if units == before:
                break
    except Exception:  # An analysis that fails means "unknown".
        units = own
    counts = [leaf.entries for leaf in layout.leaves]
    return np.maximum(np.repeat(units, counts), unit_of(layout.dtype))


def unit_of(dtype: Any) -> Unit:
    """The unit of rounding of a floating dtype, zero for any other."""
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.inexact) else 0.0


def _after(jaxpr: Jaxpr, units: Sequence[Unit]) -> list[Unit]:
    """Units of a program's results, given those of its arguments."""
    known = dict(zip(jaxpr.invars, units, strict=True))

    def read(atom: Any) -> Unit:
        return 0.0 if isinstance(atom, Literal) else known.get(atom, 0.0)

    for eqn in jaxpr.eqns:
        known.update(zip(eqn.outvars, _of_operation(eqn, [read(atom) for atom in eqn.invars]), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


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
    if called and eqn.primitive.name not in ("scan", "while"):
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
