"""Kinds of steps, which do differently among lanes."""

import enum

from jax.extend.core import ClosedJaxpr

from .small_steps import small
from .work import functions_of, near, operations


class Kind(enum.Enum):
    """What a step is like, as far as it decides about lanes on a CPU."""

    SMALL = enum.auto()
    """Few entries and no large product: a row of lanes costs little to set out."""
    NEAR = enum.auto()
    """Fast alone, with weights that fill vector registers and stay near: lanes gain little."""
    OTHER = enum.auto()


def kind_of(closed: ClosedJaxpr, size: int) -> Kind:
    """The kind of a step.

    Args:
        closed: the step.
        size: D, entries of a state.
    """
    if small(closed, size):
        return Kind.SMALL
    return kind_by_work(operations(closed), functions_of(closed))


def kind_by_work(work: float, functions: int = 0) -> Kind:
    """The kind of a step of which no more is known than what it computes.

    Args:
        work: its operations, as ``operations`` counts them.
        functions: how many costly operations, as far as known.
    """
    return Kind.NEAR if near(work, functions) else Kind.OTHER
