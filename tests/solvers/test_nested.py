"""A step that is itself solved in parallel, in a solver that takes many of its steps at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some

WEIGHTS = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)) / 4, jnp.float32)
INNER_XS, XS = (jnp.asarray(np.random.default_rng(1).normal(size=(T, 3)), jnp.float32) for T in (8, 20))
SOLVERS = {"newton": ps.deer(), "blocks": ps.MultipleShooting(ps.deer(), 4)}


def stepping(scan, **options):
    def inner(c, u):
        c = jnp.tanh(WEIGHTS @ c + u)
        return c, c

    def step(s, x):
        s = 0.5 * scan(inner, s, INNER_XS, **options)[0] + x
        return s, s

    return step


@pytest.mark.parametrize("inner", some(SOLVERS, "blocks"))
@pytest.mark.parametrize("outer", some(SOLVERS, "newton"))
@pytest.mark.slow
def test_a_solver_within_a_solver(outer, inner):
    def loss(scan, step, **options):
        return lambda init: jnp.sum(jnp.cos(scan(step, init, XS, **options)[1]))

    ours = loss(ps.scan, stepping(ps.scan, solver=SOLVERS[inner]), solver=SOLVERS[outer])
    theirs = loss(jax.lax.scan, stepping(jax.lax.scan))
    given, expected = (jax.jit(jax.value_and_grad(each))(jnp.ones(3)) for each in (ours, theirs))
    np.testing.assert_allclose(given[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(given[1], expected[1], rtol=0, atol=1e-5)


def test_a_failure_inside_is_an_error():
    step = stepping(ps.scan, solver=ps.deer(), max_iterations=1)
    with pytest.raises(Exception, match="max_iterations"):
        jax.block_until_ready(ps.scan(step, jnp.ones(3), XS, solver=ps.Sequential()))
