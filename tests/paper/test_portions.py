"""A rollout in portions is the rollout in one go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.paper.harness.portions import in_portions
from parascan.paper.harness.store import Iterate

LENGTH = 200


@pytest.fixture
def problem():
    """The Lorenz flow, a guess from which Newton's iterates overflow, and float64 while the test runs."""
    with jax.enable_x64(True):
        yield ps.systems.get("lorenz"), 30 * jax.random.normal(jax.random.key(1), (LENGTH, 3))


def solve(system, guess, size, after=lambda portion: None, **options):
    """Newton's method in portions."""
    options = {"solver": ps.deer(), "criterion": ps.Merit(1e-10), "size": size, "after": after, **options}
    return in_portions(system, None, LENGTH, guess=guess, **options)


def test_portions_add_up_to_one_rollout(problem):
    system, guess = problem
    whole = ps.rollout(
        system.step, system.initial_state, length=LENGTH, solver=ps.deer(), criterion=ps.Merit(1e-10), guess=guess
    )
    seen = []
    found = solve(system, guess, 7, seen.append)
    assert int(whole.stats.repairs) > 0, "the guess is too good to test what overflowing states are put back to"
    assert found.updates == int(whole.stats.iterations) > 14
    np.testing.assert_array_equal(found.solution.states, whole.states)
    assert [portion.updates for portion in seen[:-1]] == list(range(7, found.updates, 7))
    assert [portion.unfinished for portion in seen] == [True] * (len(seen) - 1) + [False]


def test_a_stored_iterate_goes_on_to_the_same_end(problem):
    system, guess = problem
    seen = []
    found = solve(system, guess, 7, seen.append)
    stored = Iterate(np.asarray(seen[1].solution.states), seen[1].updates)
    again = solve(system, guess, 7, start=stored)
    assert again.updates == found.updates
    np.testing.assert_array_equal(again.solution.states, found.solution.states)


@pytest.mark.parametrize("most", [0, 5, 7, 10])
def test_the_budget_ends_a_rollout_that_has_not_succeeded(problem, most):
    system, guess = problem
    found = solve(system, guess, 7, most=most)
    assert found.updates == most
    assert not found.unfinished
    assert bool(found.solution.result == ps.Result.max_iterations_reached)


def test_a_solution_as_guess_takes_no_update(problem):
    system, _ = problem
    states = ps.rollout(system.step, system.initial_state, length=LENGTH).states
    found = solve(system, jnp.asarray(states), 7)
    assert (found.updates, found.unfinished) == (0, False)
