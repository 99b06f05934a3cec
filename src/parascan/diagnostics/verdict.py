"""Predictable or not: the decision, and the evidence in words."""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from .estimate import Estimate

Verdict = Literal["predictable", "marginal", "unpredictable", "undetermined"]

DECISIVE = 10.0
"""Growth or decay over the whole length, as an exponent, from which its sign decides."""

LARGEST_SHARE = 0.25
"""Part of T above which Newton's iterations are too many for a system to be called predictable."""

AGREEMENT = 0.9
"""Part of the pilots that must agree on the sign of the exponent where its interval leaves it open."""


class Ruling(NamedTuple):
    """A verdict and why.

    Attributes:
        verdict: the verdict.
        evidence: sentences.
    """

    verdict: Verdict
    evidence: tuple[str, ...]


def rule(exponent: Estimate, per_pilot: Float[np.ndarray, " P"], newton: Estimate, length: int, finite: bool) -> Ruling:
    """Decide.

    *Predictable*: the exponent is negative beyond doubt, perturbations die out well within the length, and Newton is
    expected to need at most a quarter of T, doubt included. *Unpredictable*: positive beyond doubt, and perturbations
    grow within the length. *Undetermined*: the sign is open and matters at this length. *Marginal*: everything else.

    Args:
        exponent: largest Lyapunov exponent, in 1/step.
        per_pilot: that of every pilot.
        newton: Newton's iterations.
        length: T.
        finite: whether all states seen were finite.
    """
    value, low, high = (float(each) for each in (exponent.value, exponent.low, exponent.high))
    if not finite or math.isnan(value):
        return Ruling("undetermined", ("The pilots left the range of numbers: nothing can be said.",))
    evidence = [_sign(value, low, high), f"Over {length} steps perturbations {_factor(value * length)}."]
    share = float(newton.high) / length
    evidence.append(_iterations(newton, length))
    if low > 0 and value * length >= DECISIVE:
        return Ruling("unpredictable", tuple(evidence))
    if high < 0 and -value * length >= DECISIVE and share <= LARGEST_SHARE:
        return Ruling("predictable", tuple(evidence))
    if low <= 0 <= high and max(-low, high) * length > DECISIVE:
        negative = float(np.mean(per_pilot < 0))
        if max(negative, 1 - negative) < AGREEMENT:
            evidence.append(f"The pilots disagree: the exponent is negative in {negative:.0%} of them.")
        return Ruling("undetermined", (*evidence, "More pilots decide: raise the budget."))
    if abs(value) * length < DECISIVE:
        evidence.append("The exponent times the length is too small for its sign to decide.")
    if share > LARGEST_SHARE:
        evidence.append("Newton may need more than a quarter of T, whatever the exponent says.")
    return Ruling("marginal", tuple(evidence))


def _sign(value: float, low: float, high: float) -> str:
    """What is known of the exponent's sign."""
    interval = f"{value:.4g} per step, interval [{low:.4g}, {high:.4g}]"
    if high < 0:
        return f"The largest exponent is negative: {interval}."
    if low > 0:
        return f"The largest exponent is positive: {interval}."
    return f"The sign of the largest exponent is open: {interval}."


def _factor(total: float) -> str:
    """What a perturbation becomes."""
    if not math.isfinite(total):
        return "vanish at once" if total < 0 else "grow without limit"
    word = "shrink" if total < 0 else "grow"
    return f"{word} by a factor of about 10^{abs(total) / math.log(10):.2g}"


def _iterations(newton: Estimate, length: int) -> str:
    """Newton's iterations beside T."""
    value, low, high = (int(each) for each in (newton.value, newton.low, newton.high))
    share = f"{value / length:.2g} T" if length else ""
    between = "measured" if low == high else f"{low} to {high}"
    return f"Newton is expected to take {value} iterations ({between}), {share}."
