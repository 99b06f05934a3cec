"""What is known of a value inside a step, for every state and every input: its range, and how it follows the state."""

import dataclasses
from typing import Any

import numpy as np

Number = np.ndarray


class UnboundedError(Exception):
    """Nothing holds for every state; the text says why."""


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Bounds on a value and on its derivative with respect to a flat state of D entries.

    Attributes:
        low: least value of each entry, minus infinity where there is none.
        high: largest value of each entry.
        slopes: bounds on the absolute derivatives, with one axis of size D more than the value; None where the state
            does not matter.
        linear: the derivative itself, where it is the same for all states and inputs; None elsewhere.
        norm: bound on the Euclidean norm of the derivative as a matrix with D columns.
        value: the value itself, where it is known; None elsewhere.
    """

    low: Number
    high: Number
    slopes: Number | None = None
    linear: Number | None = None
    norm: float = 0.0
    value: Any = None

    @property
    def largest(self) -> Number:
        """Bound on the absolute value of each entry."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def dependent(self) -> bool:
        """Whether the state matters."""
        return self.slopes is not None


def known(value: Any) -> Bounds:
    """A value that is the same for all states and inputs; of other than real numbers no range is told.

    Args:
        value: an array.
    """
    try:
        given = np.asarray(value)
    except TypeError:  # keys
        return dataclasses.replace(anything(value.shape), value=value)
    entries = np.full(given.shape, np.nan) if np.iscomplexobj(given) else given.astype(np.float64)
    if np.isnan(entries).any():
        return dataclasses.replace(anything(given.shape), value=value)
    return Bounds(entries, entries, value=value)


def anything(shape: tuple[int, ...]) -> Bounds:
    """A value that does not depend on the state, of which nothing else is known.

    Args:
        shape: of the value.
    """
    return Bounds(np.full(shape, -np.inf), np.full(shape, np.inf))


def any_state(size: int) -> Bounds:
    """The flat state itself.

    Args:
        size: D.
    """
    identity = np.eye(size)
    return dataclasses.replace(anything((size,)), slopes=identity, linear=identity, norm=1.0)


def times(a: Number | float, b: Number | float) -> Number:
    """A product of bounds, where nothing times infinity is nothing: a factor that is zero everywhere.

    Args:
        a: one factor.
        b: the other.
    """
    with np.errstate(invalid="ignore"):
        found = np.asarray(np.multiply(a, b))
    return np.where(np.isnan(found), 0.0, found)


def norm_of(linear: Number) -> float:
    """The Euclidean norm of a derivative.

    Args:
        linear: with the axis of the state last.
    """
    matrix = linear.reshape(-1, linear.shape[-1])
    return float(np.linalg.norm(matrix, 2)) if matrix.size else 0.0


def of_linear(low: Number, high: Number, linear: Number) -> Bounds:
    """A value whose derivative is known.

    Args:
        low: its least values.
        high: its largest values.
        linear: the derivative.
    """
    return Bounds(low, high, np.abs(linear), linear, norm_of(linear))
