"""Copies that rounding alone holds apart have met: steps that add up many entries, or forget slowly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chunked_runs import close, inputs

import parascan as ps
from combinations import exhaustive, some

EIGHT = ps.Chunked(chunks=8)


def turning(size, pace):
    """Weights that turn a state and shrink it slowly: rounding of many steps adds up."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))
    return jnp.asarray(pace * turn, jnp.float32)


def linear(size, pace):
    """A step of a linear system."""
    weights = turning(size, pace)
    return lambda s, x: (weights @ s + x,) * 2


def network(size, pace):
    """A step of a network that hardly saturates."""
    weights = turning(size, pace)
    return lambda s, x: (jnp.tanh(weights @ s + 0.1 * x),) * 2


def kalman(states, seed):
    """A filter of two measurements, mean and covariance as the carry."""
    rng = np.random.default_rng(seed)
    one, two = np.eye(states, dtype=np.float32), np.eye(2, dtype=np.float32)
    turn = (0.95 * (one + 0.05 * rng.normal(size=(states, states)))).astype(np.float32)
    seen = rng.normal(size=(2, states)).astype(np.float32)

    def step(carry, z):
        mean, spread = turn @ carry[0], turn @ carry[1] @ turn.T + 0.1 * one
        gain = jnp.linalg.solve(seen @ spread @ seen.T + two, seen @ spread).T
        mean, spread = mean + gain @ (z - seen @ mean), spread - gain @ seen @ spread
        return (mean, (spread + spread.T) / 2), mean

    return step


@pytest.mark.parametrize(
    ("kind", "size", "pace"), [(linear, 8, 0.985), *exhaustive([(network, 64, 0.99), (linear, 24, 0.98)])]
)
def test_a_step_that_forgets_slowly_is_run_in_chunks(kind, size, pace):
    step = kind(size, pace)
    s0, xs = jnp.zeros(size), inputs("float32", 49152, size)
    stats = ps.rollout(lambda s, x: step(s, x)[0], s0, xs, solver=EIGHT).stats
    assert int(stats.chunks) == 8
    assert int(stats.repairs) == 0
    close(ps.scan(step, s0, xs, solver=EIGHT), jax.lax.scan(step, s0, xs), "float32", units=256)


@pytest.mark.slow
@pytest.mark.parametrize("states", some([4, 6], 4))
def test_a_filter_with_its_covariance_is_run_in_chunks(states):
    """A covariance settles one unit of rounding apart, and its copies come no closer."""
    step = kalman(states, 1)
    s0, xs = (jnp.zeros(states), jnp.eye(states)), inputs("float32", 65536, 2)
    stats = ps.rollout(lambda s, x: step(s, x)[0], s0, xs, solver=EIGHT).stats
    assert int(stats.chunks) == 8
    close(ps.scan(step, s0, xs, solver=EIGHT), jax.lax.scan(step, s0, xs), "float32")


@pytest.mark.parametrize("size", some([32, 100], 32))
def test_chunks_that_only_rounding_holds_apart_are_hardly_run_again(size):
    """Rounding of 20 steps and more adds up in them, in which a step forgets 5 percent."""
    step = linear(size, 0.95)
    s0, xs = jnp.zeros(size), inputs("float32", 65536, size)
    stats = ps.rollout(lambda s, x: step(s, x)[0], s0, xs, solver=ps.Chunked(chunks=32)).stats
    assert int(stats.chunks) == 32
    assert int(stats.repairs) <= 2


@pytest.mark.parametrize("depth", some([4e-6, 1e-5], 4e-6))
def test_two_wells_as_close_as_rounding_could_hold_copies_are_told_apart(depth):
    """The copies count as met, in two wells; junctions after the step from one to the other are refused."""

    def step(s, x):
        s = 1 + depth * jnp.tanh(3 * (s - 1) / depth + x)
        return s, s

    s0, xs = 1 + depth * jnp.ones(3), (0.1 * inputs("float32", 4096)).at[700].set(-10)
    expected = jax.lax.scan(step, s0, xs)
    assert jnp.all((expected[1] > 1) == (jnp.arange(4096) < 700)[:, None])
    for chunks in (8, 32):
        found = ps.rollout(lambda s, x: step(s, x)[0], s0, xs, solver=ps.Chunked(chunks=chunks))
        assert bool(found.stats.fell_back) or int(found.stats.repairs) > 0
        close(ps.scan(step, s0, xs, solver=ps.Chunked(chunks=chunks)), expected, "float32", units=4)
