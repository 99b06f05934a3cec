"""Certificates of random systems against trajectories in extended precision, and what a certificate says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from certified_systems import FAMILIES, RUNS, certified

import parascan as ps


def checked(cases, count, seed):
    """Ratios of bound to error of all systems, overall; fails where a bound is below the error."""
    ratios = []
    with jax.enable_x64(True):
        for family, run, dtype in cases:
            errors, bounds = certified(FAMILIES[family], RUNS[run], jnp.dtype(dtype), seed, count)
            known = np.isfinite(bounds)
            assert np.all(errors[known] <= bounds[known]), (family, run, dtype)
            held = known.all(axis=1)
            ratios.extend(bounds[held].max(axis=1) / errors[held].max(axis=1))
    return np.asarray(ratios)


def test_bounds_of_a_few_random_systems_hold_and_are_tight():
    cases = [("langevin", "sequential", "float32"), ("rnn4", "newton, stopped", "float32")]
    ratios = checked([*cases, ("logistic", "newton", "float64")], 20, 5)
    assert len(ratios) > 20
    assert np.median(ratios) <= 30


@pytest.mark.slow
def test_bounds_of_a_thousand_random_systems_hold_and_are_tight():
    cases = [(family, run, dtype) for family in FAMILIES for run in RUNS for dtype in ("float32", "float64")]
    ratios = checked(cases, 16, 1)
    assert len(ratios) > 400
    assert np.median(ratios) <= 30


def step(state, x):
    return jnp.tanh(0.5 * state + x)


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
