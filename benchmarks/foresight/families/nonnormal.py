"""Systems whose perturbations grow for long before they die."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..family import Family, Numbers, Variant, between, noise


def linear(s: Array, x: Array, p: Numbers) -> Array:
    return p["matrix"] @ s + p["drive"] * x


def cascade(s: Array, x: Array, p: Numbers) -> Array:
    """A chain of units, each fed by the one before, as in a feed-forward chain within a recurrent network."""
    before = jnp.concatenate([x, s[:-1]])
    return p["keep"] * s + jnp.tanh(p["gain"] * before)


def _jordan(size: int, rates: tuple[float, ...]):
    def variant(k: int, _: np.random.Generator) -> Variant:
        matrix = rates[k] * np.eye(size) + np.eye(size, k=1)
        return Variant({"matrix": matrix, "drive": 0.1}, np.zeros(size), float(np.log(rates[k])))

    return variant


def _shear(k: int, rng: np.random.Generator) -> Variant:
    """Upper triangular with what is above the diagonal far larger than it."""
    rates = rng.uniform(0.3, 0.7 + 0.04 * k, 10)
    matrix = np.diag(rates) + np.triu(rng.normal(0, 1.0, (10, 10)), 1)
    return Variant({"matrix": matrix, "drive": 0.1}, np.zeros(10), float(np.log(rates.max())))


def _kreiss(k: int, _: np.random.Generator) -> Variant:
    """A banded Toeplitz matrix (Grcar's, scaled), whose pseudospectra reach far beyond its spectrum."""
    grcar = np.eye(24) - np.eye(24, k=-1) + np.eye(24, k=1) + np.eye(24, k=2) + np.eye(24, k=3)
    radius = between(0.9, 0.995, k)
    matrix = grcar * radius / np.abs(np.linalg.eigvals(grcar)).max()
    return Variant(
        {"matrix": matrix, "drive": 0.1}, np.zeros(24), float(np.log(np.abs(np.linalg.eigvals(matrix)).max()))
    )


FAMILIES = (
    Family(
        "jordan_20", "non-normal", linear, 5000, _jordan(20, (0.9, 0.5, 0.7, 0.8, 0.85, 0.93, 0.95)), noise(20)
    ),
    Family(
        "jordan_40", "non-normal", linear, 10_000, _jordan(40, (0.8, 0.4, 0.6, 0.7, 0.85, 0.9, 0.92)), noise(40)
    ),
    Family("shear", "non-normal", linear, 5000, _shear, noise(10)),
    Family(
        "cascade", "non-normal", cascade, 5000,
        lambda k, _: Variant(
            {"keep": between(0.5, 0.95, k), "gain": 1.5}, np.zeros(12), float(np.log(between(0.5, 0.95, k)))
        ),
        noise(1),
    ),
    Family("kreiss", "non-normal", linear, 5000, _kreiss, noise(24)),
)  # fmt: skip
