"""Epidemics, neurons and populations."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, clock, euler, noise, rk4


def sir_field(s: Array, _: None, p: Numbers) -> Array:
    infection = p["beta"] * s[0] * s[1]
    return jnp.stack([-infection, infection - p["gamma"] * s[1], p["gamma"] * s[1]])


def epidemic_field(s: Array, x: Array, p: Numbers) -> Array:
    """With births and deaths, and contacts that follow a year of 365 units of time."""
    contacts = p["beta"] * (1 + p["season"] * jnp.cos(2 * jnp.pi * p["dt"] * x / 365))
    infection = contacts * s[0] * s[1]
    return jnp.stack([p["mu"] * (1 - s[0]) - infection, infection - (p["gamma"] + p["mu"]) * s[1]])


def hodgkin_huxley(s: Array, x: Array, p: Numbers) -> Array:
    """The squid axon (Hodgkin and Huxley, 1952, in today's signs) by Euler's method, with a noisy current."""
    v, m, h, n = s
    ionic = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.4)
    opening = _rise(v + 40, 0.1), 0.07 * jnp.exp(-(v + 65) / 20), _rise(v + 55, 0.01)
    closing = 4 * jnp.exp(-(v + 65) / 18), 1 / (1 + jnp.exp(-(v + 35) / 10)), 0.125 * jnp.exp(-(v + 65) / 80)
    gates = [a * (1 - g) - b * g for a, b, g in zip(opening, closing, (m, h, n), strict=True)]
    current = p["current"] + p["noise"] * x[0]
    return s + p["dt"] * jnp.stack([current - ionic, *gates])


def _rise(shifted: Array, rate: float) -> Array:
    """``rate * v / (1 - exp(-v / 10))``, also at zero."""
    near = jnp.abs(shifted) < 1e-6
    safe = jnp.where(near, 1.0, shifted)
    return jnp.where(near, 10 * rate, rate * safe / (1 - jnp.exp(-safe / 10)))


def fitzhugh_nagumo_field(s: Array, _: Array, p: Numbers) -> Array:
    v, w = s
    return jnp.stack([v - v**3 / 3 - w + p["current"], 0.08 * (v + 0.7 - 0.8 * w)])


def wilson_cowan_field(s: Array, _: None, p: Numbers) -> Array:
    excited, inhibited = s
    return jnp.stack([
        jax.nn.sigmoid(1.3 * (16 * excited - 12 * inhibited + p["drive"] - 4)) - excited,
        jax.nn.sigmoid(2 * (15 * excited - 3 * inhibited - 3.7)) - inhibited,
    ])  # fmt: skip


def lotka_volterra_field(s: Array, _: None, p: Numbers) -> Array:
    """In logarithms of the populations, where the first integral stays one."""
    hare, lynx = s
    return jnp.stack([1 - jnp.exp(lynx), p["rate"] * (jnp.exp(hare) - 1)])


AT_REST = np.array([-65.0, 0.053, 0.596, 0.318])

FAMILIES = (
    Family(
        "sir", "biology", euler(sir_field), 20_000,
        lambda k, _: Variant(
            {"beta": between(0.3, 0.6, k), "gamma": 0.1, "dt": 0.1},
            # What is left of the susceptible is kept for ever: one direction is neutral once the wave is over.
            np.array([1 - 10.0 ** -(6 - k // 2), 10.0 ** -(6 - k // 2), 0.0]), 0.0,
        ),
    ),
    Family(
        "hodgkin_huxley", "biology", hodgkin_huxley, 20_000,
        lambda k, _: Variant(
            {"current": (10.0, 0.0, 4.0, 6.5, 15.0, 30.0, 10.0)[k], "noise": 5.0 if k < 6 else 0.5, "dt": 0.01},
            AT_REST,
        ),
        noise(1),
    ),
    Family(
        "fitzhugh_nagumo", "biology", euler(fitzhugh_nagumo_field), 10_000,
        lambda k, _: Variant({"current": between(0.0, 1.2, k), "dt": 0.05, "noise": 0.05}, np.array([-1.0, -0.5])),
        noise(2),
    ),
    Family(
        "wilson_cowan", "biology", rk4(wilson_cowan_field), 10_000,
        lambda k, rng: Variant({"drive": between(0.0, 3.0, k), "dt": 0.05}, rng.uniform(0, 0.5, 2)),
    ),
    Family(
        "epidemic", "biology", rk4(epidemic_field), 20_000,
        lambda k, _: Variant(
            {"beta": 0.5, "gamma": 0.1, "mu": between(1e-3, 1e-2, k), "season": 0.3 * (k % 2), "dt": 1.0},
            np.array([0.9, 1e-3]),
        ),
        clock,
    ),
    Family(
        "lotka_volterra", "biology", rk4(lotka_volterra_field), 20_000,
        lambda k, rng: Variant({"rate": between(0.3, 1.5, k), "dt": 0.02}, rng.normal(0, 0.5, 2), 0.0),
    ),
)  # fmt: skip
