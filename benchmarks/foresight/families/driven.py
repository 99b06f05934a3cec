"""Forced oscillators and driven maps."""

import jax.numpy as jnp
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, clock, noise, rk4


def duffing_field(s: Array, x: Array, p: Numbers) -> Array:
    force = p["force"] * jnp.cos(1.2 * p["dt"] * x)
    return jnp.stack([s[1], s[0] - s[0] ** 3 - 0.3 * s[1] + force])


def pendulum_field(s: Array, x: Array, p: Numbers) -> Array:
    force = p["force"] * jnp.cos(2 / 3 * p["dt"] * x)
    return jnp.stack([s[1], -jnp.sin(s[0]) - 0.5 * s[1] + force])


def forced_vanderpol_field(s: Array, x: Array, p: Numbers) -> Array:
    force = p["force"] * jnp.cos(1.788 * p["dt"] * x)
    return jnp.stack([s[1], 5 * (1 - s[0] ** 2) * s[1] - s[0] + force])


def driven_logistic(s: Array, x: Array, p: Numbers) -> Array:
    return (p["r"] + p["spread"] * jnp.tanh(x)) * s * (1 - s)


FAMILIES = (
    Family(
        "duffing", "driven", rk4(duffing_field), 10_000,
        lambda k, rng: Variant({"force": between(0.15, 0.65, k), "dt": 0.05}, rng.normal(0, 0.5, 2)), clock,
    ),
    Family(
        "forced_pendulum", "driven", rk4(pendulum_field), 10_000,
        lambda k, rng: Variant({"force": between(0.6, 1.5, k), "dt": 0.05}, rng.normal(0, 0.5, 2)), clock,
    ),
    Family(
        "forced_vanderpol", "driven", rk4(forced_vanderpol_field), 10_000,
        lambda k, rng: Variant({"force": between(0.0, 8.0, k), "dt": 0.03}, rng.normal(0, 1, 2)), clock,
    ),
    Family(
        "driven_logistic", "driven", driven_logistic, 10_000,
        lambda k, rng: Variant({"r": between(2.6, 3.85, k), "spread": 0.1}, rng.uniform(0.3, 0.7, 1)), noise(1),
    ),
)  # fmt: skip
