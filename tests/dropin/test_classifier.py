"""A GRU classifier in equinox and in flax: swapping the scan changes neither loss nor gradients."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps

nnx = pytest.importorskip("flax.nnx", reason="Flax is not installed")

BATCH, LENGTH, CHANNELS, HIDDEN, CLASSES = 3, 70, 4, 8, 3
SOLVERS = {
    "default": None,
    "deer": ps.deer(),
    "matrix_free": ps.Newton(ps.Full("matrix_free")),
    "quasi": ps.quasi_deer(),
}


def pairs_of(*default):
    """Every solver in either precision, as parameters; by default these run."""
    cases = itertools.product(SOLVERS, ("float32", "float64"))
    return [pytest.param(*case, marks=() if list(case) in default else pytest.mark.exhaustive) for case in cases]


def data(key, dtype):
    first, second = jax.random.split(key)
    return (
        jax.random.normal(first, (BATCH, LENGTH, CHANNELS), dtype),
        jax.random.randint(second, (BATCH,), 0, CLASSES),
    )


def cross_entropy(logits, labels):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1))


def equinox_loss(scan, xs, labels):
    def loss(model):
        cell, readout = model

        def logits(x):
            hidden, _ = scan(lambda h, u: (cell(u, h), None), jnp.zeros(HIDDEN, xs.dtype), x)
            return readout(hidden)

        return cross_entropy(jax.vmap(logits)(xs), labels)

    return loss


def agree(ours, theirs, dtype):
    tolerance = 1e-12 if dtype == jnp.float64 else 1e-6
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("solver", "dtype"), pairs_of(["default", "float32"]), indirect=["dtype"])
def test_equinox(solver, dtype, getkey):
    xs, labels = data(getkey(), dtype)
    model = (
        eqx.nn.GRUCell(CHANNELS, HIDDEN, dtype=dtype, key=getkey()),
        eqx.nn.Linear(HIDDEN, CLASSES, dtype=dtype, key=getkey()),
    )
    ours = equinox_loss(lambda *args: ps.scan(*args, solver=SOLVERS[solver]), xs, labels)
    theirs = equinox_loss(jax.lax.scan, xs, labels)
    value_and_grad = lambda loss: eqx.filter_jit(eqx.filter_value_and_grad(loss))(model)  # noqa: E731
    agree(value_and_grad(ours), value_and_grad(theirs), dtype)


@pytest.mark.parametrize(("solver", "dtype"), pairs_of(["default", "float64"]), indirect=["dtype"])
def test_flax(solver, dtype, getkey):
    xs, labels = data(getkey(), dtype)
    cell = nnx.GRUCell(CHANNELS, HIDDEN, dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0))
    readout = nnx.Linear(HIDDEN, CLASSES, dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(1))
    graph, parameters = nnx.split((cell, readout))

    def loss(scan, parameters):
        cell, readout = nnx.merge(graph, parameters)
        hidden, _ = scan(lambda h, u: (cell(h, u)[0], None), jnp.zeros((BATCH, HIDDEN), dtype), xs.swapaxes(0, 1))
        return cross_entropy(readout(hidden), labels)

    ours = jax.jit(jax.value_and_grad(lambda p: loss(lambda *args: ps.scan(*args, solver=SOLVERS[solver]), p)))
    theirs = jax.jit(jax.value_and_grad(lambda p: loss(jax.lax.scan, p)))
    agree(ours(parameters), theirs(parameters), dtype)
