"""How near a solution must be to the sequential trajectory, and up to which step the question makes sense."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import parascan as ps

ROUNDINGS = 64
"""Units of rounding, relative to the largest state, within which a residual counts as zero."""

CHAOTIC_TOLERANCE = 1e-6
"""Largest error of a chaotic trajectory up to its prediction horizon, in units of the state."""


@dataclass(frozen=True)
class Agreement:
    """A comparison with the sequential trajectory.

    Attributes:
        error: distance over the compared steps, in units of the state.
        tolerance: bound on it.
        compared: number of leading steps compared.
        horizon: number of leading steps over which the comparison makes sense.
    """

    error: float
    tolerance: float
    compared: int
    horizon: int


def contracting(
    states: Float[Array, "T D"], reference: Float[Array, "T D"], exponent: float, merit_tolerance: float
) -> Agreement:
    """Root mean square of the error against its bound, for a system that forgets.

    The criterion bounds the root mean square of the residual, theorem 2 with a = 1 that of the error.

    Args:
        states: the solution [T, D].
        reference: the sequential trajectory [T, D].
        exponent: largest Lyapunov exponent, in 1/step, negative.
        merit_tolerance: bound on merit/T, in squared units of the state.

    Source: theorem 2 of the paper.
    """
    length = len(reference)
    error = float(jnp.sqrt(jnp.mean(jnp.sum((states - reference) ** 2, axis=1))))
    return Agreement(error, math.sqrt(2 * merit_tolerance) * amplification(exponent, length), length, length)


def chaotic(
    system: ps.systems.System,
    xs: Array | None,
    states: Float[Array, "T D"],
    reference: Float[Array, "T D"],
    exponent: float,
) -> Agreement:
    """Largest error while a comparison makes sense, for a system that does not forget.

    Compared are the leading steps whose residuals are nothing but rounding (the criterion lets the last ones have
    more), up to the horizon at which the growth of rounding errors passes the tolerance; beyond it, two sequential
    evaluations that round differently differ as much.

    Args:
        system: the system.
        xs: its inputs [T, ...], or None.
        states: the solution [T, D].
        reference: the sequential trajectory [T, D].
        exponent: largest Lyapunov exponent, in 1/step.

    Source: equation 7 of the paper.
    """
    unit = float(jnp.finfo(states.dtype).eps * jnp.max(jnp.abs(reference)))
    residual = residuals(system, xs, states)
    leading = settled(residual, unit)
    disturbance = max(unit, float(np.max(residual[:leading], initial=0.0)))
    until = horizon(exponent, disturbance, CHAOTIC_TOLERANCE, len(reference))
    compared = min(leading, until)
    error = float(jnp.max(jnp.abs(states - reference)[:compared], initial=0.0))
    return Agreement(error, CHAOTIC_TOLERANCE, compared, until)


def amplification(exponent: float, length: int) -> float:
    """How much a disturbance of every step is amplified after some steps: ``(e^(l T) - 1) / (e^l - 1)``.

    The reciprocal of the lower bound on the smallest singular value, with a = 1: the error of a trajectory over its
    residual, both as root mean squares over the steps.

    Args:
        exponent: largest Lyapunov exponent l, in 1/step.
        length: number of steps T.

    Returns:
        The dimensionless factor, infinite where it overflows.

    Source: theorem 2 of the paper.
    """
    if exponent == 0:
        return float(length)
    try:
        return math.expm1(exponent * length) / math.expm1(exponent)
    except OverflowError:
        return math.inf


def horizon(exponent: float, disturbance: float, tolerance: float, length: int) -> int:
    """The step up to which a disturbance of every step stays below a tolerance.

    Args:
        exponent: largest Lyapunov exponent, in 1/step.
        disturbance: size of what disturbs every step, such as a rounding error, in units of the state.
        tolerance: error still accepted, in units of the state.
        length: number of steps T.

    Returns:
        A number of steps, T for a system that forgets its disturbances.

    Source: equation 7 of the paper, with disturbances at every step and not only at the first.
    """
    if exponent <= 0 or disturbance == 0:
        return length
    return min(length, math.floor(math.log1p(tolerance * math.expm1(exponent) / disturbance) / exponent))


def residuals(system: ps.systems.System, xs: Array | None, states: Float[Array, "T D"]) -> Float[np.ndarray, " T"]:
    """Largest residual entry of every step, in units of the state."""
    before = jnp.concatenate([system.initial_state[None], states[:-1]])
    axes = (0, None) if xs is None else (0, 0)
    return np.max(np.abs(np.asarray(states - jax.vmap(system.step, in_axes=axes)(before, xs))), axis=1)


def settled(residual: Float[np.ndarray, " T"], unit: float) -> int:
    """Number of leading steps whose residual is nothing but rounding.

    Args:
        residual: largest residual entry of every step [T], in units of the state.
        unit: one unit of rounding of the largest state, in units of the state.
    """
    # Written so that a residual which is NaN ends the prefix.
    loose = np.flatnonzero(~(residual <= ROUNDINGS * unit))
    return int(loose[0]) if loose.size else len(residual)
