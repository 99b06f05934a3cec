"""Whether a step can be run for many lanes at once at all, found out by trying on shapes."""

from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from .batching import over_lanes
from .unknown import unknown_is

LANES = 2
"""Lanes of the trial: as good as any other number."""


@unknown_is(lambda closed: False)
def runs_over_lanes(closed: ClosedJaxpr) -> bool:
    """Whether every operation of a step has a rule for a further axis; nothing is run.

    Args:
        closed: the step.
    """
    example = [_with_shape(aval, aval.shape) for aval in closed.in_avals]
    lanes = over_lanes(jaxpr_as_fun(closed), [True] * len(example), *example)
    jax.eval_shape(lanes, *(_with_shape(each, (*each.shape, LANES)) for each in example))
    return True


def _with_shape(like: Any, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    """An array of the same dtype."""
    return jax.ShapeDtypeStruct(shape, like.dtype)
