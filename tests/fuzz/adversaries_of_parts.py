"""Adversarial steps that hold, move and join: delay lines, resets, networks beside memories, derivatives that lie."""

import jax
import jax.numpy as jnp
import numpy as np
from adversaries import Drawn, Family, Random, Tree, events, rare, signs, weights


def delay(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A shift register that feeds its end back, saturated or not, beside one that only moves inputs."""
    new = jnp.tanh(p["gain"] * c["b"][-1] * x["flip"]) + x["u"]
    late = c["d"][-1]
    return {"b": jnp.concatenate([new[None], c["b"][:-1]]), "d": jnp.concatenate([x["u"][None], c["d"][:-1]])}, (
        new,
        late,
    )


def draw_delay(random: Random, T: int, D: int) -> Drawn:
    """Registers of 13."""
    u = random.normal(size=(T, D)) * events(random, T, rare(random, -3, 0), D)
    given = {"gain": random.choice([0.5, 0.9, 1.5, 3.0])}
    return given, {"b": np.ones((13, D)), "d": np.zeros((13, D))}, {"u": u, "flip": signs(random, T, D)}


def ring(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A ring whose places are written when there is something to write, else kept."""
    old = c["r"][c["i"]]
    new = jnp.where(x["write"], x["u"], old)
    return {"r": c["r"].at[c["i"]].set(new), "i": (c["i"] + 1) % 8}, (old, jnp.sum(c["r"], axis=0))


def draw_ring(random: Random, T: int, D: int) -> Drawn:
    """Writes now and then."""
    xs = {"u": random.normal(size=(T, D)), "write": events(random, T, rare(random, -3, -0.3))}
    return {}, {"r": np.zeros((8, D)), "i": np.int32(0)}, xs


def sample(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A network, what it was at the last event, and the last input that was a number."""
    h = jnp.tanh(p["W"] @ c["h"] + p["back"] * c["s"] + x["u"])
    s = jnp.where(x["take"], h, c["s"])
    last = jnp.where(jnp.isnan(x["seen"]), c["last"], x["seen"])
    return {"h": h, "s": s, "last": last}, (h, s, last)


def draw_sample(random: Random, T: int, D: int) -> Drawn:
    """Events of two kinds."""
    seen = np.where(events(random, T, rare(random), D), random.normal(size=(T, D)), np.nan)
    given = {"W": weights(random, D, random.uniform(0.1, 0.8)), "back": random.choice([0.0, 0.3, 2.0])}
    init = {"h": np.zeros(D), "s": np.zeros(D), "last": np.full(D, random.choice([0.0, np.nan]))}
    return given, init, {"u": random.normal(size=(T, D)), "take": events(random, T, rare(random)), "seen": seen}


def reset(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Everything of a network starts anew at events; a slower memory beside it does not."""
    h = jnp.where(x["reset"], 0, jnp.tanh(p["W"] @ c["h"] + c["slow"] * p["back"] + x["u"]))
    slow = jnp.tanh(p["gain"] * c["slow"]) * x["flip"]
    return {"h": h, "slow": slow}, (h, slow)


def draw_reset(random: Random, T: int, D: int) -> Drawn:
    """Events that all entries share, regular or not."""
    at = np.arange(T) % int(2 ** random.uniform(2, 9)) == 0 if random.random() < 0.5 else events(random, T, 0.1)
    given = {"W": weights(random, D, random.uniform(0.1, 1.5)), "back": random.choice([0.0, 1.0])}
    given["gain"] = random.uniform(0.5, 3)
    xs = {"reset": at, "u": random.normal(size=(T, D)), "flip": signs(random, T, D)}
    return given, {"h": np.zeros(D), "slow": np.ones(D)}, xs


def quantized(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """States on a grid: rounded, cut off, or signs."""
    a = jnp.round((0.9 * c["a"] + x["u"]) * p["grid"]) / p["grid"]
    b = jnp.floor(c["b"] * x["keep"] + 4 * x["u"])
    s = jnp.sign(c["s"] + p["push"] * x["u"] + 0.1 * a)
    return {"a": a, "b": jnp.clip(b, -8, 8), "s": s}, (a, b, s)


def draw_quantized(random: Random, T: int, D: int) -> Drawn:
    """Grids of powers of two."""
    u = random.normal(size=(T, D)) * events(random, T, rare(random, -3, 0), D)
    given = {"grid": 2.0 ** random.integers(0, 5), "push": random.choice([0.2, 0.5, 2.0])}
    keep = random.choice([0.5, 1.0], size=T, p=[0.02, 0.98])
    return given, {"a": np.zeros(D), "b": np.zeros(D), "s": np.ones(D)}, {"u": u, "keep": keep}


def beside(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A network, a latch that it pushes, and a relay that both see; what comes out is their product."""
    h = jnp.tanh(p["W"] @ c["h"] + x["u"] + p["back"] * c["s"])
    push = jnp.where(h[0] > p["level"], 2.0, jnp.where(h[0] < -p["level"], -2.0, 0.0)).astype(h.dtype)
    s = jnp.tanh(p["gain"] * c["s"] + push) * (1 + x["burst"])
    return {"h": h, "s": s}, (h * s, s)


def draw_beside(random: Random, T: int, D: int) -> Drawn:
    """Pushes that are rare, and bursts."""
    given = {"W": weights(random, D, random.uniform(0.1, 0.8)), "back": random.choice([0.0, 0.2])}
    given |= {"gain": random.uniform(1.2, 4), "level": random.choice([0.5, 0.9, 0.99, 0.999])}
    burst = events(random, T, rare(random, -3, -0.3)) * 10 ** random.uniform(0, 6) * random.choice([0, 1])
    xs = {"u": random.normal(size=(T, D)) * random.uniform(0.3, 2), "burst": burst}
    return given, {"h": np.zeros(D), "s": np.ones(D)}, xs


@jax.custom_jvp
def spike(v: jax.Array, slope: jax.Array) -> jax.Array:
    """Whether a threshold is passed, with a derivative of its own."""
    return (v > 0).astype(v.dtype)


@spike.defjvp
def spike_jvp(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]) -> tuple[Tree, Tree]:
    """A slope that the function does not have."""
    return spike(*primals), primals[1] * tangents[0]


def spiking(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """Neurons with a surrogate slope, which reset themselves, and a latch that is set by a straight-through sign."""
    fired = spike(c["v"] - 1, p["slope"])
    v = p["keep"] * c["v"] * (1 - fired) + x["u"]
    s = 2 * spike(c["s"] + x["push"], p["slope"]) - 1
    return {"v": v, "s": s * p["size"]}, (fired, s)


def draw_spiking(random: Random, T: int, D: int) -> Drawn:
    """Slopes from one to a lie of 1e8."""
    given = {"slope": 10 ** random.choice([0.0, 2.0, 4.0, 8.0]), "keep": random.uniform(0.5, 0.95)}
    given["size"] = random.uniform(0.5, 2)
    push = events(random, T, rare(random), D) * random.choice([-4.0, 4.0], size=(T, D))
    return (
        given,
        {"v": np.zeros(D), "s": np.full(D, given["size"])},
        {"u": random.uniform(0, 0.6, (T, D)), "push": push},
    )


def lying(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
    """A latch of whose derivative a part is not seen, beside a difference of equals that magnifies rounding."""
    h = jnp.tanh(p["W"] @ c["h"] + x["u"])
    s = jnp.tanh(p["gain"] * jax.lax.stop_gradient(c["s"]) + p["large"] * (c["h"] - c["copy"])) * x["flip"]
    return {"h": h, "copy": h, "s": s}, s


def draw_lying(random: Random, T: int, D: int) -> Drawn:
    """Differences that are zero always, magnified."""
    given = {"W": weights(random, D, random.uniform(0.1, 0.8)), "gain": random.uniform(1.2, 3)}
    given["large"] = 10 ** random.uniform(0, 4)
    init = {"h": np.zeros(D), "copy": np.zeros(D), "s": np.ones(D)}
    return given, init, {"u": random.normal(size=(T, D)), "flip": signs(random, T, D)}


FAMILIES = {
    "delay": Family(delay, draw_delay, frozenset({"d"})),
    "ring": Family(ring, draw_ring, frozenset({"r"})),
    "sample": Family(sample, draw_sample, frozenset({"last"})),
    "reset": Family(reset, draw_reset),
    "quantized": Family(quantized, draw_quantized, frozenset({"b", "s"})),
    "beside": Family(beside, draw_beside),
    "spiking": Family(spiking, draw_spiking),
    "lying": Family(lying, draw_lying),
}
"""What is put together from parts that differ."""
