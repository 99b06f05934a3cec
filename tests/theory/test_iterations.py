"""Theorems about the iterations, as tests that can fail."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import fewer, one_of_each, product, single


def linear_system(key, dtype, size, length):
    first, second = jax.random.split(key)
    matrix = 0.8 * jnp.linalg.qr(jax.random.normal(first, (size, size), dtype))[0]
    return lambda s, x: matrix @ s + x, jnp.ones(size, dtype), jax.random.normal(second, (length, size), dtype)


@pytest.mark.parametrize(
    ("form", "size", "dtype"),
    fewer(
        one_of_each(product(["auto", "dense", "matrix_free"], [1, 12], ["float32", "float64"])),
        "auto-1-float32",
        "matrix_free-1-float32",
    ),
    indirect=["dtype"],
)
def test_a_linear_system_takes_newton_exactly_one_iteration(form, size, dtype, getkey):
    step, init, xs = linear_system(getkey(), dtype, size, 300)
    run = functools.partial(ps.rollout, step, init, xs, solver=ps.Newton(ps.Full(form)))
    assert int(run().stats.iterations) == 1
    assert int(run(guess=ps.guesses.Normal(getkey()), criterion=ps.Merit(1e-10)).stats.iterations) == 1


@single
def test_a_linear_diagonal_system_takes_quasi_newton_one_iteration(dtype, getkey):
    decay = jnp.asarray([0.9, -0.5, 0.1], dtype)
    xs = jax.random.normal(getkey(), (200, 3), dtype)
    solution = ps.rollout(lambda s, x: decay * s + x, jnp.zeros(3, dtype), xs, solver=ps.quasi_deer())
    assert int(solution.stats.iterations) == 1


@single
def test_a_random_walk_takes_picard_one_iteration(dtype, getkey):
    xs = jax.random.normal(getkey(), (200, 3), dtype)
    solution = ps.rollout(lambda s, x: s + x, jnp.zeros(3, dtype), xs, solver=ps.picard())
    assert int(solution.stats.iterations) == 1


@single
def test_a_memoryless_system_takes_jacobi_one_iteration(dtype, getkey):
    xs = jax.random.normal(getkey(), (200, 3), dtype)
    solution = ps.rollout(lambda s, x: jnp.sin(x), jnp.zeros(3, dtype), xs, solver=ps.jacobi())
    assert int(solution.stats.iterations) == 1


@pytest.mark.slow
def test_full_damping_is_jacobi(getkey):
    with jax.enable_x64(True):
        step, init, xs = linear_system(getkey(), jnp.float64, 3, 100)
        kwargs = {"guess": ps.guesses.Normal(getkey()), "max_iterations": 5, "throw": False}
        damped = ps.rollout(step, init, xs, solver=ps.scale_elk(1.0), **kwargs)
        jacobi = ps.rollout(step, init, xs, solver=ps.jacobi(), **kwargs)
        np.testing.assert_array_equal(damped.states, jacobi.states)


@pytest.mark.slow
def test_newton_converges_quadratically(getkey):
    with jax.enable_x64(True):
        matrix = 0.5 * jax.random.normal(getkey(), (4, 4)) / 2
        xs = jax.random.normal(getkey(), (100, 4))
        step = lambda s, x: jnp.tanh(matrix @ s + x)  # noqa: E731
        truth = ps.rollout(step, jnp.zeros(4), xs).states
        errors = []
        for budget in range(6):
            solution = ps.rollout(step, jnp.zeros(4), xs, solver=ps.deer(), max_iterations=budget, throw=False)
            errors.append(float(jnp.abs(solution.states - truth).max()))
        fast = [later / earlier**2 for earlier, later in itertools.pairwise(errors) if 1e-7 < earlier < 1e-1]
        assert len(fast) >= 2
        assert max(fast) < 10


@pytest.mark.slow
def test_contraction_bounds_the_rate_of_jacobi(getkey):
    with jax.enable_x64(True):
        rate = 0.6
        xs = jax.random.normal(getkey(), (300,))
        step = lambda s, x: rate * jnp.sin(s) + x  # noqa: E731
        truth = ps.rollout(step, jnp.asarray(0.0), xs).states
        first = float(jnp.abs(truth).max())
        for budget in (1, 4, 9):
            states = ps.rollout(
                step,
                jnp.asarray(0.0),
                xs,
                solver=ps.jacobi(),
                guess=ps.guesses.Zeros(),
                max_iterations=budget,
                throw=False,
            ).states
            assert float(jnp.abs(states - truth).max()) <= rate**budget * first * (1 + 1e-9)


@pytest.mark.slow
def test_an_unpredictable_system_needs_far_more_iterations_than_its_observer(getkey):
    with jax.enable_x64(True):
        counts = {}
        for name in ("lorenz", "lorenz_observer"):
            system = ps.systems.get(name)
            solution = ps.rollout(
                system.step,
                system.initial_state,
                system.inputs(800, key=jax.random.key(0)),
                None if "observer" in name else 800,
                solver=ps.deer(),
                criterion=ps.Merit(1e-10),
                guess=ps.guesses.Normal(getkey()),
            )
            counts[name] = int(solution.stats.iterations)
        assert counts["lorenz_observer"] <= 5
        assert counts["lorenz"] > 100


def test_chaos_is_solved_exactly_within_T_iterations_even_from_overflowing_guesses(getkey):
    with jax.enable_x64(True):
        logistic = lambda s, x: 4.0 * s * (1 - s)  # noqa: E731
        solution = ps.rollout(
            logistic, jnp.asarray(0.3), length=200, solver=ps.deer(), guess=ps.guesses.Normal(getkey(), 1e8)
        )
        reference = jax.lax.scan(lambda s, _: (logistic(s, None),) * 2, jnp.asarray(0.3), None, length=200)[1]
        assert int(solution.stats.iterations) <= 200
        np.testing.assert_allclose(solution.states[:40], reference[:40], rtol=0, atol=1e-3)
