"""What every version of JAX must pass, in a minute: ``make test-newest`` runs it with the newest of every package."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import crossed

WEIGHTS = 0.4 * np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
TABLE = jnp.linspace(-2, 2, 9)


def network(s, x):
    s = jnp.tanh(jnp.asarray(WEIGHTS) @ s + x)
    return s, s


def nested(s, x):
    """Substeps in an inner loop."""
    s = jax.lax.fori_loop(0, 3, lambda _, s: s + 0.1 * (jnp.tanh(jnp.asarray(WEIGHTS) @ s) - s), s) + x
    return s, s


def tabled(s, x):
    """A step that looks its values up."""
    s = 0.5 * jnp.interp(s, TABLE, jnp.sin(TABLE)) + x
    return s, s


STEPS = {"network": network, "inner loop": nested, "table": tabled}
ITERATIVE = {
    "deer": ps.deer(),
    "quasi_deer": ps.quasi_deer(),
    "elk": ps.elk(),
    "multiple shooting": ps.MultipleShooting(ps.deer(), 8),
}


def inputs(length):
    return jnp.asarray(0.3 * np.random.default_rng(0).normal(size=(length, 4)), jnp.float32)


@pytest.mark.parametrize(("name", "chunks"), crossed(STEPS, [None, 16], [], [None]))
def test_long_sequences(name, chunks):
    solver, xs = None if chunks is None else ps.Chunked(chunks), inputs(16384)
    carry, ys = ps.scan(STEPS[name], jnp.zeros(4), xs, solver=solver)
    expected = jax.lax.scan(STEPS[name], jnp.zeros(4), xs)
    np.testing.assert_allclose(carry, expected[0], atol=1e-5)
    np.testing.assert_allclose(ys, expected[1], atol=1e-5)


@pytest.mark.parametrize(("name", "method"), crossed(STEPS, ITERATIVE, ["network"], []))
@pytest.mark.slow
def test_iterative_solvers(name, method):
    xs = inputs(200)
    solution = ps.rollout(STEPS[name], jnp.zeros(4), xs, solver=ITERATIVE[method])
    np.testing.assert_allclose(solution.ys, jax.lax.scan(STEPS[name], jnp.zeros(4), xs)[1], atol=1e-4)


@pytest.mark.parametrize("solver", [None, ps.deer()], ids=["default", "deer"])
@pytest.mark.slow
def test_gradients(solver):
    xs = inputs(8192)

    def loss(scan, init, xs):
        return jnp.sum(scan(nested, init, xs)[1] ** 2)

    found = jax.jit(jax.grad(lambda *args: loss(lambda *call: ps.scan(*call, solver=solver), *args), (0, 1)))
    expected = jax.grad(lambda *args: loss(jax.lax.scan, *args), (0, 1))(jnp.ones(4), xs)
    for one, other in zip(found(jnp.ones(4), xs), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.slow
def test_plans_and_diagnoses(name):
    xs = inputs(1000)
    diagnosis = ps.diagnose(STEPS[name], jnp.zeros(4), xs, key=jax.random.key(0))
    plan = ps.plan(STEPS[name], jnp.zeros(4), xs, diagnosis=diagnosis, measure=False)
    assert plan.verdict == "predictable"
    solution = ps.rollout(STEPS[name], jnp.zeros(4), xs, solver=plan, certify=True)
    assert bool(solution.certificate.certified)


@pytest.mark.skipif(importlib.util.find_spec("flax") is None, reason="there is no Flax for this JAX")
def test_flax():
    from flax import nnx

    from parascan.nn.flax import RNN

    cell = nnx.GRUCell(4, 3, rngs=nnx.Rngs(0))
    xs = inputs(50)[None]
    np.testing.assert_allclose(RNN(cell)(xs), nnx.RNN(cell)(xs), atol=1e-5)
