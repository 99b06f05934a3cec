"""`python -m benchmarks.planner`: the planner over the zoo, its regret, and its forecasts against what happened.

Regret is the time of the planned method over that of the best of all methods tried: the plan, the default, one step
after the other, chunks side by side in several numbers, Newton and quasi-Newton on every step and on blocks. All of
them take turns in one process; each counts with its least time, which what else the machine does disturbs least.
"""

import datetime as dt
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import jax
import numpy as np
import typer
from rich.console import Console

import parascan as ps
from parascan.diagnostics.forecast.updates import holds

from . import machine, yardsticks
from .documents import write_text
from .harness import assert_close
from .workloads import Workload
from .zoo import NeverFiniteError, Specimen, more_flows, scan_form, zoo

FOLDER = Path(__file__).parent / "results" / "planner"

CHUNKS = (8, 16, 32, 64, 128, 256)
"""Numbers of chunks side by side that are tried beside the plan's."""

HOPELESS = 15.0
"""Times the sequential time from which a method is not tried, as the plan expects it: it cannot be the best."""

Program: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]
"""States of an initial state and inputs, and whether the method got to its end."""

PATIENCE = 4
"""Times the iterations forecast after which a method is given up."""

ROUNDS = 7

BETWEEN_CLEARANCES = 20
"""Systems after which compiled programs are dropped."""

console = Console()


def main(
    longest: Annotated[int, typer.Option(help="Steps of the longest sequences.")] = 10**6,
    kinds: Annotated[str, typer.Option(help="Kinds of systems, separated by commas; all when empty.")] = "",
    flows: Annotated[bool, typer.Option(help="Add all flows of dysts, where it is installed.")] = False,
    again: Annotated[bool, typer.Option(help="Measure anew what is stored.")] = False,
) -> None:
    """Judge the planner; every finished system is stored, and not measured again by the next run."""
    jax.config.update("jax_enable_x64", True)
    path = FOLDER / f"{machine.slug()}.jsonl"
    specimens = [s for s in (*zoo(longest), *(more_flows() if flows else ())) if s.kind in kinds or not kinds]
    done = {} if again else stored(path)
    start, measured = time.monotonic(), 0
    for index, specimen in enumerate(specimens):
        if specimen.name in done:
            continue
        try:
            row = judge(specimen)
        except NeverFiniteError:
            console.print(f"{index + 1}/{len(specimens)} {specimen.name}: left out, no step size keeps it finite")
            continue
        measured += 1
        append(path, row)
        if measured % BETWEEN_CLEARANCES == 0:
            # Every compiled program holds memory maps, of which a process may have only so many.
            jax.clear_caches()
        left = (time.monotonic() - start) / measured * (len(specimens) - index - 1)
        console.print(
            f"{index + 1}/{len(specimens)} {specimen.name}: regret {row['regret']:.2f} (best: {row['best']}), "
            f"{row['speed']:.2f} of lax.scan, planned {row['planned']}; about {left:.0f} s left",
            markup=False,
        )
    summarize(list(stored(path).values()))


def judge(specimen: Specimen, rounds: int = ROUNDS) -> dict[str, Any]:
    """One system: its plan, the times of all methods, and how often Newton really iterated.

    Args:
        specimen: the system.
        rounds: turns of every method.
    """
    w = specimen.make()
    began = time.perf_counter()
    diagnosis = ps.diagnose(w.step, w.initial, w.inputs, w.length, key=jax.random.key(0))
    plan = ps.plan(w.step, w.initial, w.inputs, w.length, diagnosis=diagnosis)
    took = time.perf_counter() - began
    programs = _solving(_programs(w, plan), w, exact=plan.verdict == "predictable")
    times = _least(programs, w, rounds)
    best = min(times, key=lambda name: times[name])
    forecast = diagnosis.iterations["newton"]
    return {
        "name": specimen.name,
        "kind": specimen.kind,
        "length": w.length,
        "size": plan.size,
        "exponent": float(diagnosis.exponent.value),
        "verdict": plan.verdict,
        "planned": plan.chosen.name,
        "expected_seconds": float(plan.chosen.seconds.value),
        "interval": [float(plan.chosen.seconds.low), float(plan.chosen.seconds.high)],
        "forecast": [float(forecast.value), float(forecast.low), float(forecast.high)],
        "iterations": _iterations(w, float(forecast.value)),
        "times": times,
        "best": best,
        "regret": times["plan"] / times[best],
        "default_regret": times["default"] / times[best],
        "speed": times["lax.scan"] / times["plan"],
        "default_speed": times["lax.scan"] / times["default"],
        "planning_seconds": took,
        "measured": dt.date.today().isoformat(),
    }


def _programs(w: Workload, plan: Any) -> dict[str, Program]:
    """Every method as a compiled function of the initial state and the inputs."""
    step, T = scan_form(w.step), w.length

    def direct(states: Callable[[Any, Any], Any]) -> Program:
        # What is added outside the compiled program costs every method the same.
        return lambda s0, xs: (states(s0, xs), True)

    def ours(solver: Any) -> Program:
        return direct(jax.jit(lambda s0, xs: ps.scan(step, s0, xs, T, solver=solver)[1]))

    def within(solver: Any, most: int) -> Program:
        def run(s0: Any, xs: Any) -> tuple[Any, Any]:
            solution = ps.rollout(w.step, s0, xs, T, solver=solver, max_iterations=most, throw=False)
            return solution.states, solution.result == ps.Result.successful

        return jax.jit(run)

    found: dict[str, Program] = {"lax.scan": direct(yardsticks.sequential(w.step, T))}
    found |= {"default": ours(None), "plan": ours(plan)}
    found |= {f"{chunks} chunks": ours(ps.Chunked(chunks)) for chunks in CHUNKS if 128 * chunks <= T}
    one_by_one = next(each for each in plan.candidates if isinstance(each.solver, ps.Sequential))
    for each in plan.candidates:
        hopeful = float(each.seconds.value) <= HOPELESS * float(one_by_one.seconds.value)
        if isinstance(each.solver, ps.WithFallback) and each.updates is not None and hopeful:
            found[each.name] = within(each.solver.first, int(PATIENCE * float(each.updates.value)) + 20)
    return found


def _solving(programs: Mapping[str, Program], w: Workload, *, exact: bool) -> dict[str, Program]:
    """The programs that find the sequential states; a method that gives up is none for this system.

    Args:
        programs: by name.
        w: the system.
        exact: whether it forgets rounding errors, so that all must agree.
    """
    expected = programs["lax.scan"](w.initial, w.inputs)[0]
    kept = {}
    for name, program in programs.items():
        states, solved = program(w.initial, w.inputs)
        if not bool(solved):
            continue
        if exact:
            direct = name in ("lax.scan", "default", "plan") or name.endswith("chunks")
            assert_close(states, expected, 2**16 if direct else 2**43, name)
        kept[name] = program
    return kept


def _least(programs: Mapping[str, Program], w: Workload, rounds: int) -> dict[str, float]:
    """The least seconds of every program over rounds in which all take their turn."""
    times = dict.fromkeys(programs, math.inf)
    names = list(programs)
    for name in names:
        jax.block_until_ready(programs[name](w.initial, w.inputs))
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            start = time.perf_counter()
            count = 0
            while count == 0 or time.perf_counter() - start < 0.005:
                jax.block_until_ready(programs[name](w.initial, w.inputs))
                count += 1
            times[name] = min(times[name], (time.perf_counter() - start) / count)
    return times


def _iterations(w: Workload, forecast: float) -> int | None:
    """How many updates Newton really takes, where that can be found out in reasonable time."""
    if w.length * forecast > 2e7:
        return None
    most = int(PATIENCE * forecast) + 20
    solution = ps.rollout(
        w.step, w.initial, w.inputs, w.length, solver=ps.deer(), max_iterations=min(most, w.length), throw=False
    )
    return int(solution.stats.iterations) if bool(solution.result == ps.Result.successful) else None


def stored(path: Path) -> dict[str, dict[str, Any]]:
    """What was measured before, by name."""
    if not path.exists():
        return {}
    return {row["name"]: row for row in map(json.loads, path.read_text().splitlines())}


def append(path: Path, row: Mapping[str, Any]) -> None:
    """One more line; half a line, as an interrupt may leave it, cannot come about."""
    lines = {**stored(path), row["name"]: row}
    write_text(path, "".join(json.dumps(each) + "\n" for each in lines.values()))


def summary(rows: list[Mapping[str, Any]]) -> dict[str, float]:
    """Regrets and speeds of plan and default, and how good the forecasts were.

    Args:
        rows: what ``judge`` returned.
    """
    regret, default = (np.array([row[name] for row in rows]) for name in ("regret", "default_regret"))
    inside = [row["interval"][0] <= row["times"]["plan"] <= row["interval"][1] for row in rows]
    known = [row for row in rows if row["iterations"] is not None]
    close = [holds(row["forecast"][0], row["iterations"]) for row in known]
    return {
        "systems": len(rows),
        "plan: geometric mean of the regret": float(np.exp(np.mean(np.log(regret)))),
        "plan: worst regret": float(regret.max()),
        "plan: least part of lax.scan's speed": float(min(row["speed"] for row in rows)),
        "default: geometric mean of the regret": float(np.exp(np.mean(np.log(default)))),
        "default: worst regret": float(default.max()),
        "default: least part of lax.scan's speed": float(min(row["default_speed"] for row in rows)),
        "seconds within their interval": float(np.mean(inside)),
        "iterations within 1.5 times or 2": float(np.mean(close)) if close else math.nan,
        "median seconds of planning": float(np.median([row["planning_seconds"] for row in rows])),
    }


def summarize(rows: list[dict[str, Any]]) -> None:
    """Print the summary, the worst cases first."""
    if not rows:
        return
    for row in sorted(rows, key=lambda row: -row["regret"])[:8]:
        console.print(f"  regret {row['regret']:.2f}: {row['name']}, planned {row['planned']}, best {row['best']}")
    for name, value in summary(rows).items():
        console.print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    typer.run(main)
