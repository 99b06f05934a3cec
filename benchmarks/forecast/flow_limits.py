"""What limits the forecasts of Newton's count on chaotic flows: shares of right forecasts with more knowledge.

Each row gives the forecast one thing more than a diagnosis has: the exponent over ten times as many steps, coefficients
fitted to flows alone, the power of T that suits a system best in hindsight, or a longer pilot. What does not raise the
share is not what is missing. The curves are stored, so that the table is made anew without measuring.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import parascan as ps
from parascan.diagnostics.forecast.continuation import STEEPEST, power_features
from parascan.diagnostics.forecast.updates import holds, newton_iterations

from ..documents import put_between, table_line, write_text
from .family import CALIBRATION_SEED, HELD_OUT_SEED, Case, family
from .fit import EVALUATIONS, Sample, fit_power, samples
from .measure import newton_curve

STORE = Path(__file__).parent.parent / "results" / "forecast" / "flows.json"
"""Measured curves of the flows of both families."""

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "foresight.md"
MARKS = "<!-- flows: begin -->", "<!-- flows: end -->"

LENGTHS = 40
"""Lengths T at which every flow is looked at: more than in the judgement of all kinds, since there are few flows."""

LONG_RUN = 20_000
"""Steps of the exponent that is given in the place of the one of 2000 steps."""

MULTIPLES = (1, 2, 4, 8, 16, 32)
"""Evaluations of pilots, in units of those of a diagnosis."""

POWERS = np.linspace(0.0, 3.0, 121)
"""Powers of T that are tried in hindsight."""

Curve = Mapping[str, Any]
Forecast = Callable[[Sample], float]


def measure_flows(count: int) -> None:
    """Measure the flows of both families that are not stored yet, and store each.

    Args:
        count: draws of each family.
    """
    known = json.loads(STORE.read_text()) if STORE.exists() else {}
    for seed in (CALIBRATION_SEED, HELD_OUT_SEED):
        stored = known.setdefault(str(seed), {})
        for case in family(seed, count):
            if case.kind == "flow" and str(case.number) not in stored:
                stored[str(case.number)] = {**newton_curve(case), "long_run": long_run(case)}
                STORE.parent.mkdir(exist_ok=True)
                write_text(STORE, json.dumps(known, separators=(",", ":")).replace('"number"', '\n"number"') + "\n")
                print(seed, case.label, flush=True)


def long_run(case: Case) -> float:
    """The largest exponent over many steps, in 1/step.

    Args:
        case: a flow.
    """
    system = case.system
    found = ps.lyapunov_exponents(system.step, system.initial_state, None, LONG_RUN, key=jax.random.key(0))
    return float(found.per_step)


def stored_curves(seed: int) -> list[Curve]:
    """The curves of the flows of one family.

    Args:
        seed: of the family.
    """
    return list(json.loads(STORE.read_text())[str(seed)].values())


def right(found: list[Sample], forecast: Forecast) -> float:
    """The part of forecasts within a factor of 1.5 or two updates.

    Args:
        found: systems at lengths.
        forecast: from a sample, which it may only look at the pilot, the exponent and the length of.
    """
    return float(np.mean([holds(forecast(each), each.count) for each in found]))


def as_diagnosed(each: Sample) -> float:
    """What a diagnosis says."""
    return float(newton_iterations(each.pilot, each.exponent, each.length).value)


def by_coefficients(coefficients: list[float]) -> Forecast:
    """The same law with other coefficients.

    Args:
        coefficients: for ``power_features``.
    """

    def forecast(each: Sample) -> float:
        score = float(np.dot(coefficients, power_features(each.pilot, each.exponent)))
        return continued(each, STEEPEST / (1 + np.exp(-score)))

    return forecast


def continued(each: Sample, power: float) -> float:
    """The count of a pilot continued to T, at most T.

    Args:
        each: a system at a length.
        power: of T.
    """
    known = max(each.pilot.at(each.pilot.length), 1)
    return round(min(known * (each.length / each.pilot.length) ** power, each.length))


def best_in_hindsight(found: list[Sample]) -> float:
    """The share where every system has the one power, from 0 to 3, that is right at most of its lengths.

    No law that says one power for a system, whatever it follows from, is right more often.

    Args:
        found: systems at lengths.
    """
    by_system = defaultdict(list)
    for each in found:
        by_system[each.label].append(each)
    most = [
        max(sum(holds(continued(each, power), each.count) for each in group) for power in POWERS)
        for group in by_system.values()
    ]
    return float(sum(most) / len(found))


def in_interval(found: list[Sample]) -> float:
    """The part of counts within their interval.

    Args:
        found: systems at lengths.
    """
    said = [newton_iterations(each.pilot, each.exponent, each.length) for each in found]
    return float(np.mean([float(s.low) <= each.count <= float(s.high) for s, each in zip(said, found, strict=True)]))


def table() -> str:
    """Shares of right forecasts on the flows of both families in Markdown, from the stored curves."""
    curves = {seed: stored_curves(seed) for seed in (CALIBRATION_SEED, HELD_OUT_SEED)}
    seen = {seed: list(samples(each, 1, LENGTHS)) for seed, each in curves.items()}
    informed = {
        seed: list(samples([{**one, "exponent": one["long_run"]} for one in each], 1, LENGTHS))
        for seed, each in curves.items()
    }
    of_flows = by_coefficients(fit_power(seen[CALIBRATION_SEED]))
    rows = {
        "as diagnosed": [right(each, as_diagnosed) for each in seen.values()],
        f"exponent over {LONG_RUN} steps": [right(each, as_diagnosed) for each in informed.values()],
        "law fitted to the flows of the calibration alone": [right(each, of_flows) for each in seen.values()],
        "for each system the power of T that is best in hindsight": [best_in_hindsight(each) for each in seen.values()],
    }
    for multiple in MULTIPLES[1:]:
        longer = [list(samples(each, 1, LENGTHS, multiple * EVALUATIONS)) for each in curves.values()]
        rows[f"pilot of {multiple} times the evaluations"] = [right(each, as_diagnosed) for each in longer]
    rows["counts in their interval, as diagnosed"] = [in_interval(each) for each in seen.values()]
    halves = zip(("calibration", "held out"), curves.values(), strict=True)
    lines = [table_line("", *(f"{half}, {len(each)} flows" for half, each in halves)), table_line(*["---"] * 3)]
    lines += [table_line(name, *(f"{share:.0%}" for share in shares)) for name, shares in rows.items()]
    return "\n".join(lines)


def write_table() -> None:
    """Put the table between its marks in docs/foresight.md."""
    put_between(DOCUMENT, MARKS, table())
