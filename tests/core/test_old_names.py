"""Names of an earlier release work, and warn."""

import json
import warnings

import jax.numpy as jnp
import pytest

import parascan as ps


def test_an_old_name_makes_the_new_solver_and_warns():
    with pytest.warns(DeprecationWarning, match=r"ps\.Forgetting is called ps\.Chunked now"):
        old = ps.Forgetting(blocks=16, trial=7)
    assert old == ps.Chunked(chunks=16, trial_steps=7)
    with pytest.warns(DeprecationWarning, match=r"ps\.Guarded is called ps\.WithFallback now"):
        assert isinstance(ps.WithFallback(ps.deer()), ps.Guarded)


def test_what_an_old_name_is_checked_against():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = ps.Forgetting
    assert isinstance(ps.Chunked(), old)
    assert not isinstance(ps.Sequential(), old)


def test_the_nickname_stays_without_a_warning():
    assert ps.Blocks is ps.MultipleShooting


def test_a_name_that_never_was_is_unknown():
    with pytest.raises(AttributeError, match="has no attribute 'Remembering'"):
        ps.Remembering  # noqa: B018


def test_a_plan_that_an_earlier_release_stored_is_read():
    plan = ps.plan(lambda s, x: 0.5 * s + x, jnp.zeros(2), jnp.ones((300, 2)), measure=False)
    stored = plan.to_json()
    for new, old in (("Chunked", "Forgetting"), ("MultipleShooting", "Blocks"), ("WithFallback", "Guarded")):
        stored = stored.replace(new, old)
    stored = stored.replace('"chunks"', '"blocks"').replace('"trial_steps"', '"trial"')
    assert type(plan).from_json(stored).to_json() == plan.to_json()
    assert json.loads(stored) != json.loads(plan.to_json())
