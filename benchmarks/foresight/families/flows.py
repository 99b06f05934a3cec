"""Flows by Runge-Kutta and Euler: at rest, on cycles, in chaos."""

import jax.numpy as jnp
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, euler, rk4


def lorenz_field(s: Array, _: None, p: Numbers) -> Array:
    x, y, z = s
    return jnp.stack([10 * (y - x), x * (p["rho"] - z) - y, x * y - 8 / 3 * z])


def rossler_field(s: Array, _: None, p: Numbers) -> Array:
    x, y, z = s
    return jnp.stack([-y - z, x + p["a"] * y, 0.2 + z * (x - p["c"])])


def vanderpol_field(s: Array, _: None, p: Numbers) -> Array:
    return jnp.stack([s[1], p["mu"] * (1 - s[0] ** 2) * s[1] - s[0]])


def lorenz96_field(s: Array, _: None, p: Numbers) -> Array:
    return (jnp.roll(s, -1) - jnp.roll(s, 2)) * jnp.roll(s, 1) - s + p["force"]


def thomas_field(s: Array, _: None, p: Numbers) -> Array:
    return jnp.sin(jnp.roll(s, -1)) - p["b"] * s


RHO = (8.0, 15.0, 20.0, 24.0, 28.0, 100.5, 160.0)
"""Of Lorenz's flow: at rest, at rest after chaos, chaos, a cycle."""

DAMPING = (0.5, 0.34, 0.3, 0.23, 0.208, 0.19, 0.12)
"""Of Thomas' flow: rest, cycles, chaos."""

FAMILIES = (
    Family(
        "lorenz", "flows", rk4(lorenz_field), 10_000,
        lambda k, rng: Variant({"rho": RHO[k], "dt": 0.01 if RHO[k] < 100 else 0.004}, rng.normal(1, 1, 3)),
    ),
    Family(
        "rossler", "flows", rk4(rossler_field), 20_000,
        lambda k, rng: Variant({"a": 0.2, "c": between(2.2, 9.0, k), "dt": 0.02}, rng.normal(1, 1, 3)),
    ),
    Family(
        "vanderpol", "flows", euler(vanderpol_field), 10_000,
        lambda k, rng: Variant({"mu": between(0.3, 5.0, k), "dt": 0.01}, rng.normal(0, 1, 2)),
    ),
    Family(
        "lorenz96", "flows", rk4(lorenz96_field), 5000,
        lambda k, rng: Variant({"force": between(0.6, 10.0, k), "dt": 0.02}, rng.normal(1, 0.5, 10)),
    ),
    Family(
        "thomas", "flows", rk4(thomas_field), 10_000,
        lambda k, rng: Variant({"b": DAMPING[k], "dt": 0.1}, rng.normal(0, 1, 3)),
    ),
)  # fmt: skip
