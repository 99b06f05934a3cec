"""Weakly typed inputs, as ``jnp.full`` gives them: what a step makes of them is as weak as with ``jax.lax.scan``."""

import jax
import jax.numpy as jnp
import pytest

import parascan as ps

WEAK = jnp.full((50,), 0.4)
"""It takes the dtype of what it meets."""


def step(s, x):
    s = 0.5 * jnp.sin(s) + x
    return s, s


def weak(tree):
    return [leaf.weak_type for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("solver", [None, ps.Sequential(), ps.Chunked(chunks=1), ps.deer()])
def test_outputs_are_as_weak_as_those_of_the_loop(solver):
    expected = jax.lax.scan(step, 0.5, WEAK)
    found = ps.scan(step, 0.5, WEAK, solver=solver)
    assert weak(found) == weak(expected) == [True, True]
    assert (found[1] + jnp.ones(50, jnp.bfloat16)).dtype == jnp.bfloat16


def test_a_strong_carry_stays_strong():
    assert weak(ps.scan(step, jnp.float32(0.5), WEAK)) == weak(jax.lax.scan(step, jnp.float32(0.5), WEAK))
    half = ps.scan(lambda s, x: (s, s + x), jnp.bfloat16(0.5), WEAK)[1]
    assert half.dtype == jax.lax.scan(lambda s, x: (s, s + x), jnp.bfloat16(0.5), WEAK)[1].dtype == jnp.bfloat16


def test_derivatives_are_as_weak():
    def loss(scan):
        return jax.grad(lambda xs: scan(step, 0.5, xs)[0])(WEAK)

    assert loss(ps.scan).weak_type == loss(jax.lax.scan).weak_type
