"""Steps that jump: spikes, impacts, resets, accepted moves, rounding."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, noise


def integrate_and_fire(s: Array, x: Array, p: Numbers) -> Array:
    moved = s + 0.05 * (p["current"] - s) + p["noise"] * x
    return jnp.where(moved > 1, 0.0, moved)


def bouncing_ball(s: Array, _: None, p: Numbers) -> Array:
    """A ball on a table, with some of its speed lost at each impact, and a table that moves up at each."""
    height, speed = s[0] + 0.01 * s[1], s[1] - 0.01
    hit = height < 0
    kicked = -p["restitution"] * speed + p["kick"] * (1 + jnp.sin(40 * speed))
    return jnp.stack([jnp.where(hit, 0.0, height), jnp.where(hit, kicked, speed)])


def mala(s: Array, x: Array, p: Numbers) -> Array:
    """A move of the Metropolis-adjusted Langevin algorithm in a skewed valley; the last input decides of its accept."""
    dt = p["dt"]

    def log_density(q: Array) -> Array:
        return -0.5 * q[0] ** 2 - 0.5 * (q[1] - 0.5 * q[0] ** 2) ** 2 / 0.25

    def drift(q: Array) -> Array:
        bent = (q[1] - 0.5 * q[0] ** 2) / 0.25
        return q + dt * jnp.stack([-q[0] + bent * q[0], -bent])

    proposed = drift(s) + jnp.sqrt(2 * dt) * x[:2]
    back, forth = (jnp.sum((a - drift(b)) ** 2) / (4 * dt) for a, b in ((s, proposed), (proposed, s)))
    accepted = x[2] < log_density(proposed) - back - log_density(s) + forth
    return jnp.where(accepted, proposed, s)


def moves(rng: np.random.Generator, length: int) -> np.ndarray:
    """Normal numbers for the moves, and the logarithm of a uniform one for the accept."""
    drawn = rng.standard_normal((length, 4))
    # The squares of two normal numbers sum to twice an exponential one.
    return np.concatenate([drawn[:, :2], -0.5 * (drawn[:, 2:] ** 2).sum(1, keepdims=True)], 1)


def relay(s: Array, x: Array, p: Numbers) -> Array:
    """A room with a thermostat that switches at two temperatures; the second entry is the heating."""
    temperature = s[0] + 0.01 * (p["power"] * s[1] - s[0]) + p["noise"] * x[0]
    heating = jnp.where(temperature < 0.4, 1.0, jnp.where(temperature > 0.6, 0.0, s[1]))
    return jnp.stack([temperature, heating])


def quantized(s: Array, x: Array, p: Numbers) -> Array:
    """A leaky mean whose fed-back value is rounded to a grid."""
    return p["leak"] * s + p["back"] * jnp.round(s / p["grid"]) * p["grid"] + x


FAMILIES = (
    Family(
        "integrate_and_fire", "jumps", integrate_and_fire, 10_000,
        lambda k, _: Variant({"current": between(0.5, 3.0, k), "noise": 0.02}, np.zeros(1)), noise(1),
    ),
    Family(
        "bouncing_ball", "jumps", bouncing_ball, 10_000,
        lambda k, _: Variant({"restitution": 0.8, "kick": between(0.0, 0.35, k)}, np.array([1.0, 0.0])),
    ),
    Family(
        "mala", "jumps", mala, 10_000,
        lambda k, _: Variant({"dt": 0.02 * 1.4**k}, np.array([0.5, 0.5])), moves,
    ),
    Family(
        "relay", "jumps", relay, 10_000,
        lambda k, _: Variant({"power": between(0.5, 2.0, k), "noise": 0.001 * k}, np.zeros(2)), noise(1),
    ),
    Family(
        "quantized", "jumps", quantized, 10_000,
        lambda k, _: Variant({"leak": 0.5, "back": between(0.2, 0.9, k), "grid": 0.1}, np.zeros(2)), noise(2),
    ),
)  # fmt: skip
