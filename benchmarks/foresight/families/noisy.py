"""Noise: wells, a gene switch, particles, a noisy flow, the sampler of a diffusion model."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, euler, noise
from .flows import lorenz_field


def bistable(s: Array, x: Array, p: Numbers) -> Array:
    return s + p["rate"] * (s - s**3) + p["noise"] * x


def toggle_field(s: Array, _: Array, p: Numbers) -> Array:
    return p["a"] / (1 + s[::-1] ** 2) - s


def lennard_jones(s: tuple[Array, Array], x: Array, p: Numbers) -> tuple[Array, Array]:
    """Langevin dynamics in the plane by the splitting BAOAB (Leimkuhler and Matthews, 2013)."""
    dt, decay = p["dt"], jnp.exp(-p["friction"] * p["dt"])
    places, speeds = s
    speeds = speeds + dt / 2 * _force(places)
    places = places + dt / 2 * speeds
    speeds = decay * speeds + jnp.sqrt((1 - decay**2) * p["temperature"]) * x.reshape(speeds.shape)
    places = places + dt / 2 * speeds
    return places, speeds + dt / 2 * _force(places)


def _force(places: Array) -> Array:
    """Of the pairs, and of a weak trap that keeps all together."""
    apart = places[:, None] - places[None]
    squares = jnp.sum(apart**2, -1) + jnp.eye(len(places))
    inverse = 1 / squares**3
    pull = 24 * inverse * (2 * inverse - 1) / squares * (1 - jnp.eye(len(places)))
    return jnp.sum(pull[..., None] * apart, 1) - 0.1 * places


def sampler(s: Array, x: Array, p: Numbers) -> Array:
    """A reverse diffusion step for data on points, whose score is known: ``x`` is the noise level and the noise."""
    level, forward = x[0], p["width"] ** 2 + x[0] ** 2
    weights = jax.nn.softmax(-jnp.sum((s - p["points"]) ** 2, 1) / (2 * forward))
    score = (weights @ p["points"] - s) / forward
    return s + p["rate"] * level**2 * score + p["noise"] * jnp.sqrt(2 * p["rate"]) * level * x[1:]


def falling_levels(rng: np.random.Generator, length: int) -> np.ndarray:
    """Noise levels that fall from 10 to 0.01 in 2000 steps and stay there, and noise."""
    levels = 10.0 * 1e-3 ** np.minimum(np.arange(length) / 2000, 1.0)
    return np.concatenate([levels[:, None], rng.standard_normal((length, 2))], 1)


def _particles(k: int, rng: np.random.Generator) -> Variant:
    grid = 1.12 * np.stack(np.meshgrid(np.arange(4.0), np.arange(2.0)), -1).reshape(8, 2)
    numbers = {"dt": 0.005, "friction": 2.8, "temperature": (0.22, 0.5, 0.4, 0.3, 0.25, 0.15, 0.1)[k]}
    return Variant(numbers, (grid - grid.mean(0), rng.normal(0, np.sqrt(numbers["temperature"]), (8, 2))))


FAMILIES = (
    Family(
        "bistable", "noisy", bistable, 10_000,
        lambda k, _: Variant({"rate": 0.05, "noise": (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.002)[k]}, np.zeros(1)),
        noise(1),
    ),
    Family(
        "toggle", "noisy", euler(toggle_field), 20_000,
        lambda k, _: Variant(
            {"a": (5.0, 1.5, 2.5, 3.5, 6.0, 8.0, 5.0)[k], "dt": 0.027, "noise": 0.02 if k < 6 else 0.2}, np.ones(2)
        ),
        noise(2),
    ),
    Family("lennard_jones", "noisy", lennard_jones, 5000, _particles, noise(16)),
    Family(
        "noisy_lorenz", "noisy", euler(lorenz_field), 10_000,
        lambda k, rng: Variant({"rho": between(12, 32, k), "dt": 0.005, "noise": 1.0}, rng.normal(1, 1, 3)), noise(3),
    ),
    Family(
        "sampler", "noisy", sampler, 2000,
        lambda k, rng: Variant(
            {"points": rng.normal(0, 2, (8, 2)), "width": 0.05, "rate": between(0.005, 0.05, k), "noise": k % 2},
            10 * rng.normal(0, 1, 2),
        ),
        falling_levels,
    ),
)  # fmt: skip
