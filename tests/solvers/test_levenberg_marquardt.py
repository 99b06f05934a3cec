"""Levenberg-Marquardt: its step, its damping, and the systems that it exists for."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.linear import damped_solve
from parascan.problem.flat_recurrence import Recurrence
from parascan.solvers import Full, Iterate


def logistic(state, _):
    return 3.9 * state * (1 - state)


def compiled(solver, problem):
    """One step from states and memory."""
    return jax.jit(lambda states, memory: solver.step(problem, Iterate(states, problem.predictions(states)), memory))


def recurrence(length=12):
    return Recurrence(lambda s, x: jnp.sin(3 * s) + x, jnp.ones(2), jnp.ones((length, 2)), length)


def test_the_published_step_is_the_smoother_and_fixed_damping_stays():
    problem, solver = recurrence(), ps.elk(0.5)
    states = jax.random.normal(jax.random.key(0), (12, 2))
    after, memory = compiled(solver, problem)(states, solver.init(problem, states))
    first = states.at[0].set(problem.predictions(states)[0])
    residual = problem.residual(first).at[0].set(0.0)
    known = jnp.arange(12) < 1
    correction = jax.jit(lambda: damped_solve(Full().transition(problem, first, jnp.int32(0)), residual, 0.5, known))
    expected = first + correction()
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)
    assert float(memory.damping) == 0.5


def test_the_merit_never_rises_and_the_damping_falls_where_the_linearization_is_right():
    problem = Recurrence(lambda s, x: 0.9 * s + x, jnp.ones(2), jnp.ones((12, 2)), 12)
    solver = ps.LevenbergMarquardt(Full(), damping=1.0, limits=(1e-3, 1e3))
    states = jnp.zeros((12, 2))
    advance, memory, merits, dampings = compiled(solver, problem), solver.init(problem, states), [], []
    for _ in range(5):
        merits.append(float(problem.merit(states)))
        states, memory = advance(states, memory)
        dampings.append(float(memory.damping))
    assert all(later < earlier for earlier, later in itertools.pairwise(merits[1:]))
    np.testing.assert_allclose(dampings, [1e-1, 1e-2, 1e-3, 1e-3, 1e-3], rtol=1e-5)


def test_a_step_that_would_raise_the_merit_is_not_taken_and_the_damping_grows():
    # Newton's step to the parabola's foot is linear in the second state and off by 50 in the third.
    problem = Recurrence(lambda s, x: 50 * s**2, jnp.zeros(1), None, 3)
    solver = ps.LevenbergMarquardt(Full(), damping=1e-6)
    states = jnp.asarray([[0.1], [1.0], [50.0]])
    after, memory = compiled(solver, problem)(states, solver.init(problem, states))
    np.testing.assert_array_equal(after[:, 0], [0.0, 1.0, 50.0])
    np.testing.assert_allclose(memory.damping, 5e-6, rtol=1e-5)


def test_it_keeps_the_merit_low_where_newton_overflows():
    kwargs = {"length": 60, "guess": ps.guesses.Normal(jax.random.key(1), 3.0), "history": True, "throw": False}
    newton, elk = (
        ps.rollout(logistic, jnp.asarray([0.3]), solver=solver, **kwargs) for solver in (ps.deer(), ps.elk())
    )
    assert np.nanmax(newton.history.merit) > 1e6 * np.nanmax(elk.history.merit)
    assert np.nanmax(elk.history.merit) <= 1.5 * float(elk.history.merit[0])
    assert bool(elk.result == ps.Result.successful)
    assert int(elk.stats.iterations) <= 60
    assert int(elk.stats.repairs) == 0


def test_a_guess_with_infinite_predictions_is_worked_off():
    guess = ps.guesses.Given(jnp.full((20, 1), 1e30), reset=jnp.full((20, 1), 0.5))
    solution = ps.rollout(logistic, jnp.asarray([0.3]), length=20, solver=ps.elk(), guess=guess)
    assert bool(solution.result == ps.Result.successful)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((ps.Full,), TypeError, "linearization: given Full"),
        ((ps.Full(), 0.0), ValueError, "damping: given 0.0, expected a positive"),
        ((ps.Full(), 1.0, (1.0, 0.5)), ValueError, "limits: given"),
        ((ps.Full(), 1.0, (0.0, 0.5)), ValueError, "limits: given"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        ps.LevenbergMarquardt(*arguments)


@pytest.mark.parametrize("solver", exhaustive([(ps.LineSearch(ps.elk()),)]))
def test_the_gradient_is_that_of_sequential_evaluation(solver):
    xs = jax.random.normal(jax.random.key(1), (25, 3))

    def loss(weights, solver):
        states = ps.rollout(lambda s, x: jnp.tanh(weights @ s + x), jnp.zeros(3), xs, solver=solver).states
        return jnp.mean(states**2)

    weights = 0.5 * jax.random.normal(jax.random.key(0), (3, 3))
    found, expected = (jax.jit(jax.grad(lambda w, s=s: loss(w, s)))(weights) for s in (solver, ps.Sequential()))
    np.testing.assert_allclose(found, expected, atol=1e-6)
