"""``python -m benchmarks.foresight.fit``: margins of the forecasts from the half that is for fitting, by situation.

Each system is looked at at its own length and at shorter ones that its pilot does not reach, all together counting as
one system. The ends are quantiles of the logarithm of count over formula, moved outwards as far as a sample of that
size asks for (conformal prediction). A run that was given up counts as T updates for the upper end and the middle, and
as those that were made for the lower end. Nothing is run: answers and truth are those stored.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import parascan as ps
from parascan.diagnostics.estimate import estimate_of
from parascan.diagnostics.forecast import fitted as calibration
from parascan.diagnostics.forecast import updates as forecast
from parascan.diagnostics.forecast.continuation import newton_center
from parascan.diagnostics.forecast.margins import ANY, OPEN, Center
from parascan.diagnostics.forecast.newton_pilot import NewtonPilot
from parascan.diagnostics.forecast.updates import Behavior

from .answers import forecasts
from .counts import METHODS, ends_of, length_of
from .stores import ANSWERS, TRUTH, add, load
from .systems import names

LEVEL = 0.9
"""Of the intervals."""

FEWEST = 8
"""Systems below which a situation has no margins of its own."""

SHORTEST_PART = 8
"""Part of T down to which shorter lengths are looked at."""


class Sample(NamedTuple):
    """One system at one length.

    Attributes:
        system: its name.
        situation: of its margins.
        low: logarithm of the least count over the formula, for a reach of one.
        high: that of the largest.
        exact: whether the count is known.
    """

    system: str
    situation: str
    low: float
    high: float
    exact: bool


def seen(said: Mapping[str, Any]) -> tuple[Behavior, NewtonPilot]:
    """What a stored answer's forecasts follow from.

    Args:
        said: of ``answers.json``.
    """
    numbers = {name: np.nan if value is None else value for name, value in said["behavior"].items()}
    log_mu = (np.nan if each is None else each for each in numbers.pop("log_mu"))
    value, low, high = (np.nan if each is None else each for each in said["exponent"])
    numbers |= {"length": int(numbers["length"]), "exponent": value, "exponent_low": low, "exponent_high": high}
    behavior = Behavior(log_mu=estimate_of(*log_mu, "", "", 1.0), **numbers)
    return behavior, NewtonPilot(*(np.asarray(each, int) for each in said["pilot"]), 0)


def centers(behavior: Behavior, pilot: NewtonPilot) -> dict[str, Center]:
    """The formula's count of every method; Newton's only beyond its pilot."""
    ends = behavior.exponent_low, behavior.exponent_high
    newton = forecast.newton_iterations(pilot, behavior.exponent, behavior.length, ends)
    found = {
        "quasi_newton": forecast.quasi_newton_center(behavior, float(newton.value)),
        "picard": forecast.picard_center(behavior),
        "jacobi": forecast.jacobi_center(behavior),
    }
    if 0 < pilot.length < behavior.length:
        found["newton"] = newton_center(pilot, behavior.exponent, behavior.length, ends)
    return found


def samples(method: str, half: str = "fit") -> Iterator[Sample]:
    """Everything that is known of a method's counts on one half.

    Args:
        method: its name.
        half: fit, held-out or all.
    """
    truths, answers = load(TRUTH), load(ANSWERS)
    for family, place in names(half=half):
        name = f"{family.name} {place}"
        truth, said = truths[name], answers.get(name, {}).get("0", {})
        if method not in truth or "behavior" not in said:
            continue
        behavior, pilot = seen(said)
        most = truth[method][0]
        longest = length_of(method, family.length)
        for length, count in zip(ends_of(longest), truth[f"{method}_by_length"], strict=True):
            if length * SHORTEST_PART < longest:
                continue
            center = centers(behavior._replace(length=length), pilot).get(method)
            if center is not None:
                exact = count >= 0
                low, high = (count, count) if exact else (min(most, length), length)
                logs = (float(np.log(max(each, 1) / center.updates)) / center.reach for each in (low, high))
                yield Sample(name, center.situation, *logs, exact)


def margins(found: Iterable[Sample], *, fitted: bool = False) -> dict[str, dict[str, float]]:
    """Median and ends by situation, and for all together.

    Args:
        found: of one method.
        fitted: whether the formula was fitted to be the middle, as Newton's power was.
    """
    groups = defaultdict(list)
    for each in found:
        groups[ANY].append(each)
        groups[each.situation].append(each)
    found = {
        situation: _quantiles(group, fitted)
        for situation, group in sorted(groups.items())
        if situation == ANY or len({each.system for each in group}) >= FEWEST
    }
    for situation, ends in found.items():
        # What comes later may be unlike the pilots where these leave the sign of the exponent open.
        if situation.startswith(OPEN):
            ends["high"] = max(ends["high"], found[ANY]["high"])
    return found


def _quantiles(group: list[Sample], fitted: bool) -> dict[str, float]:
    """Ends that a new system of this kind keeps to with the level, and the median."""
    share = {name: 1 / sum(each.system == name for each in group) for name in {each.system for each in group}}
    weights = np.array([share[each.system] for each in group])
    tail = (1 - LEVEL) / 2
    outer = min(1.0, (1 - tail) * (len(share) + 1) / len(share))
    low = -quantile(np.array([-each.low for each in group]), weights, outer)
    high = quantile(np.array([each.high for each in group]), weights, outer)
    middle = 0.0 if fitted else quantile(np.array([each.high for each in group]), weights, 0.5)
    ends = {"median": middle, "low": min(low, middle), "high": max(high, middle)}
    return {name: round(end, 4) for name, end in ends.items()}


def quantile(values: np.ndarray, weights: np.ndarray, part: float) -> float:
    """The least value that a part of the weight does not exceed.

    Args:
        values: in any order.
        weights: of each.
        part: between 0 and 1.
    """
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / np.sum(weights)
    return float(values[order][min(int(np.searchsorted(reached, part - 1e-12)), len(values) - 1)])


def main() -> None:
    """Write the margins, and put the intervals that they make in the place of those of the stored answers."""
    write_margins()
    anew = {}
    for name, by_seed in load(ANSWERS).items():
        known = {seed: said for seed, said in by_seed.items() if "behavior" in said}
        anew[name] = {seed: {**said, "iterations": forecasts(*seen(said))} for seed, said in known.items()}
    add(ANSWERS, anew)


def write_margins() -> None:
    """Write the margins into the package."""
    path = Path(ps.__file__).parent / "diagnostics" / "forecast" / calibration.FILE
    stored = json.loads(path.read_text())
    for method in METHODS:
        # Quasi-Newton's formula holds Newton's forecast, so that Newton's margins come first.
        stored["margins"][method] = margins(samples(method), fitted=method == "newton")
        path.write_text(json.dumps(stored, indent=1) + "\n")
        calibration.calibration.cache_clear()


if __name__ == "__main__":
    main()
