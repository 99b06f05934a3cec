"""Answers against truth: the arithmetic of the table.

**An interval of the exponent holds** where it contains, within ``1/T`` (a factor of e over the whole run) and a
millionth of the value, the exponent over the T steps or the one in the long run: that of theory where it is known, else
that from T to 10 T. Minus infinity is held by an interval that reaches it.

**A verdict is wrong** in these cases only:

- *predictable*, though the exponent over the T steps, or the known one in the long run, is not below zero, or Newton
  takes more than T/2 updates;
- *unpredictable*, though the exponent over the T steps or the known one in the long run is not above zero; or though
  perturbations grow by less than e^10 over T and not at all (less than e) in T further steps of the long run;
- an error in place of an answer.

**A forecast holds** where its interval contains the count; where the run was given up, where it reaches beyond the
updates that were made.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .counts import METHODS
from .truth import DECISIVE

ROUNDING = 1e-6
"""Part of an exponent by which an interval may miss it."""

LARGEST_SHARE = 0.5
"""Part of T above which Newton's updates make "predictable" wrong."""

Record = Mapping[str, Any]


class Judged(NamedTuple):
    """One system.

    Attributes:
        name: of the system.
        kind: of system.
        half: fit or held-out.
        verdict: what was said.
        wrong: why the verdict is wrong, empty where it is not.
        over: whether the interval holds the exponent over T; ``long``: that in the long run.
        width: of the interval, relative to the exponent over T.
        forecasts: by method, whether the interval holds.
        said: value of the exponent that was said.
        true: the exponent over T.
    """

    name: str
    kind: str
    half: str
    verdict: str
    wrong: str
    over: bool
    long: bool
    width: float
    forecasts: Mapping[str, bool]
    said: float
    true: float

    @property
    def held(self) -> bool:
        """Whether the interval holds one of the two exponents."""
        return self.over or self.long


def judge(name: str, kind: str, half: str, truth: Record, said: Record) -> Judged:
    """One answer against its truth.

    Args:
        name: of the system.
        kind: of system.
        half: fit or held-out.
        truth: of ``truth.json``.
        said: one seed's answer, of ``answers.json``.
    """
    if said["verdict"] == "error":
        return Judged(name, kind, half, "error", said["error"], False, False, math.inf, {}, math.nan, truth["over"])
    over, low, high = truth["over"], _low(said["exponent"][1]), _high(said["exponent"][2])
    forecasts = {
        method: forecast_holds(said["iterations"][method], *truth[method])
        for method in METHODS
        if method in truth and method in said["iterations"]
    }
    return Judged(
        name, kind, half, said["verdict"], wrong_verdict(said["verdict"], truth),
        holds(low, high, over, truth["length"]), holds(low, high, long_run(truth), truth["length"]),
        (high - low) / max(abs(over), 1 / truth["length"]) if math.isfinite(over) else 0.0,
        forecasts, math.nan if said["exponent"][0] is None else said["exponent"][0], over,
    )  # fmt: skip


def long_run(truth: Record) -> float:
    """The exponent in the long run."""
    return truth["known"] if truth["known"] is not None else truth["later"]


def holds(low: float, high: float, exponent: float, length: int) -> bool:
    """Whether an interval contains an exponent, as defined above."""
    if not math.isfinite(exponent):
        return low == exponent
    margin = 1 / length + ROUNDING * abs(exponent)
    return low - margin <= exponent <= high + margin


def forecast_holds(said: list[float | None], count: int, exact: bool) -> bool:
    """Whether an interval of updates contains the count, or may contain it where only a lower bound is known."""
    low, high = said[1] or 0.0, _high(said[2])
    return low <= count <= high if exact else high > count


def wrong_verdict(verdict: str, truth: Record) -> str:
    """Why a verdict is wrong; empty where it is not."""
    over, long, length = truth["over"], long_run(truth), truth["length"]
    known = truth["known"]
    if verdict == "predictable":
        if over >= 0 or (known is not None and known >= 0):
            return f"exponent {over:.3g} over T, {long:.3g} in the long run"
        count, exact = truth.get("newton", (0, True))
        if count > LARGEST_SHARE * length:
            return f"Newton takes {'' if exact else 'more than '}{count} of {length}"
    if verdict == "unpredictable":
        neutral = over * length < DECISIVE and long * length < 1
        if over <= 0 or (known is not None and known <= 0) or neutral:
            return f"exponent {over:.3g} over T, {long:.3g} in the long run"
    return ""


def by_kind(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    """Systems by kind, all of them first."""
    every = list(judged)
    return {
        "all": every,
        **{kind: [j for j in every if j.kind == kind] for kind in dict.fromkeys(j.kind for j in every)},
    }


def shares(group: list[Judged]) -> dict[str, Any]:
    """The figures of a group of systems."""
    figures: dict[str, Any] = {
        "systems": len(group),
        "interval holds": _share(group, lambda j: j.held),
        "over T": _share(group, lambda j: j.over),
        "long run": _share(group, lambda j: j.long),
        "width": float(np.median([j.width for j in group])),
        "undetermined": _share(group, lambda j: j.verdict == "undetermined"),
        "wrong": sum(bool(j.wrong) for j in group),
    }
    for method in METHODS:
        known = [j.forecasts[method] for j in group if method in j.forecasts]
        figures[method] = float(np.mean(known)) if known else math.nan
    return figures


def _share(group: list[Judged], true: Callable[[Judged], bool]) -> float:
    return float(np.mean([true(j) for j in group]))


def _low(value: float | None) -> float:
    """An end that may be missing, which then excludes nothing."""
    return -math.inf if value is None else value


def _high(value: float | None) -> float:
    return math.inf if value is None else value
