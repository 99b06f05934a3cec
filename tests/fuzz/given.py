"""Four systems whose answers by chunks were once silently wrong, as they were given."""

import jax.numpy as jnp
import numpy as np


def latch(dtype):
    """A sign with rare bursts."""
    random, T = np.random.default_rng(1), 131072
    flip = np.where(random.random(T) < 0.001, -1.0, 1.0)
    # In narrow dtypes smaller bursts do, and larger ones overflow.
    size = 30.0 if jnp.finfo(dtype).bits < 32 else 2e6
    spike = np.where(random.random(T) < 0.01, size, 0.0)

    def step(p, s, x):
        s = jnp.tanh(3 * s) * x["flip"] * (1 + x["spike"])
        return s, s

    return step, ({}, np.ones(4), {"flip": flip, "spike": spike})


def populations(dtype):
    """Mixed populations, some of whose seasons are all but dead."""
    t = np.arange(32768)
    rate = np.where((t % 1024 >= 28) & (t % 1024 < 90), 0.5, -0.7)
    inflow = np.where(t // 1024 % 2 == 1, 1e-12, 0.1)
    M = 0.95 * np.eye(16) + 0.05 / 16

    def step(p, n, x):
        n = p["M"] @ n * jnp.exp(x["rate"]) / (1 + jnp.tanh(n) ** 2) + x["inflow"]
        return n, n

    return step, ({"M": M}, np.full(16, 0.1), {"rate": rate, "inflow": inflow})


def gain(dtype):
    """A network whose output is divided by its own size of late."""
    random, t = np.random.default_rng(0), np.arange(32768)
    W = random.normal(size=(16, 16)) * 0.5 / 4
    size = np.where(t // 512 % 3 == 0, 1.0, 1e-5)
    # In a dtype in which the least of the sizes would be zero a larger one is added.
    least = 1e-12 if dtype != "float16" else 1e-3

    def step(p, carry, x):
        h, v = carry
        h = jnp.tanh(p["W"] @ h + x)
        v = 0.9 * v + 0.1 * h**2
        return (h, v), h / (jnp.sqrt(v) + least)

    return step, ({"W": W}, (np.zeros(16), np.zeros(16)), random.normal(size=(32768, 16)) * size[:, None])


def relay(dtype):
    """A small memory on a large offset, which a narrow dtype can hold apart only if both are smaller."""
    up, down = (1e5 + 0.08, 1e5 - 0.08) if jnp.finfo(dtype).bits >= 32 else (101.0, 99.0)
    u = np.random.default_rng(0).normal(size=32768)

    def step(p, s, x):
        s = jnp.where(x > 3.5, p["up"], jnp.where(x < -3.5, p["down"], s))
        return s, s - p["up"]

    return step, ({"up": np.float64(up), "down": np.float64(down)}, np.full(1, up), u)


CASES = {"latch": latch, "populations": populations, "gain": gain, "relay": relay}
