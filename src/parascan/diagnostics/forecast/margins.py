"""How far counts of updates lie from what a formula says, by what is known of the system: intervals that were tried.

The margins are quantiles over systems whose counts were measured (``benchmarks/foresight``), taken apart by situation,
since a law that continues a settled count well may say little where growth is still open. A run that was given up
counts as one that takes all T updates, so that what is not known widens the interval.
"""

import math
from typing import NamedTuple

from .fitted import Offset, calibration
from .newton_pilot import NewtonPilot

DECISIVE = 10.0
"""Growth or decay over the whole length, as an exponent, from which its sign decides."""

SETTLED = 1
"""Updates by which the count of a settled pilot grows at most from half of its length to the whole."""

SATURATED = "as many as steps"
"""The situation of a system whose formula asks for T updates or more: only the lower end is open."""

OPEN = "open"
"""The trend where the sign of the exponent is open, or its decay too slow for the length."""

ANY = "any"
"""The situation whose margins hold where one was too rare to be measured."""


class Center(NamedTuple):
    """A count by formula, and what its margins depend on.

    Attributes:
        updates: by formula.
        reach: factor of the margins, one where nothing is continued.
        situation: of the system.
        least: updates that are taken for sure.
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
        interval: its ends; what is not a number stands for the exponent itself.
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
