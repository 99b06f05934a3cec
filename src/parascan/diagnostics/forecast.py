"""How many iterations each method is expected to take, from theory, pilots and a calibration made once.

Newton: measured on the first steps and continued to T. The count of a system that forgets settles; that of one that
does not grows like a power of T, at most T itself: the power follows from how the count grew within the pilot, how many
steps each update gained there, and whether the pilot outlasted the memory. Jacobi: the memory horizon. Picard: the
bound ``(kappa T)^n / n!`` on its error, with kappa the norm of ``J - I``. Quasi-Newton: between Newton and Jacobi, as
its linearization is. Gradient descent: ``(1/mu) log(||r||/mu)``.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .calibration import Offset, calibration
from .estimate import Estimate, estimate_of
from .newton_pilot import NewtonPilot
from .rates import descent_iterations

STEEPEST = 1.1
"""Largest power of T: slightly above one, for pilots that began near their guess."""


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
        drift: norm of ``J - I``, by which a step differs from standing still.
        log_mu: logarithm of the PL constant, from theory.
        log_residual: logarithm of the residual norm of the guess.
    """

    length: int
    exponent: float
    log_a: float
    log_drop: float
    drift: float
    log_mu: Estimate
    log_residual: float


def power_features(pilot: NewtonPilot, exponent: float) -> tuple[float, ...]:
    """What the growth of Newton's count with T depends on, all from the pilot and the exponent.

    Args:
        pilot: with at least one count.
        exponent: in 1/step.
    """
    length = pilot.length
    whole, half, quarter = (max(pilot.at(length / part), 1) for part in (1, 2, 4))
    memory = math.tanh(exponent * length / 3) if math.isfinite(exponent) else 0.0
    return (1.0, math.log2(whole / half), math.log2(half / quarter), memory, math.log(whole / length))


def power_of_length(pilot: NewtonPilot, exponent: float) -> float:
    """The power of T with which Newton's count grows beyond the pilot."""
    features = power_features(pilot, exponent)
    score = sum(c * f for c, f in zip(calibration().power, features, strict=True))
    return STEEPEST / (1 + math.exp(-score))


def newton_iterations(pilot: NewtonPilot, exponent: float, length: int) -> Estimate:
    """Newton's updates over T steps: measured where the pilot reaches, continued beyond.

    Args:
        pilot: counts on prefixes.
        exponent: largest Lyapunov exponent, in 1/step.
        length: T.
    """
    if pilot.length == 0:
        return _counts(length, 1, length, length, "no prefix converged within the pilot", measured=False)
    if length <= pilot.length:
        count = pilot.at(length)
        return _counts(count, count, count, length, "measured: the pilot is as long as the data", measured=True)
    known, stretch = pilot.at(pilot.length), length / pilot.length
    power, error = power_of_length(pilot, exponent), calibration().power_error
    ends = [known * stretch ** min(max(power + sign * error, 0.0), STEEPEST) for sign in (0, -1, 1)]
    method = f"pilot of {pilot.length} steps takes {known}, continued as T^{power:.2f}"
    return _counts(ends[0], max(ends[1] - 1, known), ends[2] + 1, length, method, measured=False)


def jacobi_iterations(behavior: Behavior) -> Estimate:
    """Jacobi's updates: the memory horizon, at most T.

    Args:
        behavior: of the system.
    """
    return _by_formula(
        "jacobi", jacobi_formula(behavior), behavior.length, "memory horizon log(a e0 / tol) / |exponent|"
    )


def quasi_newton_iterations(behavior: Behavior, newton: Estimate) -> Estimate:
    """Quasi-Newton's updates: a weighted geometric mean of Newton's and Jacobi's.

    Args:
        behavior: of the system.
        newton: Newton's updates.
    """
    weight, jacobi = calibration().quasi_weight, jacobi_formula(behavior)
    formula = max(float(newton.value), 1.0) ** weight * max(min(jacobi, behavior.length), 1.0) ** (1 - weight)
    return _by_formula("quasi_newton", formula, behavior.length, "between Newton and Jacobi")


def picard_iterations(behavior: Behavior) -> Estimate:
    """Picard's updates: least n with ``(kappa T)^n / n!`` below the allowed error, at most T.

    Args:
        behavior: of the system.
    """
    return _by_formula("picard", picard_formula(behavior), behavior.length, "(kappa T)^n / n!, kappa = |J - I|")


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
    formula = max(float(newton.value), 1.0) * block ** calibration().block_slope
    return _by_formula("newton_on_blocks", formula, -(-length // block), f"Newton's, {block} steps a block", newton)


def jacobi_on_blocks(behavior: Behavior, block: int) -> Estimate:
    """Jacobi's passes over blocks: the memory horizon in blocks and one more, at most their number.

    Args:
        behavior: of the system.
        block: steps of a block.
    """
    formula = jacobi_formula(behavior) / block + 1
    return _by_formula("jacobi", formula, -(-behavior.length // block), f"memory horizon / {block} + 1")


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
    """The least n for which ``(kappa T)^n / n!`` is below the allowed error over the first; T where none below it is.

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


def _by_formula(name: str, formula: float, most: int, method: str, of: Estimate | None = None) -> Estimate:
    """A count that is a calibrated multiple of a formula, with the interval of what the formula rests on."""
    offset: Offset = calibration().offsets[name]
    below, above = (1.0, 1.0)
    if of is not None:
        value = max(float(of.value), 1.0)
        below, above = max(float(of.low), 1.0) / value, max(float(of.high), 1.0) / value
    value, low, high = (
        formula * factor * math.exp(log)
        for factor, log in ((1.0, offset.median), (below, offset.low), (above, offset.high))
    )
    return _counts(value, low, high, most, method, measured=False)


def _counts(value: float, low: float, high: float, most: int, method: str, *, measured: bool) -> Estimate:
    """A count between one and the most that a causal method takes."""
    value, low, high = (min(max(each, 0.0 if measured else 1.0), most) for each in (value, low, high))
    ends = (float(round(value)), float(math.floor(low)), float(math.ceil(high)))
    level = 1.0 if measured else calibration().level
    assumptions = (
        () if measured else ("later steps are like those of the pilots", "systems are like those calibrated on")
    )
    return estimate_of(*ends, method, "iterations", level, assumptions)
