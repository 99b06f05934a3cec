"""Names of an earlier release work, and warn."""

import json
import warnings

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from parascan.linear import Bidiagonal, DiagonalTransition, damped_solve
from parascan.solvers import Iterate


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


def test_blocks_are_called_multiple_shooting_now():
    with pytest.warns(DeprecationWarning, match=r"ps\.Blocks is called ps\.MultipleShooting now"):
        assert ps.Blocks is ps.MultipleShooting


def test_a_name_that_never_was_is_unknown():
    with pytest.raises(AttributeError, match="has no attribute 'Remembering'"):
        ps.Remembering  # noqa: B018


def test_what_an_old_solver_says_of_itself():
    with pytest.warns(DeprecationWarning, match="Forgetting"):
        old = ps.Forgetting(blocks=16, trial=7)
    with pytest.warns(DeprecationWarning, match="blocks is called chunks now"):
        assert old.blocks == 16
    with pytest.warns(DeprecationWarning, match="trial is called trial_steps now"):
        assert old.trial == 7


@pytest.mark.slow
def test_an_argument_under_its_old_name():
    def exponent(**options):
        halve = lambda s, x: 0.5 * s  # noqa: E731
        return ps.lyapunov_exponents(halve, jnp.ones(2), length=64, key=jax.random.key(0), **options)

    with pytest.warns(DeprecationWarning, match="lanes is called chunks now") as caught:
        old = exponent(lanes=4)
    assert caught[0].filename == __file__
    assert old.estimate.method == exponent(chunks=4).estimate.method != exponent(chunks=1).estimate.method
    with pytest.raises(TypeError, match="lanes: given together with chunks"):
        exponent(lanes=4, chunks=4)


def test_an_iterate_under_its_old_words():
    iterate = Iterate(jnp.zeros((3, 1)), jnp.ones((3, 1)))
    with pytest.warns(DeprecationWarning, match="images is called predictions now"):
        assert iterate.images is iterate.predictions


@pytest.mark.slow
def test_a_backend_by_its_old_name():
    A, b = jnp.full((3, 1), 0.5), jnp.ones((3, 1))
    with pytest.warns(DeprecationWarning, match='backend "lanes" is called "contracting" now') as caught:
        old = ps.linear_recurrence(A, b, backend="lanes")
    assert (len(caught), caught[0].filename) == (1, __file__)
    assert jnp.all(old == ps.linear_recurrence(A, b, backend="contracting"))
    with pytest.warns(DeprecationWarning, match="contracting"):
        assert jnp.all(Bidiagonal(DiagonalTransition(A), "lanes").solve(b) == old)
    with pytest.warns(DeprecationWarning, match="contracting"):
        damped_solve(DiagonalTransition(A), b, 1.0, backend="lanes")


@pytest.mark.slow
def test_a_plan_that_an_earlier_release_stored_is_read():
    plan = ps.plan(lambda s, x: 0.5 * s + x, jnp.zeros(2), jnp.ones((300, 2)), measure=False)
    stored = plan.to_json()
    for new, old in (("Chunked", "Forgetting"), ("MultipleShooting", "Blocks"), ("WithFallback", "Guarded")):
        stored = stored.replace(new, old)
    stored = stored.replace('"chunks"', '"blocks"').replace('"trial_steps"', '"trial"')
    assert type(plan).from_json(stored).to_json() == plan.to_json()
    assert json.loads(stored) != json.loads(plan.to_json())
