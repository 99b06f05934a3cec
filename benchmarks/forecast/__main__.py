"""``python -m benchmarks.forecast calibrate``, ``judge`` or ``flows``: make the coefficients, try them on other
systems, or write the table of what limits the forecasts of flows.
"""

import argparse
import json
from pathlib import Path

import jax

import parascan as ps
from parascan.diagnostics.forecast import fitted as calibration

from .family import CALIBRATION_SEED, HELD_OUT_SEED, family
from .fit import LEVEL, fit_power, samples
from .flow_limits import measure_flows, write_table
from .judge import judge_curves, judge_diagnoses
from .measure import newton_curve, other_methods
from .others import behaviors, fit_others

LARGEST = 16
"""D up to which the other methods are measured."""


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__)
    parser.add_argument("what", choices=("calibrate", "judge", "diagnose", "flows"))
    parser.add_argument("--count", type=int, default=160, help="systems of the family (160)")
    parser.add_argument("--others", type=int, default=70, help="systems for the other methods (70)")
    arguments = parser.parse_args()
    with jax.enable_x64(True):
        {"calibrate": _calibrate, "judge": _judge, "diagnose": _diagnose, "flows": _flows}[arguments.what](arguments)


def _calibrate(arguments: argparse.Namespace) -> None:
    """Measure the family of the calibration and write the coefficients into the package."""
    curves = [newton_curve(case) for case in family(CALIBRATION_SEED, arguments.count)]
    power = fit_power(list(samples(curves, CALIBRATION_SEED)))
    cases = [case for case in family(CALIBRATION_SEED, arguments.others) if case.system.size <= LARGEST]
    others = fit_others(map(other_methods, cases), {case.number: behaviors(case) for case in cases})
    path = Path(ps.__file__).parent / "diagnostics" / calibration.FILE
    stored = {**json.loads(path.read_text()), "power": power, **others, "level": LEVEL}
    stored["family"] = f"Newton: {arguments.count} systems of seed {CALIBRATION_SEED}; other methods: {len(cases)}"
    path.write_text(json.dumps(stored, indent=1) + "\n")
    print(path)


def _judge(arguments: argparse.Namespace) -> None:
    """Measure the other family and say how many forecasts of Newton are right at the lengths that were affordable."""
    print(judge_curves([newton_curve(case) for case in family(HELD_OUT_SEED, arguments.count)]))


def _diagnose(arguments: argparse.Namespace) -> None:
    """Diagnose the systems of the other family one by one, each at its own length, and roll them out."""
    print(judge_diagnoses(family(HELD_OUT_SEED, arguments.count)))


def _flows(arguments: argparse.Namespace) -> None:
    """Measure the flows of both families that are not stored, and write the table of docs/foresight.md."""
    measure_flows(arguments.count)
    write_table()


if __name__ == "__main__":
    main()
