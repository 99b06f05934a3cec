"""The step size for effective samples per parallel depth: smaller ones meet sooner, larger ones mix better."""

import functools

import jax
import jax.numpy as jnp
import pytest
from targets import curved, normal

import parascan as ps
from parascan.mcmc.tuning import CHUNKS


@functools.cache
def made(density, step_size=0.4):
    make = lambda h, scale: ps.mcmc.mala(density, h, scale)  # noqa: E731
    found = ps.mcmc.warm_up(make, jnp.zeros(3), 200, key=jax.random.key(0), target=0.6, step_size=step_size)
    return make, found


def test_the_choice_is_the_row_with_the_largest_rate():
    make, found = made(normal)
    tuned = ps.mcmc.tune(make, found, 50_000, key=jax.random.key(1), factors=(2.5, 0.1, 1.0), pilot=400)
    assert [row.step_size for row in tuned.tried] == sorted(row.step_size for row in tuned.tried)
    rates = {row.step_size: row.effective * 50_000 / row.depth for row in tuned.tried}
    assert tuned.step_size == max(rates, key=lambda size: rates[size])
    assert float(tuned.kernel.step_size) == pytest.approx(tuned.step_size)
    predictable = [row for row in tuned.tried if row.foretold.verdict == "predictable"]
    assert predictable
    for row in predictable:
        assert row.depth == pytest.approx(50_000 / CHUNKS + row.foretold.meeting[2])
    assert "effective samples" in str(tuned)


def test_short_chains_and_those_that_do_not_contract_have_the_depth_of_their_draws():
    make, found = made(normal)
    short = ps.mcmc.tune(make, found, 300, key=jax.random.key(1), factors=(1.0,), pilot=400)
    assert short.tried[0].depth == 300
    walk = lambda h, scale: ps.mcmc.random_walk(normal, h, scale)  # noqa: E731
    tuned = ps.mcmc.tune(walk, found, 50_000, key=jax.random.key(1), factors=(1.0,), pilot=400)
    assert tuned.tried[0].depth == 50_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"found": 3}, "found: given int"),
        ({"draws": 0}, "draws"),
        ({"pilot": 50}, "pilot: given 50"),
        ({"factors": ()}, "factors: given"),
        ({"factors": (1.0, 0.0)}, "factors: given"),
    ],
)
def test_wrong_arguments_are_refused(options, words):
    make, found = made(curved)
    given = {"make": make, "found": found, "draws": 100, "key": jax.random.key(0), **options}
    with pytest.raises((TypeError, ValueError), match=words):
        ps.mcmc.tune(given.pop("make"), given.pop("found"), given.pop("draws"), **given)
