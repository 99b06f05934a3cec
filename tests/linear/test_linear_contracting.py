"""The backend in chunks: what only rounding keeps apart is accepted, in both directions."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.linear import MatrixFreeTransition
from plain_loops import spoil_plain_loops


def system(units, length, gain, seed):
    keys = jr.split(jr.key(seed), 3)
    weights = gain * jr.normal(keys[0], (units, units)) / units**0.5
    slopes = 1 - jnp.tanh(jr.normal(keys[1], (length, units))) ** 2
    return MatrixFreeTransition(lambda d, v: d * (weights @ v), slopes, units), jnp.ones((length, units))


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(
    ("units", "length", "gain", "seed"),
    [(100, 20000, 0.6, 1), *exhaustive([(64, 20000, 0.7, 0), (128, 20000, 0.8, 2)])],
)
def test_runs_that_only_rounding_keeps_apart_are_accepted(units, length, gain, seed, transpose, monkeypatch):
    given = system(units, length, gain, seed)
    expected = ps.linear_recurrence(*given, transpose=transpose, backend="sequential")
    spoil_plain_loops(monkeypatch, jnp.nan)
    found = ps.linear_recurrence(*given, transpose=transpose, backend="contracting")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
