"""Iterations of every method on a family of systems, by the prefixes of a few long runs."""

import functools
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import parascan as ps
from parascan.diagnostics.forecast.prefixes import Prefixes, prefix_counts
from parascan.problem.flat_recurrence import ScanProblem
from parascan.problem.signature import resolve

from .family import LONGEST, Case

CRITERIA = (ps.Merit(1e-10), ps.StateError())
"""The two rules that are forecast."""

TRIAL, HARD, AFFORDABLE = 1000, 150, 6e7
"""Length of a first run; updates on it from which a system is hard; step evaluations that a long run may take."""

OTHERS_LENGTH = 256
"""Length on which the methods other than Newton are measured."""

BLOCKS = (8, 32)
"""Block lengths that are measured."""


def newton_curve(case: Case) -> dict[str, Any]:
    """Newton's updates on prefixes of as long a run as is affordable."""
    ends, counts = _curve(case, TRIAL, TRIAL)
    size = case.system.size
    longest = LONGEST if size <= 16 else 10_000 if size <= 48 else 4000
    if counts[1][-1] <= HARD:
        most = min(2000, int(AFFORDABLE / longest / max(1, (size / 4) ** 1.5)))
        ends, counts = _curve(case, longest, most)
    elif size <= 16:
        ends, counts = _curve(case, 3000, 3000)
    pilot = min(2000, ends[-1])
    estimate = ps.lyapunov_exponents(
        case.system.step, case.system.initial_state, case.inputs(pilot), pilot, key=jax.random.key(0)
    )
    return {
        "number": case.number,
        "kind": case.kind,
        "label": case.label,
        "exponent": float(estimate.per_step),
        "ends": list(ends),
        "counts": [each.tolist() for each in counts],
    }


def other_methods(case: Case) -> dict[str, Any]:
    """Updates of the other methods on a short run, None where they did not succeed."""
    call = (case.system.step, case.system.initial_state, case.inputs(OTHERS_LENGTH), OTHERS_LENGTH)
    solvers: dict[str, Any] = {"newton": ps.deer(), "quasi_newton": ps.quasi_deer()}
    solvers |= {f"blocks {block}": ps.MultipleShooting(ps.deer(), block) for block in BLOCKS}
    solvers |= {"gradient_descent": ps.GradientDescent(optax.sgd(0.25))}
    return {"number": case.number, **{name: list(_updates(call, solver)) for name, solver in solvers.items()}}


def _updates(call: tuple[Any, ...], solver: Any) -> Iterator[int | None]:
    """Updates by each criterion."""
    for criterion in CRITERIA:
        solution = ps.rollout(*call, solver=solver, criterion=criterion, throw=False)
        yield int(solution.stats.iterations) if bool(solution.result == ps.Result.successful) else None


def _curve(case: Case, length: int, most: int) -> tuple[tuple[int, ...], np.ndarray]:
    """Counts of all prefixes, by both criteria."""
    prefixes = Prefixes.of(length)
    found = _counts(case.system.step, case.system.initial_state, case.inputs(length), jnp.asarray(most), prefixes)
    return prefixes.ends, np.asarray(found)


@functools.partial(eqx.filter_jit)
def _counts(step: Any, init: Any, xs: Any, most: jax.Array, prefixes: Prefixes) -> jax.Array:
    """As one program for all systems of a kind and size."""
    problem = ScanProblem.of(resolve(step, init, xs, prefixes.ends[-1], scan_form=False), reverse=False)
    guess = ps.guesses.RepeatInitial().states(problem)
    return prefix_counts(problem.recurrence, guess, ps.deer(), CRITERIA, prefixes, most)
