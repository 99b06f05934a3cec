"""Errors of random sign in every operation of a program, from which the size of a step's rounding is found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan.diagnostics.certificate.rounding import rounding_of_steps
from parascan.problem.flat_recurrence import Recurrence
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


LARGE = 2.0**20
"""Factor of the errors with which they are far above the rounding of the sum itself."""


def errors_of_a_product(matrix, vector):
    """What many runs of a product with large errors add to it, divided by the factor."""
    program = jax.make_jaxpr(jnp.matmul)(matrix, vector)

    def run(key):
        return Noisy(key, jnp.asarray(LARGE, matrix.dtype)).run(program, [matrix, vector])[0]

    return (jax.vmap(run)(jax.random.split(jax.random.key(5), 512)) - matrix @ vector) / LARGE


def test_a_product_errs_as_its_terms_do_and_each_entry_on_its_own(getkey):
    """As where each term errs by itself, with entries of all sizes; rows that are alike do not cancel."""
    with jax.enable_x64(True):
        rows = jax.random.normal(getkey(), (4, 12)) * jnp.geomspace(1e-9, 1e6, 12)
        matrix, vector = jnp.concatenate([rows, rows[:1]]), jax.random.normal(getkey(), (12,))
        errors = errors_of_a_product(matrix, vector)
        terms = 0.5 * 12**0.5 * 0.5 * jnp.finfo(matrix.dtype).eps * matrix * vector
        np.testing.assert_allclose(jnp.std(errors, axis=0), jnp.linalg.norm(terms, axis=1), rtol=0.1)
        assert float(jnp.std(errors[:, 0] - errors[:, 4])) > float(jnp.std(errors[:, 0]))


def test_a_product_of_zeros_errs_by_nothing():
    """Neither by NaN."""
    np.testing.assert_array_equal(errors_of_a_product(jnp.zeros((3, 2)), jnp.ones(2)), 0)


def test_weights_are_not_copied_for_every_step_whose_rounding_is_found():
    """The largest matrix of a network of 300 units would be there 256 times: 64 steps of four runs."""
    units, steps = 300, 64
    weights = jnp.full((units, units), 0.5 / units)

    def look(weights, inputs, key):
        recurrence = Recurrence(lambda s, x: jnp.tanh(weights @ s + x), jnp.zeros(units), inputs, steps)
        return rounding_of_steps(recurrence, jnp.zeros((steps, units)), key)

    compiled = jax.jit(look).lower(weights, jnp.ones((steps, units)), jax.random.key(0)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 20 * weights.nbytes
