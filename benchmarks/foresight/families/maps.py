"""Maps, alone and coupled."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between


def logistic(s: Array, _: None, p: Numbers) -> Array:
    return p["r"] * s * (1 - s)


def henon(s: Array, _: None, p: Numbers) -> Array:
    return jnp.stack([1 - p["a"] * s[0] ** 2 + s[1], p["b"] * s[0]])


def lattice(s: Array, _: None, p: Numbers) -> Array:
    image = 1 - p["a"] * s**2
    return (1 - p["c"]) * image + p["c"] / 2 * (jnp.roll(image, 1) + jnp.roll(image, -1))


def circle(s: Array, _: None, p: Numbers) -> Array:
    return s + p["omega"] - p["k"] / (2 * jnp.pi) * jnp.sin(2 * jnp.pi * s)


RATES = (2.8, 3.2, 3.5, 3.6, 3.83, 3.9, 4.0)
"""Of the logistic map: rest, orbits of two and four, chaos, the window of three, chaos."""

FAMILIES = (
    Family("logistic", "maps", logistic, 10_000, lambda k, rng: Variant({"r": RATES[k]}, rng.uniform(0.2, 0.8, 1))),
    Family(
        "henon", "maps", henon, 10_000,
        lambda k, rng: Variant({"a": between(0.8, 1.4, k), "b": 0.3}, rng.uniform(-0.2, 0.2, 2)),
    ),
    Family(
        "lattice", "maps", lattice, 5000,
        lambda k, rng: Variant({"a": between(0.6, 1.9, k), "c": 0.3}, rng.uniform(-0.5, 0.5, 8)),
    ),
    Family(
        "circle", "maps", circle, 10_000,
        lambda k, rng: Variant(
            {"omega": (np.sqrt(5) - 1) / 2 if k % 2 == 0 else 0.05, "k": between(0.2, 0.95, k)},
            rng.uniform(0, 1, 1),
        ),
    ),
)  # fmt: skip
