"""Steps and seconds of every method of figure 6 on one network."""

import functools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import parascan as ps

from ...planning import Plan
from .mean_field import UNITS, network_of

METHODS = ("newton", "quasi_newton", "descent", "sequential", "blocks", "default", "plan")
"""The paper's four, Newton over blocks, what this library does when it is not told what to do, and its plan."""

RATES = (0.01, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""The published step sizes of gradient descent."""

LONG = 0.5
"""Seconds from which on one run is enough to time it."""


@dataclass(frozen=True)
class Network:
    """A network to solve by every method.

    Attributes:
        seed: of the network and of the guess.
        gain: g.
        length: T.
        tolerance: bound on merit/T.
        block: steps in a block.
        rates: step sizes of gradient descent to try; the first one that takes the fewest steps counts.
        budget: updates of gradient descent after which to give up.
        repeats: runs that a time is the median of.
        timed: updates after which a run of quasi-Newton need not go on to be timed; its whole time is in proportion.
        strict: whether descent is run a second time with the published loop's tolerance, and a plan is made.
    """

    seed: int
    gain: float
    length: int
    tolerance: float
    block: int
    rates: tuple[float, ...]
    budget: int
    repeats: int
    timed: int
    strict: bool


def published_rate(gain: float) -> float:
    """The step size that the paper used for a gain."""
    return 0.6 if gain < 0.55 else 0.5 if gain < 0.65 else 0.25


def measure(point: Network, folder: Path) -> Mapping[str, Any]:
    """Steps (updates, infinite where not enough) and seconds by method, the exponent, and the steps by step size.

    Args:
        point: what to measure.
        folder: not needed.
    """
    system = ps.systems.tanh_rnn(gain=point.gain, size=UNITS, key=jax.random.key(point.seed))
    call = (system.step, system.initial_state, system.inputs(point.length))
    guess = network_of(point.seed, point.length).guess[: point.length]

    solved = ps.rollout(*call, solver=ps.Sequential()).states

    def solve(solver: Any, most: int, start: jax.Array = guess, tolerance: float = point.tolerance) -> ps.Solution:
        method = solver.solver if isinstance(solver, Plan) else solver
        given: dict[str, Any] = {}
        if method is not None and method.iterates:
            given = {"criterion": ps.Merit(tolerance), "guess": ps.guesses.Given(start, reset=guess)}
            given["max_iterations"] = most
        return ps.rollout(*call, solver=solver, throw=False, **given)

    def timed(solver: Any, most: int = point.length) -> tuple[float, float]:
        return _seconds(lambda start: solve(solver, most, start), (solved, guess), point.repeats)

    steps: dict[str, float] = {"sequential": point.length, "default": point.length}
    seconds: dict[str, float] = {}
    chosen: dict[str, Any] = {"sequential": ps.Sequential(), "default": None}
    steps["plan"] = seconds["plan"] = np.nan
    if point.strict:
        chosen["plan"] = ps.plan(*call)
        iterates = isinstance(chosen["plan"].solver, ps.WithFallback)
        steps["plan"] = _updates(ps.rollout(*call, solver=chosen["plan"])) if iterates else point.length
    for name, solver in chosen.items():
        run = functools.partial(ps.rollout, *call, solver=solver)
        seconds[name] = _seconds(lambda _, run=run: run(), (None, None), point.repeats)[1]
    for name, solver in (("newton", ps.deer()), ("blocks", ps.MultipleShooting(ps.deer(), point.block))):
        steps[name], seconds[name] = timed(solver)
    # The network's Jacobians have a zero diagonal, so quasi-Newton's updates are those of Jacobi's method.
    steps["quasi_newton"] = _updates(solve(ps.jacobi(), point.length))
    needed = min(steps["quasi_newton"], point.length)
    seconds["quasi_newton"] = timed(ps.quasi_deer(), point.timed)[1] * needed / min(needed, point.timed)
    tried = [timed(_descent(rate), point.budget) for rate in point.rates]
    best = int(np.argmin([updates for updates, _ in tried]))
    steps["descent"], seconds["descent"] = tried[best]
    strict = np.nan
    if point.strict:
        tolerance = point.tolerance / point.length
        strict = _updates(solve(_descent(point.rates[best]), point.budget, tolerance=tolerance))
    return {
        "exponent": float(ps.lyapunov_exponents(*call, key=jax.random.key(point.seed), warm_up=0).per_step),
        "best_rate": point.rates[best],
        "descent_by_rate": np.array([updates for updates, _ in tried]),
        "descent_strict": strict,
        "steps": np.array([steps[method] for method in METHODS], float),
        "seconds": np.array([seconds[method] for method in METHODS]),
    }


@functools.cache
def _descent(rate: float) -> ps.GradientDescent:
    """Plain gradient descent with a step size; one object for each, so that its program is compiled once."""
    import optax

    transformation: Any = optax.sgd(rate)
    return ps.GradientDescent(transformation)


def _updates(solution: ps.Solution) -> float:
    """Updates up to the iterate that met the criterion, infinite if none did."""
    return float(solution.stats.iterations) if bool(solution.result == ps.Result.successful) else np.inf


def _seconds(run: Callable[[Any], ps.Solution], starts: tuple[Any, Any], repeats: int) -> tuple[float, float]:
    """Updates and seconds of a run, the median of several if it is short.

    Args:
        run: with a trajectory to start from.
        starts: the solution, from which a run ends at once and only compiles, and where to start in earnest.
        repeats: short runs to take the median of.
    """
    jax.block_until_ready(run(starts[0]).states)
    solution, times = None, []
    while solution is None or (len(times) < repeats and times[0] < LONG):
        started = time.perf_counter()
        solution = run(starts[1])
        jax.block_until_ready(solution.states)
        times.append(time.perf_counter() - started)
    return _updates(solution), statistics.median(times)
