"""How one iterate is judged and mended."""

import jax.numpy as jnp
import numpy as np

from parascan.solvers.residuals import Residuals

NAN = float("nan")


def residuals_of(residual, finite=None):
    """Scalar states 1, 2, 3, ... with given residuals."""
    states = jnp.arange(1.0, len(residual) + 1)[:, None]
    finite = jnp.ones(len(residual), bool) if finite is None else jnp.asarray(finite)
    return Residuals(states, states - jnp.asarray(residual)[:, None], finite, len(residual))


def test_the_exact_prefix_and_the_step_after_it_survive_any_proposal():
    given = residuals_of([0.0, 0.0, 0.5, 0.0, 0.5])
    mended = given.keep_exact_prefix(jnp.full((5, 1), NAN))
    np.testing.assert_array_equal(mended[:3], given.predictions[:3])
    assert np.isnan(mended[3:]).all()
    assert int(given.exact_prefix) == 2


def test_a_step_whose_prediction_is_not_finite_is_never_taken_from_it():
    given = residuals_of([0.0, 0.0, 0.0], finite=[True, False, True])
    mended = given.keep_exact_prefix(jnp.full((3, 1), 7.0))
    np.testing.assert_array_equal(mended.ravel(), [1.0, 7.0, 7.0])
    assert (int(given.exact_prefix), int(given.finite_prefix)) == (1, 1)


def test_nothing_after_the_first_non_finite_step_is_judged():
    given = residuals_of([0.5, 2.0, 8.0], finite=[True, True, False])
    np.testing.assert_allclose(given.largest(given.values), [2.0])
    np.testing.assert_allclose(given.merit(), 0.5 * (0.25 + 4) / 3)
    np.testing.assert_allclose(given.defect(), 2.0 / 3.0)


def test_nan_counts_as_infinite():
    given = residuals_of([0.0, NAN])
    assert float(given.largest(given.values)[0]) == np.inf


def test_an_exact_state_has_no_error_whatever_is_proposed():
    given = residuals_of([0.0, 0.0, 0.5])
    np.testing.assert_allclose(given.error(jnp.asarray([[100.0], [NAN], [3.25]])), [0.25])


def test_all_and_none_exact():
    assert int(residuals_of([0.0, 0.0]).exact_prefix) == 2
    assert int(residuals_of([1.0, 0.0]).exact_prefix) == 0
