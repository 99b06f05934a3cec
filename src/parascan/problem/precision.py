"""How coarsely a step computes: the unit of rounding of each entry of its state, read off the traced program.

A carry may be of float32 while the step multiplies in bfloat16. Its iterates then never agree to more digits than
bfloat16 has, and a tolerance in units of float32 is met only when the last step has become exact, after T iterations.
"""

import numpy as np
from jax.extend.core import ClosedJaxpr

from ..programs.units import coarsest_units, unit_of
from .carry import CarryLayout


def units_of_rounding(closed: ClosedJaxpr, layout: CarryLayout) -> np.ndarray:
    """For each entry of the flat state the coarsest unit of rounding among all floating values that it comes from.

    Args:
        closed: the step as ``(carry leaves, input leaves) -> (carry leaves, output leaves)``.
        layout: of the carry.
    """
    units = coarsest_units(closed, [unit_of(leaf.dtype) if leaf.continuous else 0.0 for leaf in layout.leaves])
    return np.maximum(np.repeat(units, [leaf.entries for leaf in layout.leaves]), unit_of(layout.dtype))
