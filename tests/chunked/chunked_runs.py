"""Systems and the comparison for the tests of blocks side by side."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from plain_loops import spoil_plain_loops

BLOCKS = ps.Chunked(chunks=8)
UNITS = {"float32": 64, "float64": 2048}


def close(given, expected, dtype, units=None):
    """Equal up to some units of rounding of the largest entry."""
    bound = (units or UNITS[jnp.dtype(dtype).name]) * float(jnp.finfo(dtype).eps)

    def one(a, b):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        scale = max(float(np.max(np.abs(np.asarray(b)), initial=0)), 1e-30)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=bound * scale)

    jax.tree.map(one, given, expected)


def rnn(dtype, D=3, gain=0.5, seed=0):
    """Weights and a step of a tanh network; its output is not its carry."""
    W = jnp.asarray(np.random.default_rng(seed).normal(size=(D, D)) * gain / np.sqrt(D), dtype)

    def step(s, x):
        s = W @ jnp.tanh(s) + x
        return s, (s[0], jnp.sum(s) > 0)

    return step


def inputs(dtype, T, D=3, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(T, D)), dtype)


def losses(dtype, T=512, last_only=False):
    rng = np.random.default_rng(3)
    weights = jnp.asarray(rng.normal(size=(12, 12)) * 0.15, dtype)
    s0, xs = jnp.asarray(rng.normal(size=12), dtype), inputs(dtype, T, 12)

    def loss(scan, weights, s0, xs):
        def step(s, x):
            s = jnp.tanh(weights @ s + x)
            return s, (s, jnp.sum(s**2))

        carry, (states, squares) = scan(step, s0, xs)
        return jnp.sum(carry**3) if last_only else jnp.mean(states) + jnp.mean(squares) + jnp.sum(carry)

    return loss, (weights, s0, xs)


def mesh(count):
    return jax.sharding.Mesh(jax.devices()[:count], ("time",))


MARK = 12345.0


def ran_in_chunks(step, init, xs, chunks=8):
    """Whether the answer came from blocks."""
    with pytest.MonkeyPatch.context() as patch:
        spoil_plain_loops(patch, MARK)
        # Another function, so that its program is compiled anew.
        ys = ps.scan(lambda s, x: step(s, x), init, xs, solver=ps.Chunked(chunks=chunks))[1]
    return not any(bool(jnp.any(leaf == MARK)) for leaf in jax.tree.leaves(ys))
