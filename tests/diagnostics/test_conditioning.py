"""Measured singular values against dense linear algebra and closed forms; what a record holds."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_bounds import residual_jacobian

import parascan as ps
from combinations import exhaustive, single, some
from parascan.diagnostics.conditioning.singular import extreme_singular_values, lanczos_steps, scaled_solve
from parascan.linear import Bidiagonal, BlockTransition, DenseTransition, DiagonalTransition, ZeroTransition

measure = eqx.filter_jit(extreme_singular_values)
mapped = eqx.filter_jit(jax.vmap(lambda a, key: extreme_singular_values(DenseTransition(a), key)))


@pytest.mark.slow
@single
def test_singular_values_of_random_systems_against_dense_ones(dtype, getkey):
    gains = np.linspace(0.2, 2.0, 12)[:, None, None, None]
    matrices = np.asarray(gains * jax.random.normal(getkey(), (12, 40, 3, 3)) / np.sqrt(3), float)
    found = mapped(jnp.asarray(matrices, dtype), jax.random.split(getkey(), 12))
    values = np.stack([np.linalg.svd(residual_jacobian(a.astype(float)), compute_uv=False) for a in matrices])
    values = np.stack([values[:, 0], -np.log(values[:, -1])])
    for estimate, exact in zip((found.sigma_max, found.log_sigma_min), (values[0], -values[1]), strict=True):
        # A dense decomposition is right to rounding of the largest value, not of the smallest.
        slack = 1e-9 + 1e-14 * np.exp(values[1]) * values[0]
        assert np.all(np.asarray(estimate.low) <= exact + slack)
        assert np.all(exact <= np.asarray(estimate.high) + slack)
    np.testing.assert_allclose(found.sigma_max.value, values[0], rtol=0.02)
    np.testing.assert_allclose(found.log_sigma_min.value, -values[1], atol=0.02 + 2e-5 * values[1].max())


@pytest.mark.exhaustive
@pytest.mark.parametrize("structure", some(["diagonal", "block", "zero"], "block"))
def test_every_structure(structure, getkey):
    if structure == "diagonal":
        transition = DiagonalTransition(jax.random.uniform(getkey(), (30, 4), minval=-1.2, maxval=1.2))
    elif structure == "block":
        transition = BlockTransition(0.5 * jax.random.normal(getkey(), (30, 2, 2, 2)), np.array([[0, 2], [1, 3]]))
    else:
        transition = ZeroTransition(30, 4, jnp.float32)
    values = np.linalg.svd(residual_jacobian(np.asarray(transition.as_dense(), float)), compute_uv=False)
    found = measure(transition, getkey())
    assert float(found.sigma_max.low) <= values[0] * (1 + 1e-6)
    assert float(found.sigma_max.high) >= values[0] * (1 - 1e-6)
    assert float(found.log_sigma_min.low) <= np.log(values[-1]) + 1e-6
    assert float(found.log_sigma_min.high) >= np.log(values[-1]) - 1e-6


@single
def test_an_inverse_beyond_the_range_of_the_dtype_is_measured_in_logarithms(dtype, getkey):
    """``J^-1`` of a scalar system that grows by 1.5 a step has a norm of about ``1.5^(T-1) / (1 - 1.5^-2)``."""
    found = measure(DiagonalTransition(jnp.full((2500, 1), 1.5, dtype)), getkey())
    expected = -2499 * np.log(1.5) + np.log(1 - 1.5**-2)
    assert float(found.log_sigma_min.low) <= expected <= float(found.log_sigma_min.high)
    assert float(found.log_sigma_min.value) == pytest.approx(expected, abs=0.05)


def test_jacobians_that_are_no_numbers_leave_the_interval_unknown(getkey):
    found = measure(DiagonalTransition(jnp.full((30, 1), 0.5).at[7].set(jnp.nan)), getkey())
    assert (float(found.log_sigma_min.low), float(found.log_sigma_min.high)) == (-np.inf, 0.0)
    assert (float(found.sigma_max.low), float(found.sigma_max.high)) == (1.0, np.inf)


@pytest.mark.parametrize("transpose", some([False, True], True))
def test_scaled_solve_is_the_solve(transpose, getkey):
    transition = DenseTransition(jax.random.normal(getkey(), (20, 3, 3)))
    b = jax.random.normal(getkey(), (20, 3))
    y, exponent = scaled_solve(transition, b, transpose=transpose)
    system = Bidiagonal(transition)
    expected = system.transposed_solve(b) if transpose else system.solve(b)
    np.testing.assert_allclose(jnp.ldexp(y, exponent), expected, rtol=1e-4, atol=1e-4 * float(jnp.max(jnp.abs(b))))


def test_iterations_rise_with_accuracy_and_end_with_the_space():
    assert lanczos_steps(10**6, 0.01, 0.99) > lanczos_steps(10**6, 0.02, 0.99) > lanczos_steps(100, 0.02, 0.99)
    assert lanczos_steps(3, 0.001, 0.99) == 3


def scalar_step(state, x):
    return 0.9 * state


def test_closed_form_of_the_scalar_linear_system(getkey):
    """Squares of the singular values are ``1 + a^2 - 2 a cos`` of angles that fill the circle as T grows."""
    record = ps.conditioning(scalar_step, jnp.ones(1), length=3000, key=getkey(), exponent=np.log(0.9), rho=0.9)
    assert float(record.sigma_min.low) <= 0.1 * (1 + 1e-3)
    assert float(record.sigma_min.high) >= 0.1
    assert float(record.sigma_max.value) == pytest.approx(1.9, rel=0.02)
    assert float(record.condition_number.low) <= 19 <= float(record.condition_number.high)
    assert float(record.mu.value) == pytest.approx(0.01, rel=0.05)
    assert float(jnp.exp(record.theory.log_sigma_min.lower)) == pytest.approx(0.1, rel=1e-4)
    assert float(jnp.exp(record.theory.log_sigma_min_from_norm)) == pytest.approx(0.1, rel=1e-4)
    assert [float(end) for end in record.theory.sigma_max] == pytest.approx([1.0, 1.9])


def test_one_step_is_perfectly_conditioned(getkey):
    record = ps.conditioning(scalar_step, jnp.ones(1), length=1, key=getkey())
    assert (float(record.sigma_min.value), float(record.sigma_max.value)) == (1.0, 1.0)


def rnn_step(state, x):
    return {"a": jnp.tanh(0.8 * state["a"][::-1] + x), "n": state["n"] + 1}


@pytest.mark.parametrize(("block", "reverse"), [(4, True), *exhaustive([(1, False), (1, True), (4, False)])])
def test_blocks_and_trees_against_dense_values(block, reverse, getkey):
    init, xs = {"a": jnp.zeros(2), "n": 0}, jax.random.normal(getkey(), (24, 2))
    states = ps.rollout(rnn_step, init, xs, reverse=reverse).states
    record = ps.conditioning(rnn_step, init, xs, states=states, block=block, reverse=reverse, key=getkey())
    driven = xs[::-1] if reverse else xs
    path = states["a"][::-1] if reverse else states["a"]
    before = jnp.concatenate([init["a"][None], path[:-1]])
    single = jax.vmap(jax.jacfwd(lambda s, x: rnn_step({"a": s, "n": 0}, x)["a"]))(before, driven)
    parts = np.split(np.asarray(single, float), 24 // block)
    matrices = np.stack([np.linalg.multi_dot([*part[::-1], np.eye(2)]) for part in parts])
    values = np.linalg.svd(residual_jacobian(matrices), compute_uv=False)
    assert record.length == 24 // block
    assert float(record.sigma_min.low) <= values[-1] * (1 + 1e-5)
    assert values[-1] * (1 - 1e-5) <= float(record.sigma_min.high)
    assert float(record.sigma_max.low) * (1 - 1e-5) <= values[0] <= float(record.sigma_max.high) * (1 + 1e-5)


def test_a_record_prints_and_becomes_a_dictionary(getkey):
    record = ps.conditioning(scalar_step, jnp.ones(1), length=50, key=getkey(), exponent=np.log(0.9))
    assert "theorem 2" in str(record)
    plain = json.loads(json.dumps(record.to_dict()))
    assert plain["theory"]["sigma_max"] is None
    assert plain["sigma_min"]["level"] == 0.99


@pytest.mark.slow
def test_a_batch_is_measured_at_once(getkey):
    def smallest(rate):
        step = lambda s, x: rate * s  # noqa: E731
        return ps.conditioning(step, jnp.ones(1), length=300, key=jax.random.key(0)).sigma_min.value

    np.testing.assert_allclose(jax.vmap(smallest)(jnp.asarray([0.5, 0.8])), [0.5, 0.2], rtol=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accuracy": 0.0}, "accuracy: given 0.0, expected a number between 0 and 1"),
        ({"level": 1.0}, "level: given 1.0"),
        ({"block": 0}, "block: given 0, expected an integer"),
        ({"length": 0}, "length: given 0 steps"),
        ({"states": jnp.ones((10, 2))}, r"states: given float32\[10, 2\], expected float32\[10, 1\]"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        ps.conditioning(scalar_step, jnp.ones(1), key=jax.random.key(0), **{"length": 10, **arguments})
