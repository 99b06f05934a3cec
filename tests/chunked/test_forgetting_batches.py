"""Gradients of batches: JAX compares no batch axes of a function and its custom derivative, so these must agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.problem.signature import resolve
from parascan.solvers.chunked_call import why_not

LENGTH = 4096
READS = {"outputs": lambda ys: jnp.sum(ys, axis=0), "last": lambda ys: ys[-1] ** 2}


# Five products make a step for whose derivative a recurrence of its own pays; one does not.
@pytest.mark.parametrize(
    ("size", "products", "batch", "read"),
    [(32, 1, 2, "outputs"), (32, 1, 2, "last"), pytest.param(32, 5, 2, "outputs", marks=pytest.mark.slow)],
)
def test_gradient_of_a_mapped_scan(size, products, batch, read, getkey):
    weights = 0.5 * jax.random.normal(getkey(), (size, size)) / size**0.5
    xs = jax.random.normal(getkey(), (batch, LENGTH, size))

    def step(weights):
        def advance(s, x):
            for _ in range(products):
                s = jnp.tanh(weights @ s + x)
            return s, s

        return advance

    def loss(scan, weights, xs):
        ys = jax.vmap(lambda x: READS[read](scan(step(weights), jnp.zeros(size), x)[1]))(xs)
        return jnp.sum(jnp.cos(jnp.arange(size)) * ys)

    gradient = lambda scan: jax.jit(jax.grad(loss, (1, 2)), static_argnums=0)(scan, weights, xs)  # noqa: E731
    for ours, theirs in zip(gradient(ps.scan), gradient(jax.lax.scan), strict=True):
        scale = float(jnp.max(jnp.abs(theirs)))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * scale)


def test_a_batch_may_take_few_blocks_where_one_sequence_would_need_many():
    W = jnp.zeros((64, 64), jnp.float32)
    signature = resolve(lambda s, x: (jnp.tanh(W @ s + x),) * 2, W[0], jnp.ones((16 * 701, 64)), None, scan_form=True)
    assert (
        why_not(signature, ps.Chunked()) == "no cut of its 11216 steps into chunks is expected to be faster by enough"
    )
    assert why_not(signature, ps.Chunked(), batch=4) is None
