"""Where an exponent crosses zero along a parameter."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Crossing(NamedTuple):
    """A place where an exponent changes its sign.

    Attributes:
        value: zero of the straight line between the two neighbors, in the unit of the parameter.
        low: last value of the parameter before it where the interval of the exponent excludes zero; -inf if none.
        high: first value after it where the interval excludes zero on the other side; inf if none.
    """

    value: float
    low: float
    high: float


UNKNOWN = Crossing(np.nan, -np.inf, np.inf)
"""Stands for a crossing that is not on the grid."""


def crossings(
    places: Float[np.ndarray, " N"],
    values: Float[np.ndarray, " N"],
    low: Float[np.ndarray, " N"],
    high: Float[np.ndarray, " N"],
) -> tuple[Crossing, ...]:
    """All changes of sign in the order of the parameter.

    Between two points whose intervals exclude zero with different signs there is one crossing, however often the unsure
    values between them change their sign; the first such change is its value. If the exponent is continuous and both
    intervals hold, it is zero somewhere between these points.

    Args:
        places: values of the parameter, increasing.
        values: exponent at each; NaN where unknown, which is passed over.
        low: lower end of its interval.
        high: upper end.

    Examples:
        >>> crossings(np.arange(3.0), np.array([-1.0, 0.5, 1.0]), np.array([-2, -0.1, 0.9]), np.array([-0.5, 1, 2]))
        (Crossing(value=0.6666666666666666, low=0.0, high=2.0),)
    """
    known = ~np.isnan(values)
    places, values, low, high = (each[known] for each in (places, values, low, high))
    signs = np.where(low > 0, 1, np.where(high < 0, -1, 0))
    found: list[Crossing] = []
    start, sure = -np.inf, 0
    change: float | None = None
    for index, place in enumerate(places):
        if index and change is None and (values[index - 1] > 0) != (values[index] > 0):
            change = _zero(places[index - 1 : index + 1], values[index - 1 : index + 1])
        if not signs[index]:
            continue
        if change is not None and signs[index] != sure:
            found.append(Crossing(change, start, float(place)))
        start, sure, change = float(place), int(signs[index]), None
    if change is not None and (not sure or (values[-1] > 0) != (sure > 0)):
        found.append(Crossing(change, start, np.inf))
    return tuple(found)


def _zero(places: Float[np.ndarray, " 2"], values: Float[np.ndarray, " 2"]) -> float:
    """Where the straight line through two points is zero; the middle between them where one is infinite."""
    share = -values[0] / (values[1] - values[0]) if np.isfinite(values).all() else 0.5
    return float(places[0] + share * (places[1] - places[0]))
