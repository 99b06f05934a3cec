"""Coefficients of the forecast, fitted to what was measured on the family of the calibration."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from parascan.diagnostics.forecast.continuation import STEEPEST, power_features
from parascan.diagnostics.forecast.newton_pilot import NewtonPilot

EVALUATIONS = 12_000
"""What a pilot costs at the default budget up to T = 40000."""

LEVEL = 0.9
"""Level of the intervals."""

LENGTHS_PER_SYSTEM = 10
"""Lengths T at which every system is looked at."""

TOLERANCE = 0.8
"""Error of a logarithm from which a system counts as lost, whatever else."""


class Sample(NamedTuple):
    """One system at one length.

    Attributes:
        pilot: what a pilot of the default budget would have seen.
        exponent: of the system.
        length: T.
        count: updates that Newton takes.
        kind: of the system.
        label: of the system.
    """

    pilot: NewtonPilot
    exponent: float
    length: int
    count: int
    kind: str
    label: str


def samples(
    curves: Iterable[Mapping[str, Any]],
    seed: int,
    each: int = LENGTHS_PER_SYSTEM,
    evaluations: int = EVALUATIONS,
) -> Iterator[Sample]:
    """Random lengths of measured curves, as far as they were measured.

    Args:
        curves: what ``measure.newton_curve`` returns.
        seed: of the lengths.
        each: lengths of every curve.
        evaluations: step evaluations of the pilots.
    """
    rng = np.random.default_rng(seed)
    for curve in curves:
        ends = np.array(curve["ends"])
        for number in range(each):
            counts = np.array(curve["counts"][number % 2])
            drawn = np.searchsorted(ends, 10 ** rng.uniform(2, np.log10(ends[-1])))
            place = min(int(drawn), len(ends) - 1)
            if counts[place] < 0:
                continue
            seen = NewtonPilot(ends[: place + 1], counts[: place + 1], evaluations).within(evaluations)
            yield Sample(seen, curve["exponent"], int(ends[place]), int(counts[place]), curve["kind"], curve["label"])


def fit_power(found: list[Sample]) -> list[float]:
    """Coefficients of the power of T.

    Least bounded deviations of the logarithm of the count: a lost system must not bend the others.
    """
    features = jnp.asarray([power_features(each.pilot, each.exponent) for each in found])
    stretch = jnp.log(jnp.asarray([each.length / each.pilot.length for each in found]))
    known = jnp.log(jnp.asarray([max(each.pilot.at(each.pilot.length), 1) for each in found]))
    most = jnp.log(jnp.asarray([float(each.length) for each in found]))
    truth = jnp.log(jnp.asarray([max(each.count, 1.0) for each in found]))
    middle = jnp.mean(features, axis=0).at[0].set(0.0)
    scale = jnp.std(features, axis=0).at[0].set(1.0)
    normalized = (features - middle) / scale

    def predicted(coefficients: jax.Array) -> jax.Array:
        return jnp.minimum(known + STEEPEST * jax.nn.sigmoid(normalized @ coefficients) * stretch, most)

    def loss(coefficients: jax.Array) -> jax.Array:
        error = predicted(coefficients) - truth
        bounded = jnp.mean(jnp.tanh(jnp.sqrt(error**2 + 0.0025) / TOLERANCE))
        return bounded + 1e-3 * jnp.sum(coefficients[1:] ** 2)

    optimizer = optax.adam(0.03)

    def step(carry: Any, _: None) -> tuple[Any, None]:
        coefficients, state = carry
        updates, state = optimizer.update(jax.grad(loss)(coefficients), state)
        return (optax.apply_updates(coefficients, updates), state), None

    start = jnp.zeros(features.shape[1])
    fitted = jax.lax.scan(step, (start, optimizer.init(start)), None, length=2000)[0][0]
    plain = fitted / scale
    plain = plain.at[0].set(fitted[0] - jnp.sum((fitted * middle / scale)[1:]))
    return [round(float(each), 4) for each in plain]


def offset(logarithms: Iterable[float]) -> dict[str, float]:
    """Median and interval of logarithms of count over formula."""
    tail = (1 - LEVEL) / 2
    low, median, high = np.quantile(np.array(list(logarithms)), [tail, 0.5, 1 - tail])
    return {"median": round(float(median), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
