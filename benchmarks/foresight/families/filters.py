"""Filters and observers."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Law, Numbers, Variant, between, noise
from .flows import lorenz_field, rossler_field


def biquad(s: Array, x: Array, p: Numbers) -> Array:
    return jnp.stack([p["c1"] * s[0] - p["c2"] * s[1] + x[0], s[0]])


def kalman(s: tuple[Array, Array], x: Array, p: Numbers) -> tuple[Array, Array]:
    """Of a place with a speed, of which the place is measured."""
    mean, covariance = s
    move = jnp.array([[1.0, 0.1], [0.0, 1.0]])
    mean, covariance = move @ mean, move @ covariance @ move.T + p["q"] * jnp.eye(2)
    gain = covariance[:, 0] / (covariance[0, 0] + p["r"])
    return mean + gain * (x[0] - mean[0]), covariance - jnp.outer(gain, covariance[0])


def pendulum_ekf(s: tuple[Array, Array], x: Array, p: Numbers) -> tuple[Array, Array]:
    """The extended filter of a pendulum whose angle is measured."""
    mean, covariance = s
    move = jnp.array([[1.0, 0.05], [0.0, 1.0]]).at[1, 0].set(-0.05 * jnp.cos(mean[0]))
    mean = mean + 0.05 * jnp.stack([mean[1], -jnp.sin(mean[0])])
    covariance = move @ covariance @ move.T + p["q"] * jnp.eye(2)
    gain = covariance[:, 0] / (covariance[0, 0] + p["r"])
    return mean + gain * (p["swing"] * x[0] - mean[0]), covariance - jnp.outer(gain, covariance[0])


def observer(field: Law, measured: int) -> Law:
    """An observer that is pulled to a measured entry of the flow, which runs beside it in the inputs."""

    def law(s: Array, x: Array, p: Numbers) -> Array:
        seen = (
            s.at[measured].set(x[measured]) if "pull" not in p else s + p["dt"] * p["pull"] * (x - s) * _unit(measured)
        )
        return seen + p["dt"] * field(seen, None, p)

    return law


def _unit(place: int) -> Array:
    return jnp.zeros(3).at[place].set(1.0)


def _flow(field: Law, numbers: dict[str, float], before: int):
    """A run of the flow by Euler's method as inputs, from a random start near the attractor."""

    def inputs(rng: np.random.Generator, length: int) -> np.ndarray:
        state, states = rng.normal(1, 1, 3), np.empty((before + length, 3))
        for t in range(before + length):
            states[t] = state
            state = state + numbers["dt"] * _in_numpy(field, state, numbers)
        return states[before:]

    return inputs


def _in_numpy(field: Law, s: np.ndarray, p: dict[str, float]) -> np.ndarray:
    x, y, z = s
    if field is lorenz_field:
        return np.array([10 * (y - x), x * (p["rho"] - z) - y, x * y - 8 / 3 * z])
    return np.array([-y - z, x + p["a"] * y, 0.2 + z * (x - p["c"])])


LORENZ, ROSSLER = {"rho": 28.0, "dt": 0.005}, {"a": 0.2, "c": 5.7, "dt": 0.02}


def _filter(q: float, r: float):
    return lambda k, _: Variant({"q": q * 10.0**-k, "r": r, "swing": 1.0}, (np.ones(2), np.eye(2)))


FAMILIES = (
    Family(
        "biquad", "filters", biquad, 10_000,
        lambda k, _: Variant(
            {"c1": 2 * (1 - 0.3 * 0.3**k) * np.cos(0.3), "c2": (1 - 0.3 * 0.3**k) ** 2}, np.ones(2),
            float(np.log(1 - 0.3 * 0.3**k)),
        ),
        noise(1),
    ),
    Family("kalman", "filters", kalman, 10_000, _filter(0.1, 1.0), noise(1)),
    Family("pendulum_ekf", "filters", pendulum_ekf, 5000, _filter(0.1, 0.1), noise(1)),
    Family(
        "lorenz_observer", "filters", observer(lorenz_field, 1), 10_000,
        lambda k, rng: Variant({**LORENZ, "pull": between(0.0, 40.0, k)}, rng.normal(0, 10, 3)),
        _flow(lorenz_field, LORENZ, 2000),
    ),
    Family(
        "rossler_observer", "filters", observer(rossler_field, 1), 20_000,
        lambda _, rng: Variant(ROSSLER, rng.normal(0, 5, 3)), _flow(rossler_field, ROSSLER, 2000),
    ),
)  # fmt: skip
