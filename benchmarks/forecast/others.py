"""What is left between the counts of the methods other than Newton and their formulas."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps
from parascan.diagnostics.forecast.contraction_rates import descent_iterations
from parascan.diagnostics.forecast.updates import Behavior, jacobi_formula

from .family import Case
from .fit import offset
from .measure import BLOCKS, CRITERIA, OTHERS_LENGTH

WEIGHTS = np.arange(0.0, 1.01, 0.1)
"""Weights of Newton against Jacobi that are tried."""

SLOPES = np.arange(-0.4, 0.01, 0.02)
"""Powers of the block length that are tried."""


def behaviors(case: Case) -> list[Behavior]:
    """What a diagnosis of the short run knows, by each criterion."""
    call = (case.system.step, case.system.initial_state, case.inputs(OTHERS_LENGTH), OTHERS_LENGTH)
    return [ps.diagnose(*call, key=jax.random.key(0), criterion=each).behavior for each in CRITERIA]


def fit_others(counts: Iterable[Mapping[str, Any]], known: Mapping[int, list[Behavior]]) -> dict[str, Any]:
    """Weight, slope and offsets; a count that reaches T says only that it is large, and is left out.

    Args:
        counts: what ``measure.other_methods`` returns.
        known: what is known of each system, by its number.
    """
    rows = [
        ({name: value[place] for name, value in each.items() if name != "number"}, known[each["number"]][place])
        for each in counts
        for place in range(len(CRITERIA))
    ]
    logs: dict[str, list[float]] = {"gradient_descent": []}
    for row, behavior in rows:
        if row["gradient_descent"]:
            formula = float(descent_iterations(jnp.exp(behavior.log_residual), behavior.log_mu.value))
            logs["gradient_descent"].append(_log(row["gradient_descent"]) - _log(formula))
    weight, _ = _least_scattered(lambda w: _quasi(rows, w), WEIGHTS)
    slope, logs["newton_on_blocks"] = _least_scattered(lambda s: _blocks(rows, s), SLOPES)
    offsets = {name: offset(each) for name, each in logs.items()}
    return {"quasi_weight": round(weight, 2), "block_slope": round(slope, 2), "offsets": offsets}


def _quasi(rows: list[Any], weight: float) -> list[float]:
    """Logarithms of quasi-Newton's counts over the weighted mean of Newton's and Jacobi's."""
    return [
        _log(row["quasi_newton"])
        - weight * _log(row["newton"] or 1)
        - (1 - weight) * _log(min(jacobi_formula(behavior), OTHERS_LENGTH))
        for row, behavior in rows
        if row["quasi_newton"] and row["quasi_newton"] < OTHERS_LENGTH
    ]


def _blocks(rows: list[Any], slope: float) -> list[float]:
    """Logarithms of counts on blocks over the power law."""
    return [
        _log(row[f"blocks {block}"] or 1) - _log(min(row["newton"] * block**slope, OTHERS_LENGTH / block))
        for row, _ in rows
        for block in BLOCKS
        if row["newton"]
    ]


def _least_scattered(residuals: Any, candidates: np.ndarray) -> tuple[float, list[float]]:
    """The candidate whose residuals lie closest to their median."""
    best = min(candidates, key=lambda each: np.mean(np.abs(np.array(residuals(each)) - np.median(residuals(each)))))
    return float(best), residuals(float(best))


def _log(count: float) -> float:
    """Logarithm of a count, at least one."""
    return math.log(max(count, 1.0))
