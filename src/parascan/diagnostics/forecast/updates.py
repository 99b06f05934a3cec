"""How many iterations each method is expected to take, from theory, pilots and a calibration made once.

Newton: measured on the first steps and continued to T. The count of a system that forgets settles; that of one that
does not grows like a power of T, at most T itself: the power follows from how the count grew within the pilot, how many
steps each update gained there, and whether the pilot outlasted the memory. Jacobi: the memory horizon. Picard: the
bound ``(kappa T)^n / n!`` on its error, with kappa the norm of ``J - I``. Quasi-Newton: between Newton and Jacobi, as
its linearization is. Gradient descent: ``(1/mu) log(||r||/mu)``. Intervals held on other systems in the same situation.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..estimate import Estimate, estimate_of
from .continuation import newton_center, power_of_length
from .contraction_rates import descent_iterations
from .fitted import Offset, calibration
from .margins import SATURATED, Center, margin, trend
from .newton_pilot import NewtonPilot

LARGEST_DRIFT = 0.5
"""Norm of ``J - I`` from which a step is far from the identity, and Picard's bound says little."""

FACTOR, SLACK = 1.5, 2
"""A forecast counts as right within this factor, or within so many iterations."""


def holds(expected: Float[np.ndarray, " N"] | float, taken: Float[np.ndarray, " N"] | float) -> Any:
    """Whether each forecast is close enough to the iterations that were taken.

    Args:
        expected: iterations forecast.
        taken: iterations taken.
    """
    expected, taken = np.asarray(expected), np.asarray(taken)
    near = np.abs(expected - taken) <= SLACK
    return near | ((expected <= FACTOR * taken) & (taken <= FACTOR * expected))


class Behavior(NamedTuple):
    """What the forecast needs to know of a system.

    Attributes:
        length: T.
        exponent: largest Lyapunov exponent, in 1/step.
        log_a: logarithm of the upper regularity constant.
        log_drop: logarithm of the first error over the allowed one.
        drift: norm of ``J - I``, by which a step differs from the identity.
        log_mu: logarithm of the PL constant, from theory.
        log_residual: logarithm of the residual norm of the guess.
        exponent_low: lower end of the exponent's interval; NaN where only the exponent is known.
        exponent_high: upper end.
        rule: the stopping rule that counts are for, in words; empty where it is not said.
        at_once: whether every Jacobian seen is zero, so that a step forgets all before it.
    """

    length: int
    exponent: float
    log_a: float
    log_drop: float
    drift: float
    log_mu: Estimate
    log_residual: float
    exponent_low: float = math.nan
    exponent_high: float = math.nan
    rule: str = ""
    at_once: bool = False

    @property
    def trend(self) -> str:
        """Whether perturbations die within the length, grow, or may do either."""
        return trend(self.exponent, (self.exponent_low, self.exponent_high), self.length)


def expected_iterations(behavior: Behavior, pilot: NewtonPilot, block: int) -> dict[str, Estimate]:
    """The updates of every method by name, as a diagnosis lists them.

    Args:
        behavior: of the system.
        pilot: Newton's counts on prefixes.
        block: steps of a block in the forecasts on blocks.
    """
    ends = behavior.exponent_low, behavior.exponent_high
    newton = newton_iterations(pilot, behavior.exponent, behavior.length, ends, behavior.rule)
    return {
        "newton": newton,
        "quasi_newton": quasi_newton_iterations(behavior, newton),
        "picard": picard_iterations(behavior),
        "jacobi": jacobi_iterations(behavior),
        "gradient_descent": descent_updates(behavior),
        f"newton_blocks_of_{block}": newton_on_blocks(newton, behavior.length, block),
        f"jacobi_blocks_of_{block}": jacobi_on_blocks(behavior, block),
    }


def newton_iterations(
    pilot: NewtonPilot,
    exponent: float,
    length: int,
    interval: tuple[float, float] = (math.nan, math.nan),
    rule: str = "",
) -> Estimate:
    """Newton's updates over T steps: measured where the pilot reaches, continued beyond.

    Args:
        pilot: counts on prefixes.
        exponent: largest Lyapunov exponent, in 1/step.
        length: T.
        interval: of the exponent; NaN where it is not known.
        rule: the stopping rule, in words.
    """
    if pilot.length == 0:
        return _counts(length, 1, length, length, _named("no prefix converged within the pilot", rule), measured=False)
    if length <= pilot.length:
        count, method = pilot.at(length), _named("measured: the pilot is as long as the data", rule)
        return _counts(count, count, count, length, method, measured=True)
    center = newton_center(pilot, exponent, length, interval)
    known, power = pilot.at(pilot.length), power_of_length(pilot, exponent)
    method = f"pilot of {pilot.length} steps takes {known}, continued as T^{power:.2f}; {center.situation}"
    return within_margins("newton", center, length, method, rule)


def jacobi_iterations(behavior: Behavior) -> Estimate:
    """Jacobi's updates: the memory horizon, at most T.

    Args:
        behavior: of the system.
    """
    if behavior.at_once:
        return _counts(1, 1, 1, 1, _named("no step depends on the one before", behavior.rule), measured=True)
    method = "memory horizon log(a e0 / tol) / |exponent|"
    return within_margins("jacobi", jacobi_center(behavior), behavior.length, method, behavior.rule)


def jacobi_center(behavior: Behavior) -> Center:
    """The memory horizon, at most T.

    Args:
        behavior: of the system.
    """
    return _by_formula(jacobi_formula(behavior), behavior, behavior.trend)


def quasi_newton_iterations(behavior: Behavior, newton: Estimate) -> Estimate:
    """Quasi-Newton's updates: a weighted geometric mean of Newton's and Jacobi's.

    Args:
        behavior: of the system.
        newton: Newton's updates.
    """
    center = quasi_newton_center(behavior, float(newton.value))
    return within_margins("quasi_newton", center, behavior.length, "between Newton and Jacobi", behavior.rule)


def quasi_newton_center(behavior: Behavior, newton: float) -> Center:
    """A weighted geometric mean of Newton's count and Jacobi's.

    Args:
        behavior: of the system.
        newton: Newton's count.
    """
    weight, jacobi = calibration().quasi_weight, jacobi_center(behavior).updates
    return _by_formula(max(newton, 1.0) ** weight * jacobi ** (1 - weight), behavior, behavior.trend)


def picard_iterations(behavior: Behavior) -> Estimate:
    """Picard's updates: least n with ``(kappa T)^n / n!`` below the allowed error, at most T.

    Args:
        behavior: of the system.
    """
    method = "(kappa T)^n / n!, kappa = |J - I|"
    return within_margins("picard", picard_center(behavior), behavior.length, method, behavior.rule)


def picard_center(behavior: Behavior) -> Center:
    """The count of Picard's bound, and whether steps differ much from the identity.

    Args:
        behavior: of the system.
    """
    far = "far from standing still" if behavior.drift > LARGEST_DRIFT else behavior.trend
    return _by_formula(picard_formula(behavior), behavior, far)


def descent_updates(behavior: Behavior) -> Estimate:
    """Gradient descent's updates with a fixed step size, not bounded by T.

    Args:
        behavior: of the system.
    """
    ends = [
        float(descent_iterations(jnp.exp(behavior.log_residual), end))
        for end in (behavior.log_mu.value, behavior.log_mu.high, behavior.log_mu.low)
    ]
    value, low, high = (max(end, 1.0) for end in ends)
    offset = calibration().offsets["gradient_descent"]
    return estimate_of(
        value * math.exp(offset.median),
        low * math.exp(offset.low),
        high * math.exp(offset.high),
        "(1/mu) log(|r0|/mu) with mu from theorem 2",
        "iterations",
        calibration().level,
    )


def newton_on_blocks(newton: Estimate, length: int, block: int) -> Estimate:
    """Newton's updates on the boundaries of blocks, at most their number.

    Args:
        newton: its updates on every step.
        length: T.
        block: steps of a block.
    """
    offset: Offset = calibration().offsets["newton_on_blocks"]
    ends = ((newton.value, offset.median), (newton.low, offset.low), (newton.high, offset.high))
    value, low, high = (max(float(end), 1.0) * block ** calibration().block_slope * math.exp(log) for end, log in ends)
    return _counts(value, low, high, -(-length // block), f"Newton's, {block} steps a block", measured=False)


def jacobi_on_blocks(behavior: Behavior, block: int) -> Estimate:
    """Jacobi's passes over blocks: the memory horizon in blocks and one more, at most their number.

    Args:
        behavior: of the system.
        block: steps of a block.
    """
    center = jacobi_center(behavior)
    center = center._replace(updates=center.updates / block + 1)
    most = -(-behavior.length // block)
    return within_margins("jacobi", center, most, f"memory horizon / {block} + 1", behavior.rule)


def jacobi_formula(behavior: Behavior) -> float:
    """The memory horizon of the allowed error; infinite without one.

    Args:
        behavior: of the system.
    """
    if not behavior.exponent < 0:
        return math.inf
    if behavior.exponent == -math.inf:
        # Every step forgets all before it, and constants relative to such an exponent mean nothing.
        return 1.0
    return (behavior.log_a + max(behavior.log_drop, 0.0)) / -behavior.exponent


def picard_formula(behavior: Behavior) -> float:
    """The least n up to T for which ``(kappa T)^n / n!`` is below the allowed part of the first error; T if none is.

    Args:
        behavior: of the system.
    """
    length, drift = behavior.length, behavior.drift * behavior.length
    if not math.isfinite(drift):
        return length
    low, high = 0, length
    while low < high:
        n = (low + high) // 2
        # The terms of the series grow until n = drift, and what is asked for lies beyond.
        good = n >= drift and n * math.log(max(drift, 1e-300)) - math.lgamma(n + 1) <= -behavior.log_drop
        low, high = (low, n) if good else (n + 1, high)
    return max(low, 1)


def _by_formula(formula: float, behavior: Behavior, situation: str) -> Center:
    """A count by formula, between one and T."""
    if formula >= behavior.length:
        return Center(float(behavior.length), 1.0, SATURATED)
    return Center(max(formula, 1.0), 1.0, situation)


def within_margins(name: str, center: Center, most: int, method: str, rule: str) -> Estimate:
    """A count with the interval that held on other systems in the same situation."""
    margins = margin(name, center.situation)
    value, low, high = (
        center.updates * math.exp(center.reach * each) for each in (margins.median, margins.low, margins.high)
    )
    return _counts(value, max(low - 1, center.least), high + 1, most, _named(method, rule), measured=False)


def _named(method: str, rule: str) -> str:
    """How a count was found, with the stopping rule it is for: another rule may take several times as many."""
    return f"{method}; under {rule}" if rule else method


def _counts(value: float, low: float, high: float, most: int, method: str, *, measured: bool) -> Estimate:
    """A count between one and the most that a causal method takes."""
    value, low, high = (min(max(each, 0.0 if measured else 1.0), most) for each in (value, low, high))
    ends = (float(round(value)), float(math.floor(low)), float(math.ceil(high)))
    level = 1.0 if measured else calibration().level
    assumptions = (
        () if measured else ("later steps are like those of the pilots", "systems are like those calibrated on")
    )
    return estimate_of(*ends, method, "iterations", level, assumptions)
