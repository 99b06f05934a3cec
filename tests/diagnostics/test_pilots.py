"""Pilots find what a whole rollout would, at the cost that they state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_steps import recurrence, trajectory

import parascan as ps
from combinations import some
from parascan.diagnostics import Paths, jacobian_norm, measure_growth, regularity
from parascan.diagnostics.growth.pilots import PRODUCTS_PER_STEP, default_budget
from parascan.problem.flat_recurrence import Recurrence


@pytest.mark.parametrize("size", some([3, 20], 3))
@pytest.mark.slow
def test_pilots_of_a_driven_network_find_what_the_whole_has(size, getkey):
    with jax.enable_x64(True):
        rnn = ps.systems.tanh_rnn(gain=0.8, size=size, key=jax.random.key(1))
        xs = rnn.inputs(20_000)
        problem = recurrence(rnn.step, rnn.initial_state, xs)
        found = measure_growth(problem, getkey())
        whole = ps.lyapunov_exponents(rnn.step, rnn.initial_state, xs, key=getkey())
        width = found.exponent.high - found.exponent.value
        assert abs(found.exponent.value - whole.per_step) < 2 * width
        assert found.per_pilot.shape == (len(found.places),) == (12,)
        assert sorted(found.places) == list(found.places)
        assert 0 < found.places[0] < found.places[-1] < 20_000
        paths = Paths.whole(problem, trajectory(problem))
        norm = jacobian_norm(paths, getkey())
        assert found.rho.low <= norm.high
        assert norm.low <= found.rho.high * 1.01
        constants = regularity(paths, found.exponent.value, getkey(), longest=500, starts=100)
        assert constants.a.low <= found.a.high * 1.05
        # A turned direction also sees the lengths between those looked at.
        assert 1 <= found.a.value <= constants.a.high * 1.1
        assert 0 < found.b.value <= 1
        assert found.steps <= default_budget(20_000) == 2000
        assert found.products <= PRODUCTS_PER_STEP * 2000


@pytest.mark.slow
def test_systems_without_inputs_are_followed_from_the_start(getkey):
    with jax.enable_x64(True):
        henon = ps.systems.get("henon")
        found = measure_growth(recurrence(henon.step, henon.initial_state, None, 60_000), getkey())
        assert found.steps == default_budget(60_000) == 3000
        assert found.exponent.low <= 0.419 <= found.exponent.high
        assert np.isinf(found.overshoot.value)
        # |f''| = 2 a, in the first coordinate alone.
        np.testing.assert_allclose(found.lipschitz.value, 2.8, rtol=1e-6)


@pytest.mark.slow
def test_a_short_system_is_followed_to_its_end(getkey):
    problem = Recurrence(lambda s, x: 0.5 * s + x, jnp.ones(2), jnp.zeros((100, 2)), 100)
    found = measure_growth(problem, getkey())
    np.testing.assert_allclose(found.exponent.value, np.log(0.5), rtol=1e-5)
    np.testing.assert_allclose([found.a.value, found.b.value, found.rho.value], [1, 1, 0.5], rtol=1e-3)
    assert found.lipschitz.value == 0
    assert found.steps == 125
    assert found.complete
    # All windows of all lengths were pushed from every step, and that is told.
    assert found.products >= 2 * 100 * 100


def test_one_step_and_none(getkey):
    one = Recurrence(lambda s, x: 0.5 * s, jnp.ones(1), None, 1)
    found = measure_growth(one, getkey())
    np.testing.assert_allclose(found.exponent.value, np.log(0.5), rtol=1e-5)
    assert np.isinf(found.exponent.high)
    none = Recurrence(lambda s, x: 0.5 * s, jnp.ones(1), None, 0)
    with pytest.raises(ValueError, match="length: given 0"):
        measure_growth(none, getkey())
    with pytest.raises(ValueError, match="budget: given 0"):
        measure_growth(one, getkey(), budget=0)


@pytest.mark.slow
def test_states_that_are_not_finite_leave_nothing_known(getkey):
    blowing = Recurrence(lambda s, x: s**2 + x, jnp.full(2, 3.0), jnp.ones((5000, 2)), 5000)
    found = measure_growth(blowing, getkey())
    for name, low, high in (("exponent", -np.inf, np.inf), ("a", 1, np.inf), ("rho", 0, np.inf), ("b", 0, 1)):
        estimate = getattr(found, name)
        assert np.isnan(estimate.value), name
        assert (estimate.low, estimate.high) == (low, high), name


@pytest.mark.slow
def test_a_batch_of_systems_is_a_batch_of_answers(getkey):
    rates, key = jnp.asarray([0.5, 0.9]), getkey()

    def one(rate):
        problem = Recurrence(lambda s, x: rate * s + x, jnp.ones(2), jnp.zeros((3000, 2)), 3000)
        found = measure_growth(problem, key)
        return found.exponent.value, found.rho.value

    exponents, norms = jax.jit(jax.vmap(one))(rates)
    np.testing.assert_allclose(exponents, np.log(rates), rtol=1e-4)
    np.testing.assert_allclose(norms, rates, rtol=1e-3)


@pytest.mark.slow
def test_pilots_that_have_not_forgotten_their_start_leave_the_exponent_open():
    """An observer of 7500 steps of memory: pilots of 125 steps see it settle, not how slowly it forgets."""
    with jax.enable_x64(True):
        system = ps.systems.get("rossler_observer", dtype=jnp.float64)
        problem = recurrence(system.step, system.initial_state, system.inputs(30000))
        growth = measure_growth(problem, jax.random.key(0))
    assert float(growth.exponent.low) < -0.0007 < float(growth.exponent.high)
