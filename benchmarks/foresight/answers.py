"""What ``ps.diagnose`` says of a system, without ever having run it whole."""

from pathlib import Path
from typing import Any

import jax

import parascan as ps
from parascan.diagnostics import Estimate
from parascan.diagnostics.forecast.newton_pilot import NewtonPilot
from parascan.diagnostics.forecast.updates import Behavior, expected_iterations

from .counts import METHODS, length_of
from .stores import add, rounded
from .systems import System

RECENT = 64
"""Part of Newton's pilot that is stored: prefixes no shorter than its length over this."""


def answer(one: System, seed: int = 0) -> dict[str, Any]:
    """The parts of a diagnosis that are judged, and what its forecasts follow from.

    Args:
        one: the system.
        seed: of the directions and points.
    """
    found = ps.diagnose(one.step, one.init, one.xs, one.length, key=jax.random.key(seed))
    recent = found.pilot.ends * RECENT >= found.pilot.length
    return {
        "verdict": found.verdict,
        "exponent": interval(found.exponent),
        "criterion": found.criterion,
        "iterations": forecasts(found.behavior, found.pilot),
        "behavior": {name: plain(value) for name, value in found.behavior._asdict().items() if name != "rule"},
        "pilot": [found.pilot.ends[recent].tolist(), found.pilot.counts[recent].tolist()],
    }


def forecasts(behavior: Behavior, pilot: NewtonPilot) -> dict[str, Any]:
    """The expected updates of every method over the steps on which it is judged.

    Args:
        behavior: of the system over T steps.
        pilot: Newton's counts.
    """
    return {
        method: interval(
            expected_iterations(behavior._replace(length=length_of(method, behavior.length)), pilot, 1)[method]
        )
        for method in METHODS
    }


def plain(value: Any) -> Any:
    """What the forecasts follow from, as numbers."""
    return interval(value) if isinstance(value, Estimate) else rounded(float(value))


def interval(estimate: Any) -> list[float | None]:
    """Value and ends, None where they are not finite."""
    return [rounded(float(each)) for each in (estimate.value, estimate.low, estimate.high)]


def ask(path: Path, one: System, seed: int = 0) -> dict[str, Any]:
    """Diagnose and store; an error is an answer too, and a wrong one.

    Args:
        path: of the store.
        one: the system.
        seed: of the directions and points.
    """
    try:
        said = answer(one, seed)
    except Exception as error:
        said = {"verdict": "error", "error": f"{type(error).__name__}: {error}"[:300]}
    add(path, {one.name: {str(seed): said}})
    return said
