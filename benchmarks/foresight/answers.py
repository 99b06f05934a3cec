"""What ``ps.diagnose`` says of a system, without ever having run it whole."""

from pathlib import Path
from typing import Any

import jax

import parascan as ps

from .stores import add, rounded
from .systems import System


def answer(one: System, seed: int = 0) -> dict[str, Any]:
    """The parts of a diagnosis that are judged.

    Args:
        one: the system.
        seed: of the directions and points.
    """
    found = ps.diagnose(one.step, one.init, one.xs, one.length, key=jax.random.key(seed))
    return {
        "verdict": found.verdict,
        "exponent": interval(found.exponent),
        "criterion": found.criterion,
        "iterations": {name: interval(each) for name, each in found.iterations.items()},
    }


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
