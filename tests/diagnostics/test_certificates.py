"""Certificates of random systems against trajectories in extended precision, and what a certificate says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from certified_systems import FAMILIES, RUNS, certified
from drifting_systems import DRIFTING

import parascan as ps
from combinations import single, some
from parascan.solution import Evidence


def checked(cases, count, seed):
    """Ratios of bound to error of all systems, overall; fails where a bound is below the error."""
    ratios, families = [], FAMILIES | DRIFTING
    with jax.enable_x64(True):
        for family, run, dtype in cases:
            errors, bounds = certified(families[family], RUNS[run], jnp.dtype(dtype), seed, count)
            known = np.isfinite(bounds)
            assert np.all(errors[known] <= bounds[known]), (family, run, dtype)
            held = known.all(axis=1)
            # Some systems happen to be exact.
            ratios.extend(bounds[held].max(axis=1) / np.maximum(errors[held].max(axis=1), np.finfo(float).tiny))
    return np.asarray(ratios)


@pytest.mark.slow
def test_bounds_of_a_few_random_systems_hold_and_are_tight():
    ratios = checked([("rnn4", "newton, stopped", "float32")], 30, 5)
    assert len(ratios) > 10
    assert np.median(ratios) <= 30


@pytest.mark.slow
def test_bounds_of_a_thousand_random_systems_hold_and_are_tight():
    cases = [(family, run, dtype) for family in FAMILIES for run in RUNS for dtype in ("float32", "float64")]
    ratios = checked(cases, 16, 1)
    assert len(ratios) > 400
    assert np.median(ratios) <= 30


@pytest.mark.slow
def test_rounding_that_keeps_its_sign_is_summed_as_such():
    assert np.median(checked([("clock", "sequential", "float32")], 8, 6)) <= 3
    assert np.median(checked([("mean", "sequential", "float32")], 4, 6)) <= 30


@pytest.mark.slow
def test_bounds_of_a_hundred_random_systems_that_drift_hold():
    cases = [(family, "sequential", dtype) for family in DRIFTING for dtype in ("float32", "float64")]
    assert len(checked(cases, 8, 2)) > 90


@pytest.mark.exhaustive
def test_a_clock_loses_the_same_part_of_a_step_at_every_step():
    # The error of 5000 sums of 0.1 in float32 is 2.1e-2; independent errors of that size would make 7e-3.
    clock = ps.rollout(lambda s, x: s + 0.1, jnp.zeros(()), length=5000, solver=ps.Sequential(), certify=1.0)
    exact = np.arange(1, 5001) * np.longdouble(np.float32(0.1))
    errors = np.abs(np.asarray(clock.states, np.longdouble) - exact).astype(float)
    assert errors.max() > 0.02
    assert np.all(errors <= np.asarray(clock.certificate.bound))
    assert float(clock.certificate.overall) < 1.5 * errors.max()


@pytest.mark.slow
def test_a_clock_in_a_narrow_type_is_judged_in_a_wider_one():
    rate = jnp.asarray(0.1, jnp.bfloat16)
    states = ps.rollout(lambda s, x: s + rate, jnp.zeros((), jnp.bfloat16), length=80, solver=ps.Sequential()).states
    bound = ps.certify(lambda s, x: s + rate, jnp.zeros((), jnp.bfloat16), None, states, length=80).bound
    errors = np.abs(np.asarray(states, float) - float(rate) * np.arange(1, 81))
    assert np.all(errors <= np.asarray(bound))
    assert np.all(np.asarray(bound) <= 5 * errors.max())


def ticking(s, x):
    """Seven sums in a loop, two of them in a branch and one in a loop whose turns are not known beforehand."""
    rate = jnp.float32(0.013)
    s = jax.lax.fori_loop(0, 4, lambda _, s: s + rate, s)
    s = jax.lax.cond(s > -1, lambda s: s + rate + rate, lambda s: s, s)
    return jax.lax.while_loop(lambda carry: carry[1] < 1, lambda carry: (carry[0] + rate, carry[1] + 1), (s, 0))[0]


@pytest.mark.slow
def test_a_clock_in_loops_and_branches_is_summed_with_its_sign():
    length = 20_000
    states = ps.rollout(ticking, jnp.zeros(()), length=length, solver=ps.Sequential()).states
    bound = np.asarray(ps.certify(ticking, jnp.zeros(()), None, states, length=length).bound)
    exact = 7 * np.arange(1, length + 1) * np.longdouble(np.float32(0.013))
    errors = np.abs(np.asarray(states, np.longdouble) - exact).astype(float)
    assert np.all(errors <= bound)
    assert bound.max() < 2 * errors.max()


def straight_through(s):
    return s + jax.lax.stop_gradient(jnp.round(4 * s) / 4 - s)


@jax.custom_jvp
def flattered(s):
    return jnp.tanh(2 * s)


flattered.defjvp(lambda primals, tangents: (jnp.tanh(2 * primals[0]), 0.5 * tangents[0]))

LYING = {
    "no derivative": lambda s, x: 4 * jax.lax.stop_gradient(s) * (1 - jax.lax.stop_gradient(s)),
    "straight through, one entry": lambda s, x: (0.5 * s + x).at[1].set(0.9 * straight_through(s[1]) + x[1]),
    "a rule of its own": lambda s, x: 0.5 * flattered(s) + x,
}


@pytest.mark.parametrize("name", some(LYING, "a rule of its own"))
def test_a_derivative_that_is_not_that_of_the_value_is_refused(name):
    lying, xs = LYING[name], jax.random.normal(jax.random.key(1), (60, 2))
    states = ps.rollout(lying, jnp.full(2, 0.3), xs, solver=ps.Sequential()).states
    certificate = ps.certify(lying, jnp.full(2, 0.3), xs, states, sigma_min=0.1)
    assert not bool(certificate.certified)
    assert certificate.used == Evidence.derivative
    assert "not that of its value" in str(certificate)


def honest(s, x):
    """A rectifier, a modulus, a circle, a stair and a logarithm at the edge of its domain, beside one another."""
    return jnp.stack(
        [
            jax.nn.relu(0.7 * s[0] + x[0]),
            jnp.abs(0.7 * s[1] + x[1]),
            jnp.mod(s[2] + x[2], 1.0),
            0.5 * s[3] + x[3] + 0.2 * jnp.round(s[3]),
            jnp.log1p(s[4] ** 2) * x[4],
        ]
    )


@pytest.mark.slow
def test_kinks_and_jumps_are_no_reason_to_refuse():
    xs = jax.random.normal(jax.random.key(1), (400, 5))
    states = ps.rollout(honest, jnp.zeros(5), xs, solver=ps.Sequential()).states
    certificate = ps.certify(honest, jnp.zeros(5), xs, states, tolerance=1e-2)
    assert bool(certificate.certified), str(certificate)


@pytest.mark.slow
def test_a_jump_within_reach_of_the_error_ends_the_bound():
    # The third state lies on the jump to within rounding: it may as well be on the other side.
    def circle(s, x):
        return jnp.mod(s + jnp.float32(0.1), jnp.float32(0.4))

    states = ps.rollout(circle, jnp.zeros(()), length=40, solver=ps.Sequential()).states
    certificate = ps.certify(circle, jnp.zeros(()), None, states, length=40)
    assert int(certificate.horizon) == 3


def step(state, x):
    return jnp.tanh(0.5 * state + x)


@single
def test_a_wrong_trajectory_is_never_certified(dtype):
    xs = jnp.ones((50, 2), dtype)
    states = ps.rollout(step, jnp.zeros(2, dtype), xs).states.at[20].add(0.1)
    certificate = ps.certify(step, jnp.zeros(2, dtype), xs, states, tolerance=0.01)
    assert not bool(certificate.certified)
    assert int(certificate.horizon) == 20
    assert float(certificate.bound[20]) >= 0.1 * np.sqrt(2) * (1 - 1e-5)
    assert "at step 21 of 50" in str(certificate)
    assert json.loads(json.dumps(certificate.to_dict()))["horizon"] == 20


def test_no_step_and_no_states():
    assert bool(ps.certify(lambda s, x: s, jnp.ones(()), None, jnp.zeros(0), length=0).certified)
    with pytest.raises(ValueError, match="states: given None"):
        ps.certify(step, jnp.zeros(2), jnp.ones((3, 2)))
