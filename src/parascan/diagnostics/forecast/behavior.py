"""The numbers from which iterations are forecast, taken from what a diagnosis has measured."""

import math
from typing import Any

import numpy as np

from ...solvers.criterion import Merit, StateError
from ..conditioning.bounds import log_sigma_min_bounds
from ..estimate import estimate_of
from .updates import Behavior


def rule_in_words(criterion: StateError | Merit) -> str:
    """The stopping rule as a user writes it."""
    return f"Merit(tol={criterion.tol:g})" if isinstance(criterion, Merit) else str(criterion)


def allowed_error(criterion: StateError | Merit, scale: float, eps: float) -> float:
    """The error of a state that the criterion lets pass, in units of the state.

    Args:
        criterion: the stopping rule.
        scale: largest magnitude of a state.
        eps: unit of rounding of the states.
    """
    if isinstance(criterion, Merit):
        return math.sqrt(2 * criterion.tol)
    default = (512 if eps < 1e-12 else 16) * eps
    rtol = criterion.rtol if criterion.rtol is not None else default if criterion.atol is None else 0.0
    atol = criterion.atol if criterion.atol is not None else rtol
    return atol + rtol * scale


def behavior_of(seen: Any, criterion: StateError | Merit, length: int, eps: float) -> Behavior:
    """The numbers that the forecast needs, from what was measured.

    Args:
        seen: what the pilots show.
        criterion: the stopping rule.
        length: T.
        eps: unit of rounding of the states.
    """
    growth, scale = seen.growth, float(seen.scale)
    exponent, a, b = growth.exponent, growth.a, growth.b
    theory = log_sigma_min_bounds(exponent.value, length, a.value, b.value)
    low, high = (2 * float(end) for end in theory)
    # Ones of the same kind as the constants, so that one compiled program serves both.
    value = 2 * float(log_sigma_min_bounds(exponent.value, length, np.ones_like(a.value), np.ones_like(b.value)).lower)
    value, low, high = (each if math.isfinite(each) else -math.inf for each in (value, low, high))
    log_mu = estimate_of(
        min(max(value, low), high),
        low,
        high,
        "theorem 2; the value is its lower bound for a = 1",
        "",
        1.0,
        ("a, b and the exponent are as measured",),
    )
    first_error = max(float(seen.distance), float(growth.spread), 1e-300)
    drop = math.log(first_error) - math.log(max(allowed_error(criterion, scale, eps), 1e-300))
    drop = drop if math.isfinite(drop) else 0.0
    residual = math.log(max(float(seen.residual) * math.sqrt(length), 1e-300))
    return Behavior(
        length=length,
        exponent=float(exponent.value),
        log_a=math.log(float(a.value)),
        log_drop=drop,
        drift=float(growth.drift),
        log_mu=log_mu,
        log_residual=residual,
        exponent_low=float(exponent.low),
        exponent_high=float(exponent.high),
        rule=rule_in_words(criterion),
        at_once=float(growth.rho.value) == 0,
    )
