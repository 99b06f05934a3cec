"""The largest exponent against closed forms and published values."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import single, some


def exponent(step, init, length, key, xs=None, **options):
    return ps.lyapunov_exponents(step, init, xs, length, key=key, **options)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", some(["float32", "float64"], "float64"), indirect=True)
def test_linear_map_has_the_log_of_its_spectral_radius(dtype, getkey):
    matrix = jnp.asarray([[0.5, 1.0], [0.0, 0.8]], dtype)
    estimate = exponent(lambda s, _: matrix @ s, jnp.ones(2, dtype), 4000, getkey(), warm_up=500)
    assert estimate.per_step.dtype == dtype
    np.testing.assert_allclose(estimate.per_step, np.log(0.8), atol=1e-4)
    assert float(estimate.spread) < 1e-4


@single
def test_scalar_map_needs_no_warm_up(dtype, getkey):
    estimate = exponent(lambda s, _: 0.5 * s, jnp.asarray(1.0, dtype), 100, getkey())
    np.testing.assert_allclose(estimate.directions, np.full(3, np.log(0.5)), rtol=1e-6)


@pytest.mark.slow
def test_a_warm_up_removes_the_bias_of_a_random_start(getkey):
    with jax.enable_x64(True):
        step = lambda s, _: jnp.asarray([0.9, 0.1]) * s  # noqa: E731
        biased = exponent(step, jnp.ones(2), 20, getkey(), directions=8, warm_up=0)
        warm = exponent(step, jnp.ones(2), 20, getkey(), directions=8, warm_up=12)
        assert abs(float(warm.per_step) - np.log(0.9)) < 1e-9 < abs(float(biased.per_step) - np.log(0.9))


@pytest.mark.exhaustive
def test_logistic_and_henon(getkey):
    with jax.enable_x64(True):
        logistic = exponent(lambda s, _: 4 * s * (1 - s), jnp.asarray(0.3), 50_000, getkey())
        np.testing.assert_allclose(logistic.per_step, np.log(2), atol=0.01)
        henon = ps.systems.get("henon")
        estimate = exponent(henon.step, henon.initial_state, 50_000, getkey(), warm_up=100)
        np.testing.assert_allclose(estimate.per_step, 0.419, atol=0.01)


@pytest.mark.exhaustive
def test_units_of_time(getkey):
    key = getkey()
    step = lambda s, _: 0.5 * s  # noqa: E731
    one, tenth = (exponent(step, jnp.ones(2), 50, key, dt=dt) for dt in (1.0, 0.1))
    np.testing.assert_allclose(tenth.per_time, 10 * one.per_time, rtol=1e-6)
    np.testing.assert_array_equal(tenth.per_step, one.per_step)


def test_inputs_drive_the_jacobians_and_integers_are_left_alone(getkey):
    rates = jnp.linspace(0.2, 0.9, 50)
    step = lambda c, x: {"s": x * c["s"], "n": c["n"] + 1}  # noqa: E731
    estimate = exponent(step, {"s": jnp.ones(3), "n": 0}, None, getkey(), xs=rates, warm_up=0)
    np.testing.assert_allclose(estimate.per_step, jnp.log(rates).mean(), rtol=1e-5)


def test_long_float32_sums_keep_their_digits(getkey):
    """A plain float32 sum of 10^6 terms of size 1e-3 is off in the third digit; a compensated one is not."""
    rate = np.float32(0.001)

    def stay(s, _):
        """Slope 1.001 at a state that stays finite."""
        return s + rate * (s - jax.lax.stop_gradient(s))

    long, short = (
        exponent(stay, jnp.ones((), jnp.float32), length, getkey(), directions=1).per_step for length in (10**6, 16)
    )
    np.testing.assert_allclose(long, short, rtol=2e-5)


def test_a_contraction_to_zero_gives_minus_infinity_not_nan(getkey):
    estimate = exponent(lambda s, _: 0.0 * s, jnp.ones(2), 5, getkey())
    assert float(estimate.per_step) == -np.inf


@pytest.mark.slow
def test_jit_vmap_and_no_second_trace(getkey):
    traces = []

    def step(state, x):
        traces.append(None)
        return 0.5 * jnp.tanh(state) + x

    xs, key = jnp.ones((30, 2)), getkey()
    eager = exponent(step, jnp.zeros(2), None, key, xs=xs)
    count = len(traces)
    exponent(step, jnp.zeros(2), None, key, xs=xs)
    assert len(traces) == count
    compiled = eqx.filter_jit(lambda: exponent(step, jnp.zeros(2), None, key, xs=xs))()
    np.testing.assert_allclose(eager.per_step, compiled.per_step, rtol=1e-5)
    batch = jax.vmap(lambda init: exponent(step, init, None, key, xs=xs).per_step)(jnp.zeros((3, 2)))
    np.testing.assert_allclose(batch, np.full(3, eager.per_step), rtol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("directions", some([1, 5], 5))
def test_one_number_for_each_direction(directions, getkey):
    estimate = exponent(lambda s, _: jnp.cos(s), jnp.ones(2), 50, getkey(), directions=directions)
    assert estimate.directions.shape == (directions,)
    np.testing.assert_allclose(estimate.per_step, estimate.directions.mean(), rtol=1e-6)
