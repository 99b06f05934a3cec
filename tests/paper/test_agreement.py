"""The comparison with the sequential trajectory: closed forms, and what must not pass."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.paper.harness.agreement import ROUNDINGS, amplification, chaotic, contracting, horizon, residuals, settled

LORENZ_EXPONENT = 0.0102


@pytest.fixture
def lorenz():
    """The flow, its trajectory of 400 steps, and float64 while the test runs."""
    with jax.enable_x64(True):
        system = ps.systems.get("lorenz")
        states = ps.rollout(system.step, system.initial_state, length=400).states
        yield system, states


@pytest.mark.parametrize("exponent", [-0.7, -1e-3, 0.0, 1e-3, 0.3])
def test_amplification_is_the_geometric_sum(exponent):
    terms = [math.exp(exponent * k) for k in range(50)]
    assert amplification(exponent, 50) == pytest.approx(math.fsum(terms), rel=1e-12)


def test_amplification_overflows_to_infinity():
    assert amplification(1.0, 10_000) == math.inf


@pytest.mark.parametrize("exponent", [1e-3, 0.0102, 0.5])
def test_horizon_is_where_the_amplified_disturbance_passes_the_tolerance(exponent):
    until = horizon(exponent, 1e-15, 1e-6, 1_000_000)
    assert 1e-15 * amplification(exponent, until) <= 1e-6 < 1e-15 * amplification(exponent, until + 1)


def test_horizon_is_everything_for_a_system_that_forgets():
    assert horizon(-0.1, 1e-3, 1e-6, 77) == 77
    assert horizon(0.1, 0.0, 1e-6, 77) == 77


def test_settled_stops_at_the_first_residual_that_is_not_rounding():
    unit = 1e-16
    residual = np.array([0.0, ROUNDINGS * unit, 2 * ROUNDINGS * unit, 0.0])
    assert settled(residual, unit) == 2
    assert settled(residual[:2], unit) == 2
    assert settled(np.array([0.0, np.nan, 0.0]), unit) == 1


def test_residuals_are_rounding_on_the_trajectory_and_seen_off_it(lorenz):
    system, states = lorenz
    unit = float(jnp.finfo(states.dtype).eps * jnp.max(jnp.abs(states)))
    assert np.max(residuals(system, None, states)) <= ROUNDINGS * unit
    off = residuals(system, None, states.at[100, 1].add(1e-3))
    assert off[100] == pytest.approx(1e-3, rel=1e-6)
    assert off[101] > 1e-4


def test_chaotic_compares_up_to_the_horizon(lorenz):
    system, states = lorenz
    found = chaotic(system, None, states, states, exponent=LORENZ_EXPONENT)
    assert (found.error, found.compared, found.horizon) == (0.0, 400, 400)
    short = chaotic(system, None, states, states, exponent=0.5)
    assert short.compared == short.horizon < 100


def test_chaotic_sees_a_wrong_trajectory_and_stops_at_a_loose_residual(lorenz):
    system, states = lorenz
    other = ps.rollout(system.step, system.initial_state + 1e-3, length=400).states
    # The other trajectory solves the recurrence but for its first step, so nothing but that step is settled.
    assert chaotic(system, None, other, states, exponent=LORENZ_EXPONENT).compared == 0
    found = chaotic(system, None, states.at[300:].add(1e-3), states, exponent=LORENZ_EXPONENT)
    assert (found.compared, found.error) == (300, 0.0)


def test_contracting_measures_the_root_mean_square_against_theorem_2():
    with jax.enable_x64(True):
        reference = jnp.zeros((100, 2))
        found = contracting(reference + 3e-3, reference, exponent=-0.5, merit_tolerance=1e-10)
    assert found.error == pytest.approx(3e-3 * math.sqrt(2), rel=1e-12)
    assert found.tolerance == pytest.approx(math.sqrt(2e-10) / (1 - math.exp(-0.5)), rel=1e-12)
    assert found.compared == found.horizon == 100
