"""The sum of positive exponents against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.diagnostics import pesin_sum


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def exponents(rates, k):
    rates = jnp.asarray(rates)
    return ps.lyapunov_exponents(
        lambda s, x: rates * s, jnp.zeros(len(rates)), length=600, key=jax.random.key(0), k=k, warm_up=200
    )


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((2.0, 1.5, 0.5), np.log(3)),
        pytest.param((1.7,), np.log(1.7), marks=pytest.mark.exhaustive),
        pytest.param((0.9, 0.2), 0.0, marks=pytest.mark.exhaustive),
    ],
)
def test_it_is_the_sum_of_the_positive_ones(rates, expected):
    found = pesin_sum(exponents(rates, len(rates)))
    np.testing.assert_allclose(found.value, expected, atol=1e-12)
    assert found.low <= expected <= found.high + 1e-12
    assert np.isfinite(found.high)


@pytest.mark.parametrize(("k", "is_open"), [(2, True), *exhaustive([(3, False), (1, True), (4, False)])])
def test_it_is_open_where_more_may_be_positive(k, is_open):
    found = pesin_sum(exponents((2.0, 1.5, 0.5, 0.1), k))
    assert np.isinf(found.high) == is_open


def test_the_entropy_of_the_logistic_map_is_log_two():
    logistic = ps.systems.get("logistic")
    found = ps.lyapunov_exponents(logistic.step, logistic.initial_state, length=50_000, key=jax.random.key(0))
    entropy = pesin_sum(found)
    assert entropy.low <= np.log(2) <= entropy.high
