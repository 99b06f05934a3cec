"""Coefficients of the forecast, measured once on a family of systems and stored with the package.

``benchmarks/forecast`` fits the power and the formulas, ``benchmarks/foresight`` the margins, each on systems of its
own. Nothing is fitted to the system at hand.
"""

import functools
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass

FILE = "forecast.json"
"""The stored coefficients, beside this module."""


@dataclass(frozen=True)
class Offset:
    """Difference of the logarithms of counts and of a formula: median and interval over the family of systems.

    Attributes:
        median: middle of the logarithms of count over formula.
        low: lower end of the interval of the stated level.
        high: upper end.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """All coefficients that were fitted.

    Attributes:
        power: coefficients of the power with which Newton's count grows with T, for the features of ``power_features``.
        quasi_weight: weight of Newton's count against Jacobi's, in logarithms, in quasi-Newton's count.
        block_slope: power of the block length in Newton's count on blocks.
        offsets: differences of counts from formulas, for gradient descent and for Newton on blocks.
        margins: quantiles of counts over formulas, by method and situation, from which intervals are made.
        level: probability that the intervals are meant to hold with.
        family: what was measured, in a few words.
    """

    power: tuple[float, ...]
    quasi_weight: float
    block_slope: float
    offsets: Mapping[str, Offset]
    margins: Mapping[str, Mapping[str, Offset]]
    level: float
    family: str


@functools.cache
def calibration() -> Calibration:
    """The stored calibration."""
    stored = json.loads((importlib.resources.files("parascan.diagnostics.forecast") / FILE).read_text())
    offsets = {name: Offset(**each) for name, each in stored.pop("offsets").items()}
    margins = {
        method: {situation: Offset(**each) for situation, each in by_situation.items()}
        for method, by_situation in stored.pop("margins").items()
    }
    return Calibration(power=tuple(stored.pop("power")), offsets=offsets, margins=margins, **stored)
