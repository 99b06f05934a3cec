"""Formulas of conditioning and convergence against direct sums, and against measured singular values."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parascan.diagnostics.conditioning import bounds
from parascan.diagnostics.forecast import contraction_rates as rates

EXPONENTS = (-50.0, -1.0, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 0.5, 50.0)


theorem_two = jax.jit(bounds.log_sigma_min_bounds)
from_norm = jax.jit(bounds.log_sigma_min_from_norm)


def residual_jacobian(matrices):
    """The whole matrix, identity on the diagonal and -A_t below it."""
    length, size, _ = matrices.shape
    whole = np.eye(length * size)
    for t in range(1, length):
        whole[t * size : (t + 1) * size, (t - 1) * size : t * size] = -matrices[t]
    return whole


def window_norms(matrices):
    """``||A_(i+k-1) ... A_i||`` of all windows of the matrices below the diagonal, by length k from 1."""
    below = matrices[1:]
    norms, products = [], below
    for k in range(1, len(below) + 1):
        norms.append(np.linalg.norm(products, 2, axis=(1, 2)))
        products = below[k:] @ products[:-1] if k < len(below) else products
    return norms


@pytest.fixture(scope="module")
def log_sum():
    with jax.enable_x64(True):
        yield jax.jit(jax.value_and_grad(bounds.log_geometric_sum))


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("count", [1, 2, 10, 1000])
def test_geometric_sum_and_its_derivative(log_sum, exponent, count):
    terms = exponent * np.arange(count)
    expected = np.logaddexp.reduce(terms)
    weights = np.exp(terms - expected)
    value, slope = log_sum(exponent, float(count))
    assert float(value) == pytest.approx(expected, rel=1e-11, abs=1e-11)
    assert float(slope) == pytest.approx(weights @ np.arange(count), rel=1e-7, abs=1e-7)


def test_nothing_overflows(dtype):
    exponents = jnp.asarray([-50.0, 0.0, 50.0], dtype)
    lower, upper = jax.jit(bounds.log_sigma_min_bounds)(exponents, 1e6, 2.0, 0.5)
    np.testing.assert_allclose(lower, [-np.log(2), -np.log(2e6), -np.log(2) - 50.0 * (1e6 - 1)], rtol=1e-5)
    np.testing.assert_allclose(upper, [0.0, 0.0, np.log(2) - 50.0 * (1e6 - 1)], rtol=1e-5)


def test_a_and_b_have_the_right_sign():
    loose, tight = (bounds.log_sigma_min_bounds(0.1, 100.0, a, 1 / a) for a in (10.0, 1.0))
    assert float(loose.lower) == pytest.approx(float(tight.lower) - np.log(10), rel=1e-5)
    assert float(loose.upper) == pytest.approx(float(tight.upper) + np.log(10), rel=1e-5)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    gain=st.floats(0.2, 2.0),
    length=st.integers(2, 24),
    size=st.integers(1, 3),
    block=st.integers(1, 5),
    exponent=st.floats(-1.0, 1.0),
)
def test_both_bounds_hold_the_smallest_singular_value(seed, gain, length, size, block, exponent):
    """For any exponent: a and b are then the constants that make both envelopes true."""
    matrices = gain * np.random.default_rng(seed).normal(size=(length, size, size)) / np.sqrt(size)
    norms = window_norms(matrices)
    lengths = np.arange(1, length)
    a = max(1.0, max(n.max() / np.exp(exponent * k) for n, k in zip(norms, lengths, strict=True)))
    b = min(1.0, min(n.min() / np.exp(exponent * k) for n, k in zip(norms, lengths, strict=True)))
    smallest = np.log(np.linalg.svd(residual_jacobian(matrices), compute_uv=False)[-1])
    with jax.enable_x64(True):
        lower, upper = theorem_two(exponent, float(length), a, b, 1.0)
        assert float(lower) - 1e-9 <= smallest <= float(upper) + 1e-9
        growth = jnp.log(jnp.asarray([1.0, *(n.max() for n in norms)]))
        assert float(lower) - 1e-9 <= float(bounds.log_sigma_min_from_growth(growth)) <= smallest + 1e-9
        rho = norms[0].max()
        assert float(from_norm(rho, float(length))) <= smallest + 1e-9
        if length % block == 0:
            parts = np.split(matrices, length // block)
            blocks = np.stack([np.linalg.multi_dot([*part[::-1], np.eye(size)]) for part in parts])
            coarse = np.log(np.linalg.svd(residual_jacobian(blocks), compute_uv=False)[-1])
            lower, upper = theorem_two(exponent, float(length), a, b, float(block))
            assert float(lower) - 1e-9 <= coarse <= float(upper) + 1e-9


def test_metric_bound_holds_where_norms_alone_say_nothing():
    shear = np.diag([1.0, 100.0])
    matrices = np.broadcast_to(shear @ np.array([[0.0, 0.5], [-0.5, 0.0]]) @ np.linalg.inv(shear), (12, 2, 2))
    smallest = np.log(np.linalg.svd(residual_jacobian(matrices), compute_uv=False)[-1])
    by_metric = float(bounds.log_sigma_min_from_norm(0.5, 12.0, condition=100.0))
    assert float(bounds.log_sigma_min_from_norm(np.linalg.norm(matrices[0], 2), 12.0)) < by_metric <= smallest


def test_largest_singular_value_is_bounded():
    matrices = np.random.default_rng(0).normal(size=(20, 3, 3))
    low, high = bounds.sigma_max_bounds(np.linalg.norm(matrices, 2, axis=(1, 2)).max())
    assert float(low) <= np.linalg.norm(residual_jacobian(matrices), 2) <= float(high)


def test_basin_and_neighborhood():
    assert float(jnp.exp(bounds.log_basin_radius(jnp.log(0.1), 2.0))) == pytest.approx(0.005, rel=1e-5)
    assert float(bounds.log_basin_radius(-1.0, 0.0)) == np.inf
    assert float(bounds.sigma_min_near(0.1, 1.0, 0.5)) == 0.0


def newton_errors(weights, inputs, start, guess):
    """Errors ``||e_i||`` of Gauss-Newton in numpy on ``s' = w tanh(s) + x``."""
    length = len(inputs)
    truth, state = [], start
    for x in inputs:
        state = weights @ np.tanh(state) + x
        truth.append(state)
    truth, states, errors = np.asarray(truth), guess, []
    for _ in range(length):
        errors.append(np.linalg.norm(states - truth))
        before, new = np.concatenate([start[None], states[:-1]]), np.zeros_like(states)
        previous = start
        for t in range(length):
            jacobian = weights * (1 - np.tanh(before[t]) ** 2)
            previous = new[t] = weights @ np.tanh(before[t]) + inputs[t] + jacobian @ (previous - before[t])
        states = new
    return np.asarray(errors)


@pytest.mark.parametrize("gain", [0.1, 0.2, 0.8])
def test_theorem_four_bounds_the_iterates(gain):
    draw = np.random.default_rng(1)
    weights = draw.normal(size=(3, 3))
    weights *= gain / np.linalg.norm(weights, 2)
    inputs = draw.normal(size=(25, 3))
    errors = newton_errors(weights, inputs, np.zeros(3), 3 * draw.normal(size=(25, 3)))
    with jax.enable_x64(True):
        for beta in (0.3, 0.6, 0.9):
            bound = rates.log_error_bound(jnp.arange(25.0), 25.0, beta, np.log(gain), 1.0, gain)
            kept = errors > 1e-12
            assert (np.log(errors[kept]) <= np.asarray(bound)[kept] + np.log(errors[0]) + 1e-9).all()
            free = bool(rates.strongly_contracting(np.log(gain), beta).holds)
            assert free == (gain <= beta / (2 + beta))
            assert not free or float(rates.log_weight(beta, np.log(gain), 1.0, gain)) == 0.0


def test_conditions_say_no_with_the_numbers():
    condition = rates.converges_globally(np.log(0.5), bounds.log_geometric_sum(np.log(0.5), 100.0), 0.9)
    assert not bool(condition.holds)
    assert float(condition.value) == pytest.approx(np.log(2.0), rel=1e-5)
    assert "does not hold" in str(condition)
    assert bool(rates.strongly_contracting(-1.2, 0.9).holds)


def test_counts_of_iterations():
    assert float(rates.iterations_to_basin(0.5, 0.0, 1.0, 8.0, 0.0)) == pytest.approx(3.0)
    assert float(rates.iterations_to_basin(0.5, 0.0, 1.0, 0.5, 0.0)) == 0.0
    assert float(rates.two_phase_iterations(0.5, 1.0, 1.0, 8.0, -np.log(4.0))) == pytest.approx(7.0)
    assert float(rates.descent_iterations(1.0, -1.0)) == pytest.approx(np.e, rel=1e-5)


def test_everything_can_be_mapped():
    found = eqx.filter_jit(jax.vmap(lambda x: bounds.log_sigma_min_bounds(x, 100.0)))(jnp.linspace(-1, 1, 7))
    assert found.lower.shape == (7,)
    assert np.all(np.diff(found.lower) < 0)
