"""The verdict of a diagnosis, predictable or not, and the evidence in words."""

import math
from typing import Literal, NamedTuple

from ..estimate import Estimate
from ..growth.coupling import Coupling
from .margins import DECISIVE

Verdict = Literal["predictable", "marginal", "unpredictable", "undetermined"]

LARGEST_SHARE = 0.25
"""Part of T above which Newton's iterations are too many for a system to be called predictable."""

DOUBT = 1.25
"""Factor by which the exponent's interval is widened before it must exclude zero: a verdict has to be wrong less often
than an interval of 95 %."""

NEUTRAL = 12.0
"""A mode counts as neutral if it grows or decays over the measured steps by at most this natural logarithm."""

APART = 0.1
"""Part of the pairs of copies that must stay apart before the step is said not to forget."""

SURELY_MET = 28.0
"""Natural logarithm by which the exponent has copies come together from where they count as met for sure: twice that of
the part of their first distance at which they do."""

FAMILIAR = 4.0
"""Largest factor, in units of the largest Jacobian norm, by which a step without jumps moves close copies apart."""


class Seen(NamedTuple):
    """What a verdict rests on, beside the exponent.

    Attributes:
        measured: steps for which one direction has been followed.
        complete: whether those are all T steps.
        coupling: whether copies that start a finite distance apart come together.
        norm: largest norm of a Jacobian, as far as it is known.
        whole: leaves of the carry that are not floating, and so not perturbed.
        finite: whether all states seen were finite.
        false_slopes: whether the step's derivative cannot be that of its value.
    """

    measured: int
    complete: bool
    coupling: Coupling
    norm: float
    whole: int
    finite: bool
    false_slopes: bool = False


class Ruling(NamedTuple):
    """A verdict and why.

    Attributes:
        verdict: the verdict.
        evidence: sentences.
    """

    verdict: Verdict
    evidence: tuple[str, ...]


def rule(exponent: Estimate, seen: Seen, newton: Estimate, length: int) -> Ruling:
    """The verdict and its evidence.

    *Predictable*: the exponent is negative beyond doubt, perturbations die out well within the length, copies a finite
    distance apart come together, and Newton needs at most a quarter of T even at the upper end of its forecast.
    *Unpredictable*: the exponent is positive beyond doubt, perturbations grow within the length, and no jumps of the
    step bring copies together nevertheless. *Undetermined*:
    the sign of the exponent is not known and matters at this length. *Marginal*: everything else.

    Args:
        exponent: largest Lyapunov exponent, in 1/step.
        seen: what else was seen.
        newton: Newton's iterations.
        length: T.
    """
    value, low, high = (float(each) for each in (exponent.value, exponent.low, exponent.high))
    if seen.false_slopes:
        return Ruling(
            "undetermined",
            (
                "The derivative of the step is not that of its value, as after stop_gradient, a straight-through "
                "estimator or a derivative rule of its own: what perturbations do cannot be told from it.",
            ),
        )
    if not seen.finite or math.isnan(value):
        return Ruling("undetermined", ("The pilots left the range of numbers: nothing can be said.",))
    evidence = [_sign(value, low, high), f"Over {length} steps perturbations {_factor(value * length)}."]
    if seen.complete:
        evidence.append(f"All {length} steps were looked at, so that this is known and not expected.")
        low = high = value
    if math.isfinite(value):
        low, high = (value + DOUBT * (end - value) for end in (low, high))
    jumping, hidden = _jumps(value, high, seen), _hidden(value, high, seen)
    share = float(newton.high) / length
    evidence = [*evidence, *jumping, *hidden, *_whole(seen.whole), _iterations(newton, length)]
    if low > 0 and value * length >= DECISIVE and not (hidden and _together(seen.coupling)):
        return Ruling("unpredictable", tuple(evidence))
    if high < 0 and -value * length >= DECISIVE and share <= LARGEST_SHARE and not jumping:
        return Ruling("predictable", tuple(evidence))
    if low <= 0 <= high and max(-low, high) * seen.measured <= NEUTRAL:
        return Ruling("marginal", (*evidence, *(() if hidden else _neutral(low, high, seen.measured))))
    if low <= 0 <= high and max(-low, high) * length > DECISIVE:
        advice = "A larger budget looks at more steps and may decide; settle= leaves out those of a known transient."
        return Ruling("undetermined", (*evidence, advice))
    if abs(value) * length < DECISIVE:
        evidence.append("The exponent times the length is too small for its sign to decide.")
    if share > LARGEST_SHARE:
        evidence.append("Newton may need more than a quarter of T, whatever the exponent says.")
    return Ruling("marginal", tuple(evidence))


def _jumps(value: float, high: float, seen: Seen) -> list[str]:
    """Sentences where copies a finite distance apart behave otherwise than the exponent suggests."""
    coupling = seen.coupling
    rate, apart = float(coupling.rate.value), float(coupling.apart)
    expected = -value * coupling.rows
    astray = apart >= APART or (expected >= SURELY_MET and float(coupling.stalled) >= APART)
    if not (high < 0 and expected >= DECISIVE / 2 and astray):
        return []
    return [
        *([_jumped(seen)] if _is_jumping(seen) else []),
        f"{_fate(coupling)} ({rate:.2g} per step; the exponent is {value:.2g}): Newton and chunks start such a "
        "distance away and feel that.",
    ]


def _hidden(value: float, high: float, seen: Seen) -> list[str]:
    """Sentences where a step jumps and the exponent does not say that perturbations shrink: copies tell more then."""
    if high < 0 or not _is_jumping(seen):
        return []
    coupling = seen.coupling
    rate = f"{float(coupling.rate.value):.2g} per step; the exponent is {value:.2g}"
    if _together(coupling):
        met = f"Copies that start a finite distance apart come together nevertheless ({rate})"
        return [_jumped(seen), f"{met}: infinitely small perturbations do not see the jumps that bring them together."]
    return [_jumped(seen), f"{_fate(coupling)} ({rate}): the exponent does not see decisions, and they do."]


def _fate(coupling: Coupling) -> str:
    """Words for what became of copies that do not all meet."""
    met, apart = float(coupling.met), float(coupling.apart)
    return (
        f"Of the copies that start a finite distance apart {met:.0%} met in {coupling.rows} steps, and {apart:.0%} "
        "came no closer"
    )


def _together(coupling: Coupling) -> bool:
    """Whether copies that start a finite distance apart have met, or come together beyond doubt."""
    if coupling.meets:
        return True
    high = float(coupling.rate.high)
    return float(coupling.apart) < APART and high < 0 and -high * coupling.rows >= DECISIVE / 2


def _is_jumping(seen: Seen) -> bool:
    """Whether a step moved close copies further apart than its Jacobians allow."""
    return float(seen.coupling.jump) > FAMILIAR * max(seen.norm, 1.0)


def _jumped(seen: Seen) -> str:
    """A sentence on a step that jumps."""
    return (
        f"The step jumps: it took copies that were close apart by a factor of {float(seen.coupling.jump):.2g}, and its "
        f"Jacobians have norms of {seen.norm:.2g} at most."
    )


def _whole(leaves: int) -> list[str]:
    """A sentence on carry leaves that are not floating, which no derivative reaches."""
    if not leaves:
        return []
    which = "One leaf of the carry is" if leaves == 1 else f"{leaves} leaves of the carry are"
    return [f"{which} not floating: the exponent perturbs none of them, and chaos that they carry is not seen."]


def _neutral(low: float, high: float, measured: int) -> tuple[str, ...]:
    """A sentence on what a mode means that neither grows nor decays."""
    least, most = (_power(end * measured) for end in (low, high))
    return (
        f"Over {measured} steps, as many as one direction was followed for, perturbations change by a factor between "
        f"{least} and {most}: one direction neither grows nor dies, as a running sum, a clock, a phase or a conserved "
        "quantity does, or does so too slowly to be seen.",
        "Within so many steps such a mode does not forget: by default chunks and Jacobi take all T steps, Newton "
        "carries it exactly where it is linear, and the forecast above says what it takes. A slow decay needs chunks "
        "with a longer warm-up than the default gives them.",
    )


def _sign(value: float, low: float, high: float) -> str:
    """A sentence on what is known of the exponent's sign."""
    interval = f"{value:.4g} per step, interval [{low:.4g}, {high:.4g}]"
    if high < 0:
        return f"The largest exponent is negative: {interval}."
    if low > 0:
        return f"The largest exponent is positive: {interval}."
    return f"The sign of the largest exponent is open: {interval}."


def _factor(total: float) -> str:
    """Words for what a perturbation grows or shrinks to over the whole length."""
    if not math.isfinite(total):
        return "vanish at once" if total < 0 else "grow without limit"
    word = "shrink" if total < 0 else "grow"
    return f"{word} by a factor of about {_power(abs(total))}"


def _iterations(newton: Estimate, length: int) -> str:
    """A sentence that compares Newton's forecast with T."""
    value, low, high = (int(each) for each in (newton.value, newton.low, newton.high))
    share = f"{value / length:.2g} T" if length else ""
    between = "measured" if low == high else f"{low} to {high}"
    return f"Newton is expected to take {value} iterations ({between}), {share}."


def _power(logarithm: float) -> str:
    """A factor as a power of ten, from its natural logarithm."""
    exponent = logarithm / math.log(10)
    return f"10^{exponent:.0f}" if abs(exponent) >= 10 else f"10^{exponent:.2g}"
