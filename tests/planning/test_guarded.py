"""A guarded method costs at most its budget and never the answer."""

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from combinations import some


def logistic(rate, length=100, **options):
    return ps.rollout(lambda s, _: rate * s * (1 - s), jnp.asarray(0.3), length=length, **options)


def rnn(key=0, length=200):
    weights = 0.3 * jax.random.normal(jax.random.key(key), (3, 3))
    return lambda s, x: jnp.tanh(weights @ s + x), jnp.zeros(3), jax.random.normal(jax.random.key(1), (length, 3))


def test_a_method_that_keeps_its_promise_is_not_run_again():
    solution = ps.rollout(*rnn(), solver=ps.WithFallback(ps.deer(), budget=20))
    assert not bool(solution.stats.fell_back)
    assert 1 <= int(solution.stats.iterations) <= 6


FIRST = {
    "deer": ps.deer(),
    "quasi_deer": ps.quasi_deer(),
    "blocks": ps.MultipleShooting(ps.deer(), 7),
    "descent": ps.GradientDescent(),
}


@pytest.mark.parametrize("first", some(FIRST, "deer", "blocks"))
def test_a_broken_promise_costs_the_budget_and_gives_the_sequential_states(first):
    solution = logistic(3.9, solver=ps.WithFallback(FIRST[first], ps.Sequential(), budget=4))
    assert bool(solution.stats.fell_back)
    assert int(solution.stats.iterations) <= 4
    assert bool(solution.result == ps.Result.successful)
    plain = logistic(3.9, solver=ps.Sequential())
    assert jnp.array_equal(solution.states, plain.states)
    assert float(solution.stats.residual_norm) == 0
    assert int(solution.stats.finite_prefix) == int(solution.stats.exact_prefix) == 100


def test_scan_falls_back_with_its_outputs():
    step, init, xs = rnn()

    def pair(s, x):
        return (step(s, x), jnp.sum(s))

    guarded = ps.scan(pair, init, xs, solver=ps.WithFallback(ps.deer(), budget=0))
    plain = jax.lax.scan(pair, init, xs)
    assert all(jnp.allclose(a, b, atol=1e-6) for a, b in zip(guarded, plain, strict=True))


def test_a_part_of_the_time_becomes_updates_without_a_clock():
    step, init, xs = rnn(length=2000)
    counts = {
        part: int(ps.rollout(step, init, xs, solver=ps.WithFallback(ps.deer(), budget=part)).stats.iterations)
        for part in (0.01, 0.01, 1e3)
    }
    # A hundredth of the sequential time is not enough for one update on a CPU, a thousand times it for all.
    assert counts == {0.01: 0, 1e3: counts[1e3]}
    assert counts[1e3] >= 2


def test_elements_of_a_batch_fall_back_alone_and_the_loop_is_written_once():
    rates = jnp.array([0.8, 3.9, 0.5])
    run = jax.vmap(lambda rate: logistic(rate, solver=ps.WithFallback(ps.deer(), budget=12)))
    solutions = run(rates)
    assert solutions.stats.fell_back.tolist() == [False, True, False]
    plain = jax.vmap(lambda rate: logistic(rate, solver=ps.Sequential()).states)(rates)
    assert jnp.allclose(solutions.states, plain, atol=1e-5)
    twice = jax.vmap(run)(jnp.stack([rates, rates[::-1]]))
    assert twice.stats.fell_back.tolist() == [[False, True, False]] * 2
    assert jnp.allclose(twice.states[1], plain[::-1], atol=1e-5)


@pytest.mark.parametrize("rate", [2.5, 3.9])
def test_derivatives_are_those_of_the_trajectory_either_way(rate):
    def last(rate, solver):
        return logistic(rate, 25, solver=solver).states[-1]

    guarded = jax.grad(last)(rate, ps.WithFallback(ps.deer(), budget=5))
    plain = jax.grad(last)(rate, ps.Sequential())
    assert jnp.allclose(guarded, plain, rtol=1e-3)


def test_a_system_that_leaves_the_numbers_says_so():
    solution = ps.rollout(
        lambda s, _: s * s * 2, jnp.asarray(2.0), length=50, solver=ps.WithFallback(ps.deer(), budget=3), throw=False
    )
    assert bool(solution.result == ps.Result.nonfinite)
    assert 0 < int(solution.stats.finite_prefix) < 50


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ps.WithFallback(ps.Sequential()), TypeError, "first: given Sequential"),
        (lambda: ps.WithFallback(ps.deer), TypeError, "first: given deer"),
        (lambda: ps.WithFallback(ps.deer(), ps.elk()), TypeError, "fallback: given LevenbergMarquardt"),
        (lambda: ps.WithFallback(ps.deer(), budget=True), TypeError, "budget: given True"),
        (lambda: ps.WithFallback(ps.deer(), budget=-1), ValueError, "budget: given -1"),
        (lambda: ps.WithFallback(ps.deer(), budget=0.0), ValueError, "budget: given 0.0"),
        (lambda: ps.WithFallback(ps.deer(), budget=float("nan")), ValueError, "budget: given nan"),
    ],
)
def test_bad_arguments_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_iterations_that_are_to_be_differentiated_cannot_fall_back():
    with pytest.raises(ValueError, match=r"adjoint: given Unrolled\(\) with WithFallback"):
        logistic(2.5, solver=ps.WithFallback(ps.deer()), adjoint=ps.Unrolled(), max_iterations=5)
