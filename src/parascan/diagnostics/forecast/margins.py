"""Intervals of forecast counts: how far counts lay from the formulas on other systems in the same situation.

The margins are quantiles over systems whose counts were measured (``benchmarks/foresight``), one set for each
situation, since a law that continues a settled count well may say little where the count still grows. A run that was
given up counts as one that takes all T updates, so that missing knowledge widens the interval.
"""

import math
from typing import NamedTuple

from .fitted import Offset, calibration
from .newton_pilot import NewtonPilot

DECISIVE = 10.0
"""Growth or decay over the whole length, as a natural logarithm, from which the trend is clear."""

SETTLED = 1
"""A pilot counts as settled if its count grows by at most so many updates from half of its length to the whole."""

SATURATED = "as many as steps"
"""The situation of a system whose formula gives T updates or more, so that only the lower end is uncertain."""

OPEN = "open"
"""The trend where the sign of the exponent is not known, or perturbations change too slowly for the length."""

ANY = "any"
"""The situation whose margins stand for situations that were too rare to be measured."""


class Center(NamedTuple):
    """A count by formula, and what its margins depend on.

    Attributes:
        updates: the count by formula.
        reach: factor by which the margins are widened; one where nothing is continued beyond the pilot.
        situation: of the system.
        least: least count that is certain.
    """

    updates: float
    reach: float
    situation: str
    least: float = 1.0


def margin(method: str, situation: str) -> Offset:
    """The margins of a method in a situation, as logarithms of count over formula for a reach of one.

    Args:
        method: its name.
        situation: as the functions below name it.
    """
    measured = calibration().margins[method]
    return measured.get(situation, measured[ANY])


def trend(exponent: float, interval: tuple[float, float], length: int) -> str:
    """Whether perturbations die within the length, grow, or may do either.

    Args:
        exponent: in 1/step.
        interval: its ends; NaN stands for the exponent itself.
        length: T.
    """
    low, high = (exponent if math.isnan(end) else end for end in interval)
    if high < 0 and -high * length >= DECISIVE:
        return "forgets"
    return "grows" if low > 0 else OPEN


def growth(pilot: NewtonPilot) -> str:
    """Whether Newton's count still grew within the pilot.

    Args:
        pilot: with at least one count.
    """
    whole, half, eighth = (pilot.at(pilot.length / part) for part in (1, 2, 8))
    if whole - half <= SETTLED and whole - eighth <= 2 * SETTLED:
        return "settled"
    return "rising" if whole >= 1.5 * half else "slowing"
