"""What the rule of acceptance must not overlook: memories on offsets, in joined leaves, behind false slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive, one_of_each, product
from parascan.chunked import coupled_copies as coupling
from parascan.chunked import warm_up as forget
from parascan.programs.unrounded import exact_entries

T = 16384


WIDE, NARROW = ("float32", 8e6, 3.0), ("bfloat16", 128.0, 3.0)
"""Precision, size of an offset, and how steep the sign on it is."""


@pytest.fixture
def blind(monkeypatch):
    """Copies agree at the first look, so that only the rule of acceptance stands between chunks and the answer."""
    monkeypatch.setattr(coupling.CoupledCopies, "apart", lambda self, states, recent: jnp.zeros((), jnp.float32))
    monkeypatch.setattr(forget, "_unlooked", lambda *_: 32)


def flips(dtype="float32"):
    return jnp.asarray(np.where(np.random.default_rng(0).random(T) < 0.001, -1.0, 1.0), dtype)


def check(step, init, xs, *, chunks):
    """The answer is that of the plain loop, step by step or not."""
    solution = ps.rollout(step, init, xs, solver=ps.Chunked(chunks=8))
    expected = jax.jit(lambda init, xs: jax.lax.scan(step, init, xs)[1])(init, xs)
    wrong = np.abs(np.asarray(solution.ys, np.float64) - np.asarray(expected, np.float64)) > 0.1
    assert not wrong.any()
    assert bool((solution.stats.chunks > 0) & (solution.stats.repairs == 0)) == chunks


@pytest.mark.parametrize(
    ("period", "dtype", "offset", "gain"),
    [(2, *WIDE), (4, *NARROW), *exhaustive([(4, *WIDE), (2, *NARROW)])],
)
def test_a_sign_on_an_offset_that_comes_and_goes(period, dtype, offset, gain):
    after = np.where(np.arange(T) % period == period - 1, offset, 0.0)
    before = np.concatenate([[0.0], after[:-1]])

    def step(s, x):
        sign = jnp.tanh(gain * (s - x[0])) * x[2]
        return sign + x[1], sign

    xs = jnp.stack([jnp.asarray(before, dtype), jnp.asarray(after, dtype), flips(dtype)], 1)
    check(step, jnp.ones((), dtype), xs, chunks=False)


@jax.custom_jvp
def saturated(v):
    return jnp.tanh(3 * v)


saturated.defjvp(lambda primals, tangents: (saturated(*primals), 1e8 * tangents[0]))


@jax.custom_jvp
def sign(v):
    return jnp.where(v > 0, 1.0, -1.0).astype(v.dtype)


sign.defjvp(lambda primals, tangents: (sign(*primals), 1e8 * tangents[0]))


@pytest.mark.parametrize("function", [saturated, sign])
def test_a_slope_that_a_function_does_not_have_excuses_nothing(blind, function):
    def step(s, x):
        s = function(s) * x
        return s, s

    check(step, jnp.ones(3), flips(), chunks=False)


WAYS = {
    "concatenated": lambda h, relay, s: jnp.concatenate([h[None], relay[None]]),
    "stacked": lambda h, relay, s: jnp.stack([h, relay]),
    "put": lambda h, relay, s: jnp.tanh(s).at[0].set(h).at[1].set(relay),
    "chosen": lambda h, relay, s: jnp.where(jnp.arange(2) == 1, relay, h),
}


@pytest.mark.parametrize(("apart", "way"), one_of_each(product([0.03, 0.01], WAYS)))
def test_a_relay_in_one_leaf_with_a_network(blind, way, apart):
    up, down = np.float32(1e5 + apart), np.float32(1e5 - apart)

    def step(s, x):
        h = jnp.tanh(0.5 * s[0] + x)
        relay = jnp.where(x > 3.3, up, jnp.where(x < -3.3, down, s[1]))
        return WAYS[way](h, relay, s), (relay > 1e5).astype(s.dtype)

    u = jnp.asarray(np.random.default_rng(0).normal(size=T), jnp.float32)
    check(step, jnp.asarray([0.0, up]), u, chunks=False)


def test_a_network_is_still_run_in_chunks():
    W = jnp.asarray(np.random.default_rng(0).normal(size=(8, 8)) * 0.2, jnp.float32)
    xs = jnp.asarray(np.random.default_rng(1).normal(size=(T, 8)), jnp.float32)
    check(lambda s, x: (jnp.tanh(W @ s + x),) * 2, jnp.zeros(8), xs, chunks=True)


def relay(s, x, place):
    return jnp.where(x > 1, 1.0, s[place])


EXACT = {
    "concatenated": (lambda s, x: jnp.concatenate([jnp.tanh(s[:2]), relay(s, x, 2)[None]]), [0, 0, 1]),
    "another one's": (lambda s, x: jnp.concatenate([jnp.tanh(s[:2]), relay(s, x, 0)[None]]), [0, 0, 0]),
    "stacked": (lambda s, x: jnp.stack([jnp.tanh(s[0]), relay(s, x, 1), s[2] + x]), [0, 1, 0]),
    "put": (lambda s, x: jnp.tanh(s).at[-1].set(relay(s, x, -1)), [0, 0, 1]),
    "put over": (lambda s, x: s.at[:2].set(jnp.tanh(s[:2])), [0, 0, 1]),
    "chosen": (lambda s, x: jnp.where(jnp.arange(3) == 1, s, jnp.tanh(s)), [0, 1, 0]),
    "shifted": (lambda s, x: jnp.concatenate([x[None], s[:-1]]), [1, 1, 1]),
    "fed back": (lambda s, x: jnp.concatenate([jnp.tanh(s[-1:]), s[:-1]]), [0, 0, 0]),
    "put somewhere": (lambda s, x: s.at[x.astype(int)].set(0.0), [1, 1, 1]),
    "put anywhere": (lambda s, x: s.at[x.astype(int)].set(jnp.tanh(s[0])), [0, 0, 0]),
    "taken beyond": (lambda s, x: jnp.tanh(s).at[4 * jnp.arange(3)].get(mode="fill", fill_value=0), [0, 1, 1]),
    "network": (lambda s, x: jnp.tanh(s), [0, 0, 0]),
    "two levels": (lambda s, x: jnp.stack([jnp.tanh(s[0]), 7 + 0.1 * jnp.sign(s[1]), 7 + 0.1 * s[2]]), [0, 1, 0]),
}


@pytest.mark.parametrize("name", EXACT)
def test_entries_that_nothing_rounds(name):
    step, expected = EXACT[name]
    carry, x = jax.ShapeDtypeStruct((3,), "float32"), jax.ShapeDtypeStruct((), "float32")
    assert exact_entries(lambda s, x: (step(s, x), 0), carry, x)[0].astype(int).tolist() == expected


def test_two_levels_whose_difference_the_processor_takes_for_zero():
    """Levels next to the least normal number; the copies follow chunks in which the level is set anew."""
    chunks, length = 32, 4096
    block = length // chunks
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(length, 3)), jnp.float32)
    xs = xs.at[:: 4 * block, 0].set(100.0).at[10 * block + 64, 0].set(-100.0)

    def step(carry, x):
        s, level = carry
        level = jnp.where(x[0] > 90, 1.2e-38, jnp.where(x[0] < -90, 2e-38, level))
        s = 0.5 * s + x[1] * jnp.where(x[2] > 3, 5e37 * level, 1.0)
        return (s, level), (s, level)

    start = jnp.float32(0), jnp.float32(1.2e-38)
    found = ps.rollout(step, start, xs, solver=ps.Chunked(chunks, trial_steps=40)).ys
    expected = jax.lax.scan(step, start, xs)[1]
    np.testing.assert_array_equal(np.asarray(found[1]), np.asarray(expected[1]))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)
