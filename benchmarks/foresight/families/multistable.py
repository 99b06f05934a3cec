"""Several states of rest, among which the start, the input or the noise decides."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, clock, noise


def forced_well(s: Array, x: Array, p: Numbers) -> Array:
    return s + 0.02 * (s - s**3 + p["force"] * jnp.cos(0.005 * x))


def gain_control(s: Array, x: Array, p: Numbers) -> Array:
    """An amplifier whose gain follows the loudness of what it gives out."""
    level, gain = s
    level = 0.9 * level + 0.1 * jnp.abs(gain * x[0])
    return jnp.stack([level, gain * jnp.exp(p["rate"] * (p["goal"] - level))])


def hopfield(s: Array, x: Array, p: Numbers) -> Array:
    recall = p["patterns"].T @ (p["patterns"] @ jnp.tanh(s)) / s.size
    return s + 0.1 * (p["gain"] * recall - s) + p["noise"] * x


def recall(k: int, rng: np.random.Generator) -> Variant:
    """From between two stored patterns."""
    patterns = rng.choice([-1.0, 1.0], (3, 16))
    start = 0.05 * (patterns[0] + patterns[1]) + 0.01 * rng.normal(0, 1, 16)
    return Variant({"patterns": patterns, "gain": between(0.5, 4.0, k), "noise": 0.01}, start)


def noisy_wells(s: Array, x: Array, p: Numbers) -> Array:
    """Langevin dynamics between the minima of two cosines."""
    return s - p["rate"] * jnp.sin(s) * (1 + 0.5 * jnp.cos(s[::-1])) + p["noise"] * x


FAMILIES = (
    Family(
        "forced_well", "multistable", forced_well, 10_000,
        lambda k, _: Variant({"force": between(0.0, 0.7, k)}, np.full(1, 1e-3)), clock,
    ),
    Family(
        "gain_control", "multistable", gain_control, 10_000,
        lambda k, _: Variant({"rate": 0.005 * 1.6**k, "goal": 1.0}, np.array([0.0, 0.1])), noise(1),
    ),
    Family(
        "noisy_wells", "multistable", noisy_wells, 10_000,
        lambda k, _: Variant({"rate": 0.05, "noise": between(0.02, 0.3, k)}, np.full(2, 3.1)), noise(2),
    ),
    Family("hopfield", "multistable", hopfield, 5000, recall, noise(16)),
)  # fmt: skip
