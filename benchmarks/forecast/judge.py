"""How good the forecast is on systems that it was not calibrated on."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

import parascan as ps
from parascan.diagnostics.forecast.updates import holds, newton_iterations
from parascan.diagnostics.forecast.verdict import LARGEST_SHARE

from .family import Case
from .fit import samples
from .measure import newton_curve


def judge_curves(curves: Iterable[Mapping[str, Any]]) -> str:
    """Parts of right forecasts, and of counts inside their interval, by kind, from measured curves alone."""
    hits, inside = defaultdict(list), []
    for each in samples(curves, 1):
        expected = newton_iterations(each.pilot, each.exponent, each.length)
        hits[each.kind].append(holds(float(expected.value), each.count))
        inside.append(float(expected.low) <= each.count <= float(expected.high))
    return _table(hits, inside, [])


def judge_diagnoses(cases: Iterable[Case]) -> str:
    """The same through ``ps.diagnose``, with the verdicts; the truth is measured at the length of the case.

    A system whose own length is not affordable is judged at the longest prefix that was measured.
    """
    hits, inside, wrong = defaultdict(list), [], []
    for case in cases:
        curve = newton_curve(case)
        place = min(int(np.searchsorted(curve["ends"], case.length)), len(curve["ends"]) - 1)
        length, count = int(curve["ends"][place]), int(curve["counts"][1][place])
        if count < 0:
            continue
        found = ps.diagnose(
            case.system.step, case.system.initial_state, case.inputs(length), length, key=jax.random.key(case.number)
        )
        newton = found.iterations["newton"]
        hits[case.kind].append(holds(float(newton.value), count))
        inside.append(float(newton.low) <= count <= float(newton.high))
        if found.verdict == "predictable" and count > LARGEST_SHARE * length:
            wrong.append(case.label)
        print(f"{case.label}: T = {length}, {found.verdict}, expected {newton}, took {count}", flush=True)
    return _table(hits, inside, wrong)


def _table(hits: Mapping[str, list[bool]], inside: list[bool], wrong: list[str]) -> str:
    """The figures in words."""
    every = [each for kind in hits.values() for each in kind]
    lines = [f"{kind}: {np.mean(each):.1%} of {len(each)}" for kind, each in hits.items()]
    lines.append(
        f"all: {np.mean(every):.1%} of {len(every)} within a factor 1.5 or 2; {np.mean(inside):.1%} in interval"
    )
    lines.append(f"called predictable with more than T/4 iterations: {wrong or 'none'}")
    return "\n".join(lines)
