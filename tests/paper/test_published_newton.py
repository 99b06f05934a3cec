"""Newton's method in the published arithmetic: its sums, its NaN that stay, its way to count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.paper.experiments.network_published import solved_by_products
from parascan.paper.experiments.published_newton import finite_steps, newton, solved

TOLERANCE = ps.systems.table1.TOLERANCE


@pytest.fixture(autouse=True)
def double():
    """Everything here is in float64."""
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 33])
def test_both_scans_solve_the_linear_recurrence(length):
    random = np.random.default_rng(length)
    matrices, offsets = random.normal(size=(length, 4, 4)) / 2, random.normal(size=(length, 4))
    matrices[0] = 0
    expected, state = [], np.zeros(4)
    for matrix, offset in zip(matrices, offsets, strict=True):
        state = matrix @ state + offset
        expected.append(state)
    np.testing.assert_allclose(solved(jnp.asarray(matrices), jnp.asarray(offsets)), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(solved_by_products(matrices, offsets), expected, rtol=1e-9, atol=1e-11)


def test_the_first_matrix_meets_no_state():
    matrices = jnp.asarray(np.full((2, 1, 1), 3.0)).at[0].set(0)
    np.testing.assert_array_equal(solved(matrices, jnp.asarray([[2.0], [5.0]])), [[2.0], [11.0]])


def run(name, length, **options):
    """The published loop on a system of table 1, from the published guess."""
    system = ps.systems.get(name)
    guess = ps.systems.table1.guess()[:length]
    return newton(system.step, system.initial_state, system.inputs(length), guess, TOLERANCE, **options)


# What is lost to NaN does not depend on T: a shorter run takes as many steps less.
@pytest.mark.parametrize(("name", "length"), exhaustive([("kawczynski_strizhak", 900), ("nose_hoover", 500)]))
def test_a_flow_that_overflows_takes_the_published_count_less_the_steps_that_are_missing(name, length):
    published = ps.systems.table1.ROWS[name].flow.steps
    found = run(name, length)
    assert found.count == published - (ps.systems.table1.LENGTH - length)
    assert found.converged
    assert found.marched
    assert found.shortest < length


def test_steps_appended_at_once_are_those_of_update_after_update():
    at_once, one_by_one = (run("kawczynski_strizhak", 700, marching=marching) for marching in (True, False))
    assert (at_once.count, at_once.converged, at_once.shortest) == (96, True, one_by_one.shortest)
    assert (one_by_one.count, one_by_one.converged) == (96, True)
    assert at_once.marched
    assert not one_by_one.marched


def test_the_library_puts_back_what_overflows_and_takes_a_fraction_of_the_updates():
    system, length = ps.systems.get("kawczynski_strizhak"), 900
    guess = ps.guesses.Given(ps.systems.table1.guess()[:length])
    criterion = ps.Merit(TOLERANCE)
    call = (system.step, system.initial_state, None, length)
    library = ps.rollout(*call, solver=ps.deer(), guess=guess, criterion=criterion)
    assert run("kawczynski_strizhak", length).count > 2 * int(library.stats.iterations)


def test_an_observer_takes_the_published_count_and_nothing_is_lost():
    found = run("lorenz_observer", 900)
    assert (found.count, found.shortest, found.converged) == (3, 900, True)


def test_a_linear_system_counts_as_two_steps():
    guess = jnp.ones((40, 2))
    found = newton(lambda state, x: 0.5 * state + x, jnp.zeros(2), jnp.ones((40, 2)), guess, TOLERANCE)
    assert found.count == 2


def test_a_run_that_never_meets_the_criterion_counts_t():
    guess = jnp.ones((40, 2))
    found = newton(lambda state, x: 0.5 * state + x, jnp.zeros(2), jnp.ones((40, 2)), guess, -1.0)
    assert (found.count, found.converged) == (40, False)


def test_states_after_a_nan_count_as_long_as_a_later_one_is_finite():
    rows = np.zeros((5, 2))
    rows[1, 0] = rows[3:, 1] = np.nan
    assert finite_steps(rows) == 3
    assert finite_steps(np.full((2, 2), np.nan)) == 0
