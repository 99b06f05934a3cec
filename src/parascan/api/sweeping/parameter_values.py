"""The points of a sweep: one or two parameters, each with its values."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

MOST_PARAMETERS = 2
"""Most parameters of a sweep: as many as a picture has axes."""


@dataclass(frozen=True)
class Point:
    """A place of the grid.

    Attributes:
        index: where it is among all points, in the order in which they are measured.
        values: of each parameter, by name.
    """

    index: int
    values: Mapping[str, Any]

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The values as they are given to the user's function.

        Floating numbers become arrays without axes, so that all points can share one compiled program; they are weakly
        typed, so that they do not change the dtype of states. Integers may be sizes, and stay as they are.
        """
        return {name: jnp.asarray(each) if isinstance(each, float) else each for name, each in self.values.items()}

    def __str__(self) -> str:
        return ", ".join(f"{name} = {value:.6g}" for name, value in self.values.items())


@dataclass(frozen=True)
class Grid:
    """All points.

    Attributes:
        axes: values of each parameter, by name.
    """

    axes: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, parameters: Any) -> "Grid":
        """A grid from what a user gives.

        Args:
            parameters: a mapping from names to increasing numbers.

        Raises:
            TypeError: no mapping, names that are no words, or values that are no numbers.
            ValueError: no parameter or too many, or values that do not increase.
        """
        if not isinstance(parameters, Mapping):
            expected = 'a mapping such as {"gain": numpy.linspace(0.5, 2, 16)}'
            raise TypeError(f"parameters: given {type(parameters).__name__}, expected {expected}.")
        if not 1 <= len(parameters) <= MOST_PARAMETERS:
            raise ValueError(f"parameters: given {len(parameters)}, expected one or two.")
        return cls({name: _axis(name, values) for name, values in parameters.items()})

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each parameter."""
        return tuple(len(each) for each in self.axes.values())

    def __iter__(self) -> Iterator[Point]:
        """The points, the last parameter changing fastest."""
        combinations = itertools.product(*(axis.tolist() for axis in self.axes.values()))
        return (Point(index, dict(zip(self.axes, each, strict=True))) for index, each in enumerate(combinations))


def _axis(name: Any, values: Any) -> np.ndarray:
    """The values of one parameter."""
    where = f"parameters[{name!r}]"
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"{where}: given a name that no argument can have, expected one that make takes.")
    if isinstance(values, Tracer):
        raise TypeError(f"{where}: given traced values, expected numbers: a sweep is no part of a compiled program.")
    axis = np.asarray(values)
    if axis.ndim != 1 or not axis.size or axis.dtype.kind not in "iuf":
        raise TypeError(f"{where}: given {axis.dtype}{list(axis.shape)}, expected a line of one number or more.")
    if not np.isfinite(axis).all() or not (np.diff(axis) > 0).all():
        raise ValueError(f"{where}: given values that do not increase or are not finite, expected increasing numbers.")
    return axis.astype(float) if axis.dtype.kind == "f" else axis
