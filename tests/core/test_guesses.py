"""Where iterations start: every guess has the form it promises, and none decides the answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import single


def step(carry, x):
    return {"a": 0.5 * jnp.sin(carry["a"]) + x, "n": carry["n"] + 1}


def arguments(dtype):
    return step, {"a": jnp.full((2,), 0.5, dtype), "n": jnp.asarray(0)}, jnp.linspace(0, 1, 9, dtype=dtype)


def first_iterate(guess, dtype):
    """The states that a budget of zero iterations returns: the guess itself."""
    return ps.rollout(*arguments(dtype), solver=ps.deer(), guess=guess, max_iterations=0, throw=False).states["a"]


@single
def test_repeat_initial_is_the_default(dtype):
    for guess in (None, ps.guesses.RepeatInitial()):
        np.testing.assert_array_equal(first_iterate(guess, dtype), np.full((9, 2), 0.5))


@single
def test_zeros(dtype):
    np.testing.assert_array_equal(first_iterate(ps.guesses.Zeros(), dtype), np.zeros((9, 2)))


@single
def test_normal_and_uniform_follow_their_key_and_dtype(dtype, getkey):
    first, second = getkey(), getkey()
    for rule in (ps.guesses.Normal, ps.guesses.Uniform):
        states = first_iterate(rule(first), dtype)
        assert states.dtype == dtype
        np.testing.assert_array_equal(states, first_iterate(rule(first), dtype))
        assert not np.array_equal(states, first_iterate(rule(second), dtype))
    wide = first_iterate(ps.guesses.Normal(first, 100.0), dtype)
    assert float(jnp.abs(wide).max()) > 10
    within = np.asarray(first_iterate(ps.guesses.Uniform(first, 3.0, 4.0), dtype))
    assert ((within >= 3) & (within <= 4)).all()


@single
def test_a_trajectory_a_solution_and_given_are_the_same_warm_start(dtype):
    solution = ps.rollout(*arguments(dtype), solver=ps.deer())
    for guess in (solution, solution.states, ps.guesses.Given(solution.states)):
        again = ps.rollout(*arguments(dtype), solver=ps.deer(), guess=guess)
        assert int(again.stats.iterations) == 0
        np.testing.assert_array_equal(again.states["a"], solution.states["a"])


@single
def test_given_follows_the_direction_of_time(dtype):
    solution = ps.rollout(*arguments(dtype), reverse=True, solver=ps.deer())
    again = ps.rollout(*arguments(dtype), reverse=True, solver=ps.deer(), guess=solution)
    assert int(again.stats.iterations) == 0


@single
def test_reset_is_where_overflow_goes(dtype):
    logistic = lambda s, _: 4.0 * s * (1 - s)  # noqa: E731
    huge, calm = jnp.full((30,), 1e300 if dtype == jnp.float64 else 1e30, dtype), jnp.full((30,), 0.5, dtype)
    options = {"length": 30, "solver": ps.deer(), "max_iterations": 1, "throw": False}
    kept = ps.rollout(logistic, jnp.asarray(0.3, dtype), guess=ps.guesses.Given(huge), **options)
    reset = ps.rollout(logistic, jnp.asarray(0.3, dtype), guess=ps.guesses.Given(huge, reset=calm), **options)
    assert int(kept.stats.repairs) > 0
    assert float(kept.states[-1]) == float(huge[-1])
    assert float(reset.states[-1]) == 0.5


@pytest.mark.slow
@single
@pytest.mark.parametrize("solver", [ps.deer(), pytest.param(ps.jacobi(), marks=pytest.mark.exhaustive)])
def test_no_guess_decides_the_answer(solver, dtype, getkey):
    reference = ps.rollout(*arguments(dtype)).states["a"]
    for guess in (ps.guesses.Zeros(), ps.guesses.Normal(getkey(), 1e3), ps.guesses.Uniform(getkey(), -9, 9)):
        states = ps.rollout(*arguments(dtype), solver=solver, guess=guess).states["a"]
        np.testing.assert_allclose(states, reference, rtol=0, atol=64 * float(jnp.finfo(dtype).eps))


def test_guesses_may_be_traced(getkey):
    run = jax.jit(lambda key: ps.rollout(*arguments(jnp.float32), solver=ps.deer(), guess=ps.guesses.Normal(key)).carry)
    np.testing.assert_allclose(run(getkey())["a"], run(getkey())["a"], atol=1e-6)
