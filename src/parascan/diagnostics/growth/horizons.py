"""How long a system remembers, and how far it can be predicted."""

import math
from collections.abc import Callable

import numpy as np

from ..estimate import Estimate, estimate_of


def memory_horizon(exponent: Estimate, a: Estimate, tolerance: float) -> Estimate:
    """Steps until a unit perturbation is below a tolerance for good, infinite unless the exponent is negative.

    ``log(a / tolerance) / |exponent|``, from the envelope ``a e^(exponent k)`` over all windows.

    Args:
        exponent: largest Lyapunov exponent, in 1/step.
        a: regularity constant of the envelope, one or more.
        tolerance: size below which a perturbation counts as forgotten, positive.

    Raises:
        ValueError: ``tolerance`` is not positive.

    Source: equation 10 of the paper.

    Examples:
        >>> import jax.numpy as jnp
        >>> known = lambda value: Estimate(jnp.asarray(value), jnp.asarray(value), jnp.asarray(value), "given")
        >>> print(round(float(memory_horizon(known(-0.1), known(1.0), 1e-3).value), 2))
        69.08
    """
    positive("tolerance", tolerance)

    def steps(exponent: float, a: float) -> float:
        if exponent == -math.inf:
            # One step leaves nothing, and constants relative to such an exponent mean nothing.
            return 1.0
        excess = math.log(max(a, 1.0)) - math.log(tolerance) if a < math.inf else math.inf
        return _quotient(max(excess, 0.0), -exponent)

    return _over_intervals(steps, exponent, a, f"log(a / {tolerance:.2g}) / |exponent|")


def prediction_horizon(exponent: Estimate, initial: Estimate, tolerance: float) -> Estimate:
    """Steps until an initial error has grown to a tolerance, infinite unless the exponent is positive.

    ``log(tolerance / initial) / exponent``.

    Args:
        exponent: largest Lyapunov exponent, in 1/step.
        initial: error at the start, in units of the state, such as that of rounding.
        tolerance: error at which a prediction has lost its value, in units of the state, positive.

    Raises:
        ValueError: ``tolerance`` is not positive.

    Source: equation 7 of the paper.

    Examples:
        >>> import jax.numpy as jnp
        >>> known = lambda value: Estimate(jnp.asarray(value), jnp.asarray(value), jnp.asarray(value), "given")
        >>> print(round(float(prediction_horizon(known(0.5), known(1e-8), 1.0).value), 2))
        36.84
    """
    positive("tolerance", tolerance)

    def steps(exponent: float, initial: float) -> float:
        gain = math.log(tolerance) - math.log(initial) if initial > 0 else math.inf
        return _quotient(max(gain, 0.0), exponent)

    return _over_intervals(steps, exponent, initial, f"log({tolerance:.2g} / initial error) / exponent")


def positive(name: str, value: float) -> float:
    """The value, refused unless it is a positive finite number.

    Raises:
        ValueError: the value is not positive or not finite.
    """
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: given {value}, expected a positive number.")
    return value


def _quotient(excess: float, rate: float) -> float:
    """Steps that an excess takes at a rate: none without an excess, infinitely many at a rate of zero or less."""
    if excess == 0:
        return 0.0
    return excess / rate if rate > 0 else math.inf


def _over_intervals(steps: Callable[[float, float], float], first: Estimate, second: Estimate, method: str) -> Estimate:
    """A monotone function of two estimates, with its smallest and largest value over their intervals."""
    ends = [
        steps(one, other)
        for one in (float(first.low), float(first.high))
        for other in (float(second.low), float(second.high))
        if not (np.isnan(one) or np.isnan(other))
    ]
    value = steps(float(first.value), float(second.value))
    low, high = (min(ends), max(ends)) if ends else (0.0, math.inf)
    return estimate_of(
        value,
        low,
        high,
        method,
        "steps",
        min(first.level, second.level),
        first.assumptions + tuple(each for each in second.assumptions if each not in first.assumptions),
    )
