"""Systems whose memory is small beside something else of theirs: a burst, a season, a loud stretch, an offset.

Each function returns a step that puts out its new state, an initial state and inputs.
"""

import jax
import jax.numpy as jnp
import numpy as np


def latch_with_bursts(dtype, T, seed, burst=2e6, often=0.01):
    """Signs that rare inputs flip, in states that rare inputs make large."""
    rng = np.random.default_rng(seed)
    flip = np.where(rng.random((T, 1)) < 0.001, -1.0, 1.0)
    spike = (rng.random((T, 1)) < often) * burst

    def step(s, x):
        s = jnp.tanh(3 * s) * x[0] * (1 + x[1])
        return s, s

    return step, jnp.ones(4, dtype), (jnp.asarray(flip, dtype), jnp.asarray(spike, dtype))


def seasons(dtype, T):
    """Populations that grow and die by the season, from a little inflow or from much."""
    mix = jnp.asarray(0.95 * np.eye(16) + 0.05 / 16, dtype)
    time = np.arange(T)
    rate = np.where((time % 1024 >= 28) & (time % 1024 <= 89), 0.5, -0.7)
    inflow = np.where(time // 1024 % 2 == 1, 1e-12, 0.1)

    def step(n, x):
        n = mix @ n * jnp.exp(x[0]) / (1 + jnp.tanh(n) ** 2) + x[1]
        return n, n

    return step, jnp.full(16, 0.1, dtype), (jnp.asarray(rate, dtype), jnp.asarray(inflow, dtype))


def gain_control(dtype, T, quiet=1e-5):
    """A network whose output is divided by its own loudness of late."""
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.normal(size=(16, 16)) * 0.5 / 4, dtype)
    loud = np.arange(T) // 512 % 3 == 0
    xs = jnp.asarray(rng.normal(size=(T, 16)) * np.where(loud, 1, quiet)[:, None], dtype)

    def step(carry, x):
        h, v = carry
        h = jnp.tanh(weights @ h + x)
        v = 0.9 * v + 0.1 * h**2
        return (h, v), h / (jnp.sqrt(v) + jnp.asarray(1e-12, dtype))

    return step, (jnp.zeros(16, dtype),) * 2, xs


def relay(dtype, T, offset, apart, by="where", network=0):
    """Keeps one of two levels, a little apart on a large offset, until an input crosses a threshold."""
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.normal(size=(network, network)) * 0.5 / max(network, 1) ** 0.5, dtype)
    xs = jnp.asarray(rng.normal(size=(T, max(network, 1))), dtype)
    high, middle, low = (jnp.asarray(offset + part * apart, dtype) for part in (1, 0, -1))

    def step(carry, x):
        h, level = carry
        h = jnp.tanh(weights @ h + x[:network])
        if by == "where":
            kept = jnp.where(level > middle, high, low)
            level = jnp.where(x[0] > 3.5, high, jnp.where(x[0] < -3.5, low, kept))
        elif by == "cond":
            kept = jax.lax.cond(level > middle, lambda: high, lambda: low)
            level = jax.lax.cond(
                jnp.abs(x[0]) > 3.5, lambda kept: jnp.where(x[0] > 0, high, low), lambda kept: kept, kept
            )
        else:
            side = jnp.sign(level - middle)
            level = middle + (side + (x[0] > 3.5) * (1 - side) + (x[0] < -3.5) * (-1 - side)) * (high - middle)
        return (h, level), (h, level - middle)

    return step, (jnp.zeros(network, dtype), high), xs
