"""Adversarial steps whose sizes, regimes or rates of forgetting differ over time, over entries or over leaves."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from adversaries import Drawn, Family, Random, Tree, events, rare, seasons, signs, weights


def populations(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Mixed populations that grow and die by seasons."""
    n = p["M"] @ c["n"] * jnp.exp(x["rate"]) / (1 + jnp.tanh(c["n"]) ** 2) + x["inflow"]
    return {"n": n}, n


def draw_populations(random: Random, T: int, D: int) -> Drawn:
    """The second of the given cases among them."""
    length = int(2 ** random.uniform(8, 11))
    phase, season = np.arange(T) % length, np.arange(T) // length
    rate = np.where((phase >= 28) & (phase < 90), random.uniform(0.2, 0.6), -random.uniform(0.1, 0.9))
    inflow = np.where(season % 2 == 0, 0.1, 10 ** random.uniform(-12, -3))
    mixed = random.uniform(0, 0.3)
    M = (1 - mixed) * np.eye(D) + mixed / D
    return {"M": M}, {"n": np.full(D, 0.1)}, {"rate": rate, "inflow": inflow}


def gain_control(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A network whose output is divided by its own size of late."""
    h = jnp.tanh(p["W"] @ c["h"] + x["u"])
    v = p["keep"] * c["v"] + (1 - p["keep"]) * h**2
    return {"h": h, "v": v}, h / (jnp.sqrt(v) + p["least"])


def draw_gain_control(random: Random, T: int, D: int) -> Drawn:
    """The third of the given cases among them."""
    size = seasons(random, T, 10 ** random.uniform(-6, -1), 1.0)
    keep = random.choice([0.5, 0.9, 0.99])
    given = {"W": weights(random, D, random.uniform(0.2, 0.8)), "keep": keep, "least": 10 ** random.uniform(-12, -2)}
    return given, {"h": np.zeros(D), "v": np.ones(D)}, {"u": random.normal(size=(T, D)) * size[:, None]}


def units(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """One leaf with a large entry that leaks and a latch, beside a leaf in very small units."""
    large, sign = c["s"][0], c["s"][1]
    large = p["keep"] * large + p["large"] * x["u"]
    sign = jnp.tanh(3 * sign) * x["flip"][0]
    small = p["small"] * jnp.tanh(2 * c["v"] / p["small"]) * x["flip"]
    return {"s": jnp.stack([large, sign]), "v": small}, (large, sign, small)


def draw_units(random: Random, T: int, D: int) -> Drawn:
    """Sizes from 1e-4 to 1e4."""
    given = {"keep": random.uniform(0, 0.9), "large": 10 ** random.uniform(0, 4), "small": 10 ** -random.uniform(0, 3)}
    init = {"s": np.array([0.0, 1.0]), "v": np.full(D, given["small"])}
    return given, init, {"u": random.normal(size=T), "flip": signs(random, T, D)}


def regimes(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A network that contracts, is neutral or chaotic by turns."""
    s = jnp.tanh(x["gain"] * (p["W"] @ c["s"]) + x["u"])
    return {"s": s}, s


def draw_regimes(random: Random, T: int, D: int) -> Drawn:
    """Gains for some hundred steps each."""
    length = int(2 ** random.uniform(6, 11))
    gains = random.choice([0.3, 0.6, 0.9, 1.0, 1.1, 2.0], size=-(-T // length))
    u = random.normal(size=(T, D)) * 10 ** random.uniform(-3, 0)
    return {"W": weights(random, D, 1.0)}, {"s": np.zeros(D)}, {"gain": np.repeat(gains, length)[:T], "u": u}


def leaky(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Integrators with leaks of every rate, sums among them, emptied now and then."""
    s = jnp.where(x["reset"], 0, p["keep"] * c["s"]) + x["u"]
    return {"s": s}, (s, (s > p["level"]).astype(s.dtype))


def draw_leaky(random: Random, T: int, D: int) -> Drawn:
    """Rates from 0.9 to one."""
    keep = random.choice([0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1.0], size=D)
    u = random.normal(size=(T, D)) * events(random, T, random.choice([1, 0.1, 0.01]), D)
    reset = events(random, T, rare(random, -5, -1.5), random.choice([1, D])) & np.ones(D, bool)
    return {"keep": keep, "level": random.uniform(0, 2)}, {"s": np.zeros(D)}, {"u": u, "reset": reset}


def envelope(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Peaks and valleys that are held, and let go now and then."""
    size = jnp.abs(x["u"])
    high = jnp.maximum(c["high"] * x["decay"], size)
    low = jnp.where(x["open"], size, jnp.minimum(c["low"], size))
    return {"high": high, "low": low}, (high, low)


def draw_envelope(random: Random, T: int, D: int) -> Drawn:
    """Peaks of every size."""
    u = np.exp(random.normal(size=(T, D)) * random.uniform(0.1, 3))
    decay = np.where(events(random, T, rare(random), D), random.uniform(0.1, 0.999), 1.0)
    init = {"high": np.zeros(D), "low": np.ones(D)}
    return {}, init, {"u": u, "decay": decay, "open": events(random, T, rare(random), D)}


def winner(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Units that inhibit one another until one is left, which stays until it is pushed."""
    s = c["s"]
    s = jnp.clip(s + 0.25 * (s * p["gain"] - p["others"] * (jnp.sum(s) - s)) + x["u"], 0, 1)
    return {"s": s}, s


def draw_winner(random: Random, T: int, D: int) -> Drawn:
    """Pushes now and then."""
    u = events(random, T, rare(random, -3.5, -1.5), D) * random.normal(size=(T, D))
    given = {"gain": random.uniform(0.2, 1), "others": random.uniform(0.5, 2)}
    return given, {"s": np.eye(D)[0]}, {"u": u}


def gated(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A long short-term memory whose gates are shut and wide open for long."""
    z = p["W"] @ c["h"] + x["u"]
    keep, take = jax.nn.sigmoid(x["keep"] + z), jax.nn.sigmoid(x["take"] + z)
    cell = keep * c["c"] + take * jnp.tanh(z)
    h = jnp.tanh(cell) * jax.nn.sigmoid(z)
    return {"h": h, "c": cell}, h


def draw_gated(random: Random, T: int, D: int) -> Drawn:
    """Gates that are saturated in some of the time."""
    high = random.choice([4.0, 8.0, 20.0])
    given = {"W": weights(random, D, random.uniform(0.1, 0.9))}
    xs = {"u": random.normal(size=(T, D)), "keep": seasons(random, T, high, random.choice([-1.0, high]))}
    xs["take"] = np.where(events(random, T, rare(random, -3, -0.3)), 1.0, -random.choice([2.0, high]))
    return given, {"h": np.zeros(D), "c": np.zeros(D)}, xs


def cell(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A gated recurrent unit, which forgets."""
    z = jax.nn.sigmoid(p["U"] @ c["h"] + x["u"])
    h = (1 - z) * c["h"] + z * jnp.tanh(p["W"] @ (z * c["h"]) + x["u"])
    return {"h": h}, h


def draw_cell(random: Random, T: int, D: int) -> Drawn:
    """Without any trap: chunks have to be used."""
    given: dict[str, Any] = {name: weights(random, D, random.uniform(0.1, 0.9)) for name in "UW"}
    return given, {"h": np.zeros(D)}, {"u": random.normal(size=(T, D))}


FAMILIES = {
    "populations": Family(populations, draw_populations),
    "gain_control": Family(gain_control, draw_gain_control),
    "units": Family(units, draw_units),
    "regimes": Family(regimes, draw_regimes),
    "leaky": Family(leaky, draw_leaky),
    "envelope": Family(envelope, draw_envelope),
    "winner": Family(winner, draw_winner),
    "gated": Family(gated, draw_gated),
    "cell": Family(cell, draw_cell),
}
"""What changes its size or its temper."""
