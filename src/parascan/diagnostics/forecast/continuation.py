"""Newton's count continued beyond its pilot, as a power of T that follows from the pilot and the exponent."""

import math

from .fitted import calibration
from .margins import Center, growth, trend
from .newton_pilot import NewtonPilot

STEEPEST = 1.1
"""Largest power of T: slightly above one, since a pilot may begin near its guess and count too few updates."""


def power_features(pilot: NewtonPilot, exponent: float) -> tuple[float, ...]:
    """The features that the growth of Newton's count with T depends on, from the pilot and the exponent.

    Args:
        pilot: with at least one count.
        exponent: in 1/step.
    """
    length = pilot.length
    whole, half, quarter = (max(pilot.at(length / part), 1) for part in (1, 2, 4))
    memory = math.tanh(exponent * length / 3) if math.isfinite(exponent) else 0.0
    return (1.0, math.log2(whole / half), math.log2(half / quarter), memory, math.log(whole / length))


def power_of_length(pilot: NewtonPilot, exponent: float) -> float:
    """The power of T with which Newton's count grows beyond the pilot."""
    features = power_features(pilot, exponent)
    score = sum(c * f for c, f in zip(calibration().power, features, strict=True))
    return STEEPEST / (1 + math.exp(-score))


def newton_center(
    pilot: NewtonPilot, exponent: float, length: int, interval: tuple[float, float] = (math.nan, math.nan)
) -> Center:
    """The count of a pilot continued to T, and the situation that its margins depend on.

    Args:
        pilot: with at least one count, shorter than T.
        exponent: largest Lyapunov exponent, in 1/step.
        length: T.
        interval: of the exponent; NaN where it is not known.
    """
    known, stretch = pilot.at(pilot.length), length / pilot.length
    count = max(known, 1) * stretch ** power_of_length(pilot, exponent)
    situation = f"{trend(exponent, interval, length)}, {growth(pilot)}"
    return Center(min(count, length), 1 + math.log(stretch), situation, least=known)
