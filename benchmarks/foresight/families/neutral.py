"""Directions that neither grow nor die: sums, clocks, phases, conserved quantities."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, noise


def running_mean(s: Array, x: Array, p: Numbers) -> Array:
    """A counter, and the mean that follows from it."""
    count = s[0] + p["weight"]
    return jnp.stack([count, s[1] + p["weight"] * (x[0] - s[1]) / count])


def controller(s: Array, x: Array, p: Numbers) -> Array:
    """A body held in place by a controller with integral part; the fourth entry sums the path."""
    place, speed, total, path = s
    error = x[0] - place
    push = p["gain"] * error + 0.2 * total - p["damping"] * speed
    return jnp.stack([place + 0.05 * speed, speed + 0.05 * push, total + 0.05 * error, path + 0.05 * jnp.abs(speed)])


def integrator(s: Array, x: Array, p: Numbers) -> Array:
    """A random walk beside a leaky mean that feeds it."""
    return jnp.stack([s[0] + s[1], p["leak"] * s[1] + x[0]])


def rotation(s: Array, x: Array, p: Numbers) -> Array:
    """Turns in several planes, and kicks."""
    return p["matrix"] @ s + 0.1 * x


def conserved(s: Array, x: Array, p: Numbers) -> Array:
    """Matter that is exchanged between neighbors at rates that depend on how much there is, and never lost."""
    flow = 0.1 * p["rate"] * s * (1 + 0.5 * jnp.tanh(x)) / (1 + s)
    return s - flow + jnp.roll(flow, 1)


def phases(s: Array, x: Array, p: Numbers) -> Array:
    """Coupled oscillators that all may be shifted together (Kuramoto)."""
    pull = jnp.mean(jnp.sin(s[None] - s[:, None]), 1)
    return jnp.mod(s + 0.05 * (p["speeds"] + p["coupling"] * pull) + 0.01 * x, 2 * jnp.pi)


def _rotation(k: int, rng: np.random.Generator) -> Variant:
    matrix, upper = np.linalg.qr(rng.standard_normal((6, 6)))
    return Variant({"matrix": matrix * np.sign(np.diag(upper))}, rng.standard_normal(6), 0.0)


FAMILIES = (
    Family(
        "running_mean", "neutral", running_mean, 10_000,
        lambda k, _: Variant({"weight": between(0.5, 2.0, k)}, np.array([0.0, 0.0]), 0.0), noise(1),
    ),
    Family(
        "controller", "neutral", controller, 5000,
        lambda k, _: Variant({"gain": between(0.5, 4.0, k), "damping": 1.0}, np.zeros(4), 0.0), noise(1),
    ),
    Family(
        "integrator", "neutral", integrator, 20_000,
        lambda k, _: Variant({"leak": (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999)[k]}, np.zeros(2), 0.0), noise(1),
    ),
    Family("rotation", "neutral", rotation, 5000, _rotation, noise(6)),
    Family(
        "conserved", "neutral", conserved, 10_000,
        lambda k, rng: Variant({"rate": between(0.2, 2.0, k)}, rng.uniform(0.5, 1.5, 6), 0.0), noise(6),
    ),
    Family(
        "phases", "neutral", phases, 10_000,
        lambda k, rng: Variant(
            {"speeds": rng.normal(1, 0.3, 8), "coupling": between(0.05, 1.5, k)}, rng.uniform(0, 1, 8)
        ),
        noise(8),
    ),
)  # fmt: skip
