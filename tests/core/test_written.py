"""What a step closes over inside a compiled program is known to the compiler, and still differentiated where traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some

BLOCKS = ps.Chunked(chunks=8)
XS = jnp.asarray(np.random.default_rng(0).normal(size=(1024, 3)))


def network(W):
    def step(s, x):
        s = jnp.tanh(W @ s + x)
        return s, s

    return step


def program(W, solver=BLOCKS):
    return lambda s0, xs: ps.scan(network(W), s0, xs, solver=solver)


@pytest.mark.parametrize("dtype", some(["float32", "bfloat16"], "bfloat16"))
def test_small_weights_are_written_into_the_program(dtype):
    W, s0, xs = jnp.asarray(0.3 * np.eye(3), dtype), jnp.ones(3, dtype), XS.astype(dtype)
    jaxpr = str(jax.make_jaxpr(program(W))(s0, xs))
    assert "written[" in jaxpr
    given, expected = jax.jit(program(W))(s0, xs), jax.lax.scan(network(W), s0, xs)
    assert given[1].dtype == expected[1].dtype
    tolerance = 64 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(*(np.asarray(each[1], float) for each in (given, expected)), rtol=0, atol=tolerance)


@pytest.mark.slow
def test_large_and_traced_ones_stay_arguments():
    large = 0.3 * jnp.eye(80)
    xs = jnp.ones((1024, 80))
    assert "written[" not in str(jax.make_jaxpr(program(large))(jnp.ones(80), xs))
    assert "written[" not in str(jax.make_jaxpr(lambda W: program(W)(jnp.ones(3), XS))(0.3 * jnp.eye(3)))


def test_beside_differentiated_and_mapped_weights():
    """One weight is known, another traced; both reverse mode and a batch of the traced one are as in a plain loop."""
    known = 0.2 * jnp.eye(3)

    def loss(scan, W):
        def step(s, x):
            s = jnp.tanh(W @ s + known @ x)
            return s, s

        return jnp.sum(scan(step, jnp.ones(3), XS)[1] ** 2)

    def ours(step, init, xs):
        return ps.scan(step, init, xs, solver=BLOCKS)

    weights = jnp.stack([0.3 * jnp.eye(3), jnp.full((3, 3), 0.1)])
    given, expected = (jax.jit(jax.vmap(jax.grad(lambda W, s=s: loss(s, W))))(weights) for s in (ours, jax.lax.scan))
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-4)


def test_keys_flags_counts_and_weak_types():
    """Whatever kind of array a step closes over, dtypes and answer are those of a plain loop."""
    key, flags, counts, weak = jax.random.key(0), jnp.array([True, False, True]), jnp.arange(3), jnp.asarray(0.5)

    def step(s, x):
        s = weak * jnp.where(flags, s, 0) + x * counts + jax.random.normal(key, (3,))
        return s, s

    s0 = jnp.ones(3)
    given = jax.jit(lambda xs: ps.scan(step, s0, xs, solver=BLOCKS))(XS)
    expected = jax.lax.scan(step, s0, XS)
    assert [each.dtype for each in given] == [each.dtype for each in expected]
    np.testing.assert_allclose(given[1], expected[1], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("compiled", some([True, False], True))
def test_arrays_and_numbers_of_numpy(compiled):
    """In double precision where JAX computes in single; in a compiled call and outside of one."""
    matrix, offset, factor = 0.3 * np.eye(3), np.arange(3), np.float64(0.5)

    def step(s, x):
        s = jnp.tanh(jnp.asarray(matrix) @ s + factor * x + np.asarray(offset))
        return s, matrix @ s

    s0 = jnp.ones(3)

    def run(xs):
        return ps.scan(step, s0, xs, solver=BLOCKS)

    given, expected = (jax.jit(run) if compiled else run)(XS), jax.lax.scan(step, s0, XS)
    assert [each.dtype for each in given] == [each.dtype for each in expected]
    np.testing.assert_allclose(given[1], expected[1], rtol=1e-5, atol=1e-4)
