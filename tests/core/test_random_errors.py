"""Errors of random sign in every operation of a program, from which the size of a step's rounding is found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan.programs.noisy import Noisy

SEEDS = 4096


def signs_of(key: jax.Array) -> jax.Array:
    """The signs of the errors in 40 operations on scalars and 10 on vectors, after one another."""
    noisy = Noisy(key, jnp.float32(1))
    values = [jnp.ones(())] * 40 + [jnp.ones(3)] * 10
    return jnp.concatenate([jnp.sign(noisy.err(value, 1e5) - value).ravel() for value in values])


def test_signs_are_even_and_independent_of_one_another():
    """Neither a mean over seeds nor a product of two operations or entries is further from zero than chance has it."""
    signs = np.asarray(jax.vmap(signs_of)(jax.random.split(jax.random.key(3), SEEDS)))
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert np.max(np.abs(signs.mean(axis=0))) < 5 / SEEDS**0.5
    products = signs.T @ signs / SEEDS - np.eye(signs.shape[1])
    assert np.max(np.abs(products)) < 5 / SEEDS**0.5


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_an_error_has_the_size_that_is_asked_for_in_the_dtype_of_its_value(dtype):
    """So many units of rounding of either sign; integers stay as they are."""
    noisy = Noisy(jax.random.key(0), jnp.ones((), dtype))
    value = jnp.ones(64, dtype)
    found = noisy.err(value, 8.0)
    assert found.dtype == value.dtype
    np.testing.assert_allclose(
        np.abs(np.asarray(found - value, np.float64)), 4 * float(jnp.finfo(dtype).eps), rtol=1e-6
    )
    counts = jnp.arange(3)
    assert noisy.err(counts, 8.0) is counts
