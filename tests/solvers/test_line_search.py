"""Backtracking: which length is taken, that nothing gets worse, that it composes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.problem.flat_recurrence import Recurrence
from parascan.solvers import Iterate


def after_one_step(solver, problem, states):
    @jax.jit
    def step(states):
        return solver.step(problem, Iterate(states, problem.predictions(states)), solver.init(problem, states))[0]

    return step(states)


def test_it_takes_the_longest_length_that_decreases_the_merit_enough():
    # At length t the residuals are 1 - t and -50 t^2; the slope of the merit is -1.
    problem = Recurrence(lambda s, x: 50 * s**2, jnp.zeros(1), None, 3)
    states = jnp.asarray([[0.0], [1.0], [50.0]])
    merit = lambda t: 0.5 * ((1 - t) ** 2 + 2500 * t**4)  # noqa: E731
    for decrease, shrink in ((0.9, 0.5), (1e-4, 0.3)):
        expected = next(t for t in shrink ** np.arange(20) if merit(t) <= 0.5 - decrease * t)
        solver = ps.LineSearch(ps.deer(), trials=20, shrink=shrink, decrease=decrease)
        after = after_one_step(solver, problem, states)
        np.testing.assert_allclose(after[:, 0], [0.0, 1 - expected, 50 - 100 * expected], rtol=1e-5)
        np.testing.assert_allclose(problem.merit(after), merit(expected), rtol=1e-4)


def test_too_few_trials_leave_the_states_as_they_are():
    problem = Recurrence(lambda s, x: 50 * s**2, jnp.zeros(1), None, 3)
    states = jnp.asarray([[0.0], [1.0], [50.0]])
    np.testing.assert_array_equal(after_one_step(ps.LineSearch(ps.deer(), trials=1), problem, states), states)


def test_a_full_step_that_is_good_is_the_inner_step_to_the_last_bit():
    problem = Recurrence(lambda s, x: 0.5 * jnp.sin(s) + x, jnp.ones(2), jnp.ones((9, 2)), 9)
    states = jax.random.normal(jax.random.key(0), (9, 2))
    inner = ps.Newton(ps.Full(), damping=0.2, clip=0.3)
    plain, searched = (after_one_step(solver, problem, states) for solver in (inner, ps.LineSearch(inner)))
    np.testing.assert_array_equal(plain, searched)


def test_from_infinite_predictions_any_finite_trial_is_better():
    problem = Recurrence(lambda s, x: s**2 * 0.1, jnp.ones(1), None, 3)
    states = jnp.asarray([[0.1], [1e30], [1.0]])
    repaired = Iterate(states, jnp.where(jnp.isfinite(problem.predictions(states)), problem.predictions(states), 1.0))
    solver = ps.LineSearch(ps.jacobi())
    after = solver.step(problem, repaired, solver.init(problem, states))[0]
    assert np.isfinite(float(problem.merit(after)))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((ps.Sequential(),), TypeError, "inner: given Sequential"),
        ((ps.GradientDescent(),), TypeError, "inner: given GradientDescent"),
        ((ps.deer(), 2.5), TypeError, "trials: given 2.5"),
        ((ps.deer(), 0), ValueError, "trials: given 0"),
        ((ps.deer(), 4, 1.0), ValueError, "shrink: given 1.0"),
        ((ps.deer(), 4, 0.5, 0.0), ValueError, "decrease: given 0.0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        ps.LineSearch(*arguments)
