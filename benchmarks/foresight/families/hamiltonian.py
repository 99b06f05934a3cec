"""Maps and flows that keep volume: orbits on tori, where perturbations grow with time at most, and chaos."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between

TURN = 2 * np.pi


def standard(s: Array, _: None, p: Numbers) -> Array:
    momentum = s[1] + p["kick"] * jnp.sin(s[0])
    return jnp.stack([jnp.mod(s[0] + momentum, TURN), jnp.mod(momentum + jnp.pi, TURN) - jnp.pi])


def henon_heiles(s: Array, _: None, p: Numbers) -> Array:
    return _leapfrog(s, p["dt"], lambda q: jnp.stack([-q[0] - 2 * q[0] * q[1], -q[1] - q[0] ** 2 + q[1] ** 2]))


def pendulum(s: Array, _: None, p: Numbers) -> Array:
    return _leapfrog(s, p["dt"], lambda q: -jnp.sin(q))


def kepler(s: Array, _: None, p: Numbers) -> Array:
    return _leapfrog(s, p["dt"], lambda q: -q / jnp.sum(q**2) ** 1.5)


def _leapfrog(s: Array, dt: Array, force) -> Array:
    q, v = jnp.split(s, 2)
    v = v + dt / 2 * force(q)
    q = q + dt * v
    return jnp.concatenate([q, v + dt / 2 * force(q)])


def _standard(k: int, _: np.random.Generator) -> Variant:
    """Even places lie on tori around the stable fixed point at half a turn, odd ones in the chaotic sea."""
    regular = k % 2 == 0
    kick = (0.5, 1.5, 0.3, 2.5, 0.9, 6.0, 0.7)[k]
    start = np.array([np.pi + 0.4 + 0.1 * k, 0.0]) if regular else np.array([0.1, 0.1])
    return Variant({"kick": kick}, start, 0.0 if regular else None)


def _henon_heiles(k: int, _: np.random.Generator) -> Variant:
    """Energies from 1/24, nearly all orbits on tori, to 1/6, nearly all chaotic."""
    energy = between(1 / 24, 1 / 6.1, k)
    y, vy = 0.1, 0.1
    vx = np.sqrt(2 * energy - vy**2 - y**2 + 2 / 3 * y**3)
    return Variant({"dt": 0.05}, np.array([0.0, y, vx, vy]))


def _kepler(k: int, _: np.random.Generator) -> Variant:
    """From the nearest point of an ellipse, of eccentricity 0.05 to 0.6."""
    e = between(0.05, 0.6, k)
    return Variant({"dt": 0.01}, np.array([1 - e, 0.0, 0.0, np.sqrt((1 + e) / (1 - e))]), 0.0)


FAMILIES = (
    Family("standard_map", "Hamiltonian", standard, 20_000, _standard),
    Family("henon_heiles", "Hamiltonian", henon_heiles, 20_000, _henon_heiles),
    Family(
        "pendulum", "Hamiltonian", pendulum, 10_000,
        lambda k, _: Variant({"dt": 0.05}, np.array([between(0.1, 3.0, k), 0.0]), 0.0),
    ),
    Family("kepler", "Hamiltonian", kepler, 20_000, _kepler),
)  # fmt: skip
