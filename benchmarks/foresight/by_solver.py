"""``python -m benchmarks.foresight.by_solver``: what ``diagnose(solver=)`` expects of methods, against their counts.

A method is looked at as a diagnosis does, on the first ``SHORT`` steps, over which its counts are known. These are
foretold from all of the steps, and from the first half, quarter and eighth, as those of a longer sequence would be.
The margins come from the half that is for fitting; the share of forecasts within a factor of 1.5 or two updates is
printed beside that of the formulas of a diagnosis without ``solver=``. ``--every 2`` measures every second system.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import parascan as ps
from parascan.diagnostics.forecast import fitted
from parascan.diagnostics.forecast.behavior import allowed_error
from parascan.diagnostics.forecast.of_solver import MEASURED, SolverLook, look_at, solver_center
from parascan.diagnostics.forecast.updates import holds

from .counts import METHODS, SHORT
from .fit import Sample, margins
from .stores import ANSWERS, FOLDER, TRUTH, add, load, rounded
from .systems import System, systems

STORE = FOLDER / "by_solver.json"

LOOKED_AT = ("quasi_newton", "picard")

PARTS = (1, 2, 4, 8)
"""The steps that are looked at are those that are foretold, over these numbers."""


def record(look: SolverLook) -> list[list[Any]]:
    """Count by formula and situation, for every part of the steps.

    Args:
        look: at all of them.
    """
    length = look.errors.shape[1]
    allowed = allowed_error(ps.StateError(), look.scale, float(np.finfo(float).eps))
    found = []
    for part in PARTS:
        seen = look._replace(errors=look.errors[:, : length // part], curve=look.curve[: length // part])
        center = solver_center(seen, allowed, length)[0]
        found.append([part, rounded(center.updates), rounded(center.reach), center.situation])
    return found


def measure(one: System) -> None:
    """Look at the methods on one system, and store what follows.

    Args:
        one: the system, with counts.
    """
    length = min(one.length, SHORT)
    inputs = jax.tree.map(lambda leaf: leaf[:length], one.xs)
    looks = {method: look_at(one.step, one.init, inputs, length, METHODS[method]) for method in LOOKED_AT}
    add(STORE, {one.name: {"half": one.half, **{method: record(look) for method, look in looks.items()}}})


def samples(half: str) -> Iterator[tuple[str, int, float, int, Sample]]:
    """Method, part, count foretold and taken, and the sample that margins are made of.

    Args:
        half: fit or held-out.
    """
    truth = load(TRUTH)
    for name, stored in load(STORE).items():
        for method in LOOKED_AT if stored["half"] == half else ():
            taken = truth[name][method][0]
            for part, updates, reach, situation in stored[method]:
                log = float(np.log(max(taken, 1) / max(updates, 1))) / reach
                yield method, part, updates, taken, Sample(name, situation, log, log, True)


def write_margins() -> None:
    """Write the margins of the fitted half into the package."""
    path = Path(ps.__file__).parent / "diagnostics" / "forecast" / fitted.FILE
    stored = json.loads(path.read_text())
    of_counts = margins((each for *_, each in samples("fit") if each.situation != MEASURED), fitted=True)
    stored["margins"]["solver"] = {**of_counts, MEASURED: {"median": 0.0, "low": 0.0, "high": 0.0}}
    path.write_text(json.dumps(stored, indent=1) + "\n")
    fitted.calibration.cache_clear()


def shares(half: str) -> dict[str, str]:
    """The parts of forecasts that are right, by method and part, and those of the formulas.

    Args:
        half: fit or held-out.
    """
    right, answers = defaultdict(list), load(ANSWERS)
    for method, part, updates, taken, sample in samples(half):
        right[f"{method}, 1/{part} looked at"].append(bool(holds(updates, taken)))
        if part == 1:
            formula = answers[sample.system]["0"]["iterations"][method][0]
            right[f"{method}, by formula"].append(bool(holds(formula, taken)))
    return {name: f"{np.mean(each):.0%} of {len(each)}" for name, each in sorted(right.items())}


def main() -> None:
    """Measure what is missing, write the margins, and print the shares of both halves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="measure every so many systems")
    every, known = parser.parse_args().every, load(STORE)
    with jax.enable_x64(True):
        counted = (one for one in systems() if all(method in one.truth for method in LOOKED_AT))
        for number, one in enumerate(counted):
            if one.name not in known and number % every == 0:
                measure(one)
    write_margins()
    for half in ("fit", "held-out"):
        sys.stdout.write(f"{half}: {json.dumps(shares(half), indent=1)}\n")


if __name__ == "__main__":
    main()
