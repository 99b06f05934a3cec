"""Steps that branch by their state, each step its own way, through solvers that take all of them at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import crossed, exhaustive

SIZE, LENGTH = 16, 24
WEIGHTS = jnp.asarray(np.random.default_rng(0).normal(size=(SIZE, SIZE)) / 8, jnp.float32)
XS = jnp.asarray(np.random.default_rng(1).normal(size=(LENGTH, SIZE)), jnp.float32)


def branch(s, x):
    return jax.lax.cond(s[0] > 0, lambda s: jnp.tanh(WEIGHTS @ s), lambda s: 0.5 * s, s) + x


def branch_then_loop(s, x):
    return jax.lax.fori_loop(0, 3, lambda _, s: jnp.tanh(WEIGHTS @ s + x), branch(s, x))


def branch_in_a_loop(s, x):
    return jax.lax.fori_loop(0, 3, lambda _, s: jnp.tanh(branch(s, x)), s)


def switch(s, x):
    turns = [lambda s: 0.5 * s, lambda s: jnp.tanh(WEIGHTS @ s), lambda s: -0.5 * s]
    return jax.lax.switch(jnp.int32(2 * jax.nn.sigmoid(s[1] + x[0]) + 0.5), turns, s) + x


STEPS = [branch, branch_then_loop, branch_in_a_loop, switch]
SOLVERS = [ps.deer(), ps.MultipleShooting(ps.deer(), 8)]


def outputs(scan, step, init, **options):
    return scan(lambda s, x: (step(s, x),) * 2, init, XS, **options)[1]


@pytest.mark.parametrize(
    ("step", "solver"),
    [
        *crossed(STEPS[2:], SOLVERS, [], SOLVERS[:1]),
        *exhaustive((step, solver) for step in STEPS[:2] for solver in SOLVERS),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_answer_and_gradient(step, solver):
    init = jnp.full(SIZE, 0.5)

    def loss(scan, **options):
        return lambda init: jnp.sum(jnp.cos(outputs(scan, step, init, **options)))

    def both(scan, **options):
        return jax.jit(lambda init: (outputs(scan, step, init, **options), jax.grad(loss(scan, **options))(init)))(init)

    for given, wanted in zip(both(ps.scan, solver=solver), both(jax.lax.scan), strict=True):
        np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5)


def test_a_batch():
    inits = jnp.stack([jnp.full(SIZE, 0.5), -jnp.full(SIZE, 0.5)])

    def slopes(scan, **options):
        def loss(init):
            return jnp.sum(jnp.cos(outputs(scan, branch_then_loop, init, **options)))

        return jax.jit(jax.vmap(jax.grad(loss)))(inits)

    np.testing.assert_allclose(slopes(ps.scan, solver=ps.deer()), slopes(jax.lax.scan), rtol=0, atol=1e-5)
