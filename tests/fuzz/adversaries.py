"""Steps that attack the rule by which answers of chunks are accepted: what they remember is easily overlooked.

Each family draws parameters, an initial carry and inputs as NumPy arrays in float64; the caller gives them a dtype. A
carry is a dictionary; ``held`` names its leaves that are never rounded, only held, moved or counted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

Tree = Any
Random = np.random.Generator
Drawn = tuple[Tree, dict[str, Any], dict[str, Any]]
"""Parameters, initial carry, inputs."""


class Family(NamedTuple):
    """Adversarial steps of one kind.

    Attributes:
        step: ``(parameters, carry, x) -> (carry, y)``.
        draw: ``(random, T, D) -> parameters, init, xs``.
        held: leaves of the carry that nothing rounds.
        dtypes: in which it makes sense.
    """

    step: Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]
    draw: Callable[[Random, int, int], Drawn]
    held: frozenset[str] = frozenset()
    dtypes: tuple[str, ...] = ("float32", "float64", "bfloat16", "float16")


def events(random: Random, T: int, rate: float, *shape: int) -> np.ndarray:
    """Where something rare happens."""
    return random.random((T, *shape)) < rate


def rare(random: Random, least: float = -4, most: float = -1) -> float:
    """A rate over several orders of magnitude."""
    return 10 ** random.uniform(least, most)


def signs(random: Random, T: int, D: int) -> np.ndarray:
    """Minus one now and then, one elsewhere."""
    return np.where(events(random, T, rare(random), D), -1.0, 1.0)


def weights(random: Random, D: int, gain: float) -> np.ndarray:
    """A random matrix."""
    return random.normal(size=(D, D)) * gain / np.sqrt(D)


def seasons(random: Random, T: int, low: float, high: float) -> np.ndarray:
    """Stretches of two sizes in turn."""
    length = int(2 ** random.uniform(5, 11))
    return np.where((np.arange(T) + random.integers(length)) // length % 3 == 0, high, low)


def latch(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A sign, kept by saturation, with bursts that multiply and bursts that are added."""
    s = jnp.tanh(p["gain"] * c["s"]) * x["flip"] * (1 + x["burst"]) + x["offset"]
    return {"s": s}, s


def draw_latch(random: Random, T: int, D: int) -> Drawn:
    """The first of the given cases among them."""
    most = 10 ** random.uniform(0, 7)
    burst = events(random, T, rare(random, -3, -0.3), random.choice([1, D])) * most * random.choice([0, 1])
    offset = events(random, T, rare(random, -3, -0.3), D) * 10 ** random.uniform(0, 4) * random.choice([0, 1])
    xs = {"flip": signs(random, T, D), "burst": burst + np.zeros((T, D)), "offset": offset}
    return {"gain": random.uniform(1.2, 4)}, {"s": np.ones(D)}, xs


def shifted(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A sign that is stored on an offset, which comes and goes."""
    s = jnp.tanh(p["gain"] * (c["s"] - x["before"])) * x["flip"]
    return {"s": s + x["after"]}, s


def draw_shifted(random: Random, T: int, D: int) -> Drawn:
    """Offsets at every second to fifth step, or at random, or always."""
    period = random.integers(1, 6)
    there = np.arange(T) % period == 0 if random.random() < 0.7 else events(random, T, rare(random, -2, -0.1))
    after = np.repeat((there * 10 ** random.uniform(0, 7.5))[:, None], D, axis=1)
    before = np.concatenate([np.zeros((1, D)), after[:-1]])
    xs = {"flip": signs(random, T, D), "before": before, "after": after}
    return {"gain": random.uniform(1.5, 4)}, {"s": np.ones(D)}, xs


def counter(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Counts that are started anew by an input or when they are full, and what they are compared with."""
    n = jnp.where(x["reset"], 0, c["n"] + x["by"])
    n = jnp.where(n >= p["full"], n - p["full"], n)
    return {"n": n}, (n, (n == 3).astype(n.dtype), (n >= p["half"]).astype(n.dtype))


def draw_counter(random: Random, T: int, D: int) -> Drawn:
    """Counters of one size, small enough for every dtype to count exactly."""
    full = float(random.integers(3, 128))
    by = events(random, T, random.choice([1.0, 0.5, 0.05]), D).astype(float)
    xs = {"reset": events(random, T, rare(random, -5, -1), random.choice([1, D])) & np.ones(D, bool), "by": by}
    return {"full": full, "half": full // 2}, {"n": np.zeros(D)}, xs


def modulo(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A count by remainders, beside a phase that turns."""
    n = jnp.mod(c["n"] + x["by"], p["full"])
    return {"n": n}, (n, jnp.where(n == 0, 1.0, -1.0).astype(n.dtype))


def schmitt(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Relays on an offset, whose state is selected."""
    s = jnp.where(x["u"] > p["high"], p["up"], jnp.where(x["u"] < -p["high"], p["down"], c["s"]))
    return {"s": s}, (s, s - p["offset"])


def draw_schmitt(random: Random, T: int, D: int) -> Drawn:
    """The fourth of the given cases among them, down to a difference of few units of rounding."""
    offset = 10 ** random.uniform(0, 6)
    apart = offset * 10 ** random.uniform(-6, 0)
    levels = {"up": offset + apart, "down": offset - apart, "offset": offset, "high": random.uniform(2.5, 4)}
    return levels, {"s": np.full(D, offset + apart)}, {"u": random.normal(size=(T, D))}


def joined(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """The same relays in one leaf with a network that rounds."""
    D = x["u"].shape[0]
    h, s = c["s"][:D], c["s"][D:]
    h = jnp.tanh(p["W"] @ h + x["u"])
    relay = schmitt(p, {"s": s}, x)[0]["s"]
    return {"s": jnp.concatenate([h, relay])}, (h * (relay - p["offset"]), relay)


def draw_joined(random: Random, T: int, D: int) -> Drawn:
    """Relays and a network."""
    levels, init, xs = draw_schmitt(random, T, D)
    both = {"s": np.concatenate([np.zeros(D), init["s"]])}
    return levels | {"W": weights(random, D, random.uniform(0.1, 0.9))}, both, xs


def computed(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """The same relays by arithmetic."""
    sign = jnp.where(jnp.abs(x["u"]) > p["high"], jnp.sign(x["u"]), jnp.sign(c["s"] - p["offset"]))
    s = p["offset"] + p["apart"] * sign
    return {"s": s}, (s, sign)


def draw_computed(random: Random, T: int, D: int) -> Drawn:
    """Relays on an offset."""
    levels, init, xs = draw_schmitt(random, T, D)
    return levels | {"apart": levels["up"] - levels["offset"]}, init, xs


def toggle(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Signs that are turned, with bursts."""
    s = jnp.where(x["turn"], -jnp.sign(c["s"]), jnp.sign(c["s"])) * (1 + x["burst"])
    return {"s": s}, s


def draw_toggle(random: Random, T: int, D: int) -> Drawn:
    """Turned rarely or often."""
    burst = events(random, T, rare(random, -3, -0.1), D) * 10 ** random.uniform(0, 7)
    turn = events(random, T, rare(random, -4, -0.3), D)
    return {}, {"s": np.ones(D)}, {"turn": turn, "burst": burst}


def low_bits(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A sign in the last digits of a number of order one, read and written at every step."""
    memory = (c["s"] - 1) / p["unit"]
    memory = jnp.where(x["write"], x["new"], jnp.clip(jnp.round(memory), -1, 1))
    return {"s": 1 + p["unit"] * memory}, memory


def draw_low_bits(random: Random, T: int, D: int) -> Drawn:
    """From some units of rounding of bfloat16 up."""
    xs = {"write": events(random, T, rare(random), D), "new": random.choice([-1.0, 1.0], size=(T, D))}
    return {"unit": 2.0 ** -random.integers(2, 7)}, {"s": np.ones(D)}, xs


FAMILIES = {
    "latch": Family(latch, draw_latch),
    "shifted": Family(shifted, draw_shifted),
    "counter": Family(counter, draw_counter),
    "modulo": Family(modulo, draw_counter),
    "schmitt": Family(schmitt, draw_schmitt, frozenset({"s"})),
    "joined": Family(joined, draw_joined),
    "computed": Family(computed, draw_computed),
    "toggle": Family(toggle, draw_toggle),
    "low_bits": Family(low_bits, draw_low_bits),
}
"""Memories in a small or an overlooked part of the state."""
