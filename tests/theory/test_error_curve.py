"""Errors of all updates from interpolated systems: the identity, the bound, and closed forms."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.diagnostics.forecast.error_curve import ANGLES, LOG_RADII, error_curve, log_error_after, updates_by_theory
from parascan.diagnostics.forecast.update_rate import ErrorMap
from parascan.problem.flat_recurrence import Recurrence

METHODS = {"quasi_newton": ps.quasi_deer(), "picard": ps.picard(), "jacobi": ps.jacobi(), "damped": ps.scale_elk(0.4)}

method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(autouse=True)
def exact_numbers():
    with jax.enable_x64(True):
        yield


@eqx.filter_jit
def looked_at(problem, solver):
    """The error map at the solution, the error of the initial state repeated, and theory's curve."""
    truth = problem.trajectory()
    errors = ErrorMap.of(solver, problem, truth)
    return errors, problem.initial - truth, error_curve(errors.exact, errors.replaced, problem.initial - truth)


def rotation(length, size=3):
    """A linear system that turns and shrinks, with inputs."""
    draw = np.random.default_rng(5)
    matrix = jnp.asarray(0.9 * np.linalg.qr(draw.normal(size=(size, size)))[0])
    return Recurrence(
        lambda s, x: matrix @ s + x, jnp.ones(size), jnp.asarray(draw.normal(size=(length, size))), length
    )


def successive(errors, error, count):
    """The errors after 0, 1, ... updates ``[count T D]``."""
    return np.asarray(jax.lax.scan(lambda e, _: (errors.mv(e), e), error, None, count)[1])


@method
def test_interpolated_systems_sum_the_errors_of_all_updates(name):
    length = 12
    errors, error, curve = looked_at(rotation(length), METHODS[name])
    each = successive(errors, error, length)
    z = np.exp(LOG_RADII)[:, None] * np.exp(1j * ANGLES)
    sums = np.einsum("rak,ktd->ratd", z[..., None] ** np.arange(length), each)
    expected = np.log(np.abs(sums).max(axis=(1, 3))).T
    np.testing.assert_allclose(curve, expected, rtol=0, atol=1e-7)


@method
def test_theory_bounds_the_errors_and_its_count_is_that_of_the_errors_or_a_little_more(name):
    length, allowed = 150, 1e-10
    errors, error, curve = looked_at(rotation(length), METHODS[name])
    each = successive(errors, error, length + 1)
    sizes, curve = np.abs(each).max(axis=2), np.asarray(curve)
    for updates in (1, 5, 20, 60):
        seen = sizes[updates] > 1e-12
        assert (np.log(sizes[updates][seen]) <= log_error_after(curve, updates)[seen] + 0.1).all()
        assert sizes[updates, :updates].max() == 0
        assert (log_error_after(curve, updates)[:updates] == -np.inf).all()
    foretold = updates_by_theory(curve, math.log(allowed))
    worst = np.maximum.accumulate(sizes, axis=1)
    for end in (10, 60, 150):
        taken = int(np.argmax(worst[:, end - 1] <= allowed))
        assert taken <= foretold[end - 1] <= min(1.15 * taken + 4, end)


def test_jacobi_takes_the_memory_horizon():
    length, rate = 300, 0.8
    system = Recurrence(lambda s, _: rate * s, jnp.ones(1), None, length)
    curve = np.asarray(looked_at(system, METHODS["jacobi"])[2])
    horizon = math.log(1e-10) / math.log(rate)  # the error of the guess tends to one
    # It is where the curve has a kink, between two radii that are apart by this factor.
    between = LOG_RADII[1] / LOG_RADII[0]
    assert horizon - 1 <= updates_by_theory(curve, math.log(1e-10))[-1] <= between * horizon
    assert updates_by_theory(curve, math.log(1e-10))[30] == 31


def test_picard_takes_what_its_series_takes():
    length, rate = 400, 0.01
    system = Recurrence(lambda s, _: (1 - rate) * s, jnp.ones(1), None, length)
    curve = looked_at(system, METHODS["picard"])[2]
    foretold = updates_by_theory(np.asarray(curve), math.log(1e-10))[-1]
    terms = [k for k in range(1, length) if k * math.log(rate * length) - math.lgamma(k + 1) <= math.log(1e-10)]
    series = next(k for k in terms if k > rate * length)
    assert abs(foretold - series) <= 3


def test_newton_takes_one_update_and_overflow_is_no_error():
    grow = Recurrence(lambda s, _: 3.0 * s, jnp.ones(2), None, 600)
    curve = np.asarray(looked_at(grow, ps.deer())[2])
    assert np.isfinite(curve).all()
    curve = np.asarray(looked_at(rotation(100), ps.deer())[2])
    assert updates_by_theory(curve, math.log(1e-10))[-1] <= 3  # the largest radius allows no smaller count
    assert updates_by_theory(np.full((5, len(LOG_RADII)), np.nan), 0.0).tolist() == [1, 2, 3, 4, 5]
