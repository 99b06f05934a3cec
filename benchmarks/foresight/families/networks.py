"""Recurrent networks, from deep in order to chaos."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, noise

UNITS = 16


def tanh_network(s: Array, x: Array, p: Numbers) -> Array:
    return jnp.tanh(p["w"] @ s + p["u"] @ x)


def gru(s: Array, x: Array, p: Numbers) -> Array:
    reset, update = jax.nn.sigmoid(p["gates"] @ jnp.concatenate([s, x])).reshape(2, -1)
    proposed = jnp.tanh(p["w"] @ (reset * s) + p["u"] @ x)
    return update * s + (1 - update) * proposed


def lstm(s: tuple[Array, Array], x: Array, p: Numbers) -> tuple[Array, Array]:
    hidden, cell = s
    i, f, o, g = (p["w"] @ jnp.concatenate([hidden, x])).reshape(4, -1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell


def rate_network(s: Array, x: Array, p: Numbers) -> Array:
    return s + 0.1 * (p["w"] @ jnp.tanh(s) + p["u"] @ x - s)


def reservoir(s: Array, x: Array, p: Numbers) -> Array:
    return (1 - p["leak"]) * s + p["leak"] * jnp.tanh(p["w"] @ s + p["u"] @ x)


def _weights(rng: np.random.Generator, rows: int, columns: int, gain: float) -> np.ndarray:
    return gain * rng.standard_normal((rows, columns)) / np.sqrt(columns)


def _plain(low: float, high: float, drive: float, units: int = UNITS, leak: float = 1.0):
    def variant(k: int, rng: np.random.Generator) -> Variant:
        numbers = {
            "w": _weights(rng, units, units, between(low, high, k)),
            "u": drive * rng.standard_normal((units, 2)),
        }
        return Variant({**numbers, "leak": leak}, rng.normal(0, 0.5, units))

    return variant


def _gru(k: int, rng: np.random.Generator) -> Variant:
    gain = between(0.8, 6.0, k)
    gates, w = _weights(rng, 2 * UNITS, UNITS + 2, gain), _weights(rng, UNITS, UNITS, gain)
    return Variant({"gates": gates, "w": w, "u": 0.3 * rng.standard_normal((UNITS, 2))}, np.zeros(UNITS))


def _lstm(k: int, rng: np.random.Generator) -> Variant:
    return Variant({"w": _weights(rng, 4 * UNITS, UNITS + 2, between(0.8, 9.0, k))}, (np.zeros(UNITS), np.zeros(UNITS)))


FAMILIES = (
    Family("tanh_network", "networks", tanh_network, 5000, _plain(0.5, 2.2, 0.2), noise(2)),
    Family("gru", "networks", gru, 5000, _gru, noise(2)),
    Family("lstm", "networks", lstm, 5000, _lstm, noise(2)),
    Family("rate_network", "networks", rate_network, 5000, _plain(0.6, 4.0, 0.05), noise(2)),
    Family("reservoir", "networks", reservoir, 5000, _plain(0.6, 1.8, 0.3, units=32, leak=0.3), noise(2)),
)
