"""Copies start at one from a state at rest, whatever the size of the states to come: there is patience with that."""

import jax
import jax.numpy as jnp
import pytest
from chunked_runs import BLOCKS, close, inputs, ran_in_chunks

import parascan as ps
from combinations import single, some


@pytest.mark.parametrize("dtype", some(["float32", "float64"], "float64"), indirect=True)
def test_twins_that_start_far_outside_of_small_states_are_given_time(dtype):
    """From rest twins start at one; until they are as small as the states, their distance is as large as they are."""

    def step(s, x):
        return (0.6 * jnp.tanh(s) + 0.003 * x,) * 2

    # In double precision all but two of the rows that are allowed are needed in 2048 steps.
    s0, xs = jnp.zeros(3, dtype), inputs(dtype, 2560)
    assert ran_in_chunks(step, s0, xs)
    close(ps.scan(step, s0, xs, solver=BLOCKS), jax.lax.scan(step, s0, xs), dtype)


@pytest.mark.parametrize("factor", [0.8, 0.82])
def test_twins_far_outside_are_on_their_way_in_half_of_the_rows(factor):
    """Their distance is a million times as large as the states at first, and falls all the time."""

    def step(s, x):
        return (factor * s + 1e-6 * x,) * 2

    xs = inputs("float32", 4096)
    assert int(ps.rollout(step, jnp.zeros(3), xs, solver=ps.Chunked(chunks=8)).stats.chunks) == 8


@single
def test_tiny_and_decaying_states_are_right_on_their_own_scale(dtype):
    def step(s, x):
        s = 0.3 * s + 1e-20 * x
        return s, s

    xs = inputs(dtype, 512, 1)[:, 0]
    s0 = jnp.asarray(0.0, dtype)
    close(ps.scan(step, s0, xs, solver=BLOCKS), jax.lax.scan(step, s0, xs), dtype)
