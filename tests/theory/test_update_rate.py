"""The rate theorem of fixed-point methods: ``e' = L (J - A) e`` near the solution, and what bounds it."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive, fewer, some
from parascan.diagnostics import update_rate
from parascan.diagnostics.forecast.update_rate import ErrorMap
from parascan.problem.flat_recurrence import Recurrence

LENGTH, SIZE = 14, 3

METHODS = {
    "newton": ps.deer(),
    "quasi_newton": ps.quasi_deer(),
    "picard": ps.picard(),
    "jacobi": ps.jacobi(),
    "damped": ps.scale_elk(0.3),
    "clipped": ps.Newton(ps.Diagonal(), clip=0.2),
    "random": ps.Newton(ps.StochasticDiagonal(jax.random.key(4), probes=2)),
}

method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(autouse=True)
def exact_numbers():
    with jax.enable_x64(True):
        yield


def system(curved):
    """A recurrence whose step is linear, or not."""
    draw = np.random.default_rng(3)
    weights, inputs = jnp.asarray(0.5 * draw.normal(size=(SIZE, SIZE))), jnp.asarray(draw.normal(size=(LENGTH, SIZE)))
    step = (lambda s, x: jnp.tanh(weights @ s + x)) if curved else (lambda s, x: weights @ s + x)
    return step, Recurrence(step, jnp.ones(SIZE), inputs, LENGTH)


@eqx.filter_jit
def states_after(problem, solver, states, count=1):
    """An iterate after so many updates."""
    memory = solver.init(problem, states)
    for _ in range(count):
        states, memory = solver.step(problem, ps.solvers.Iterate(states, problem.predictions(states)), memory)
    return states


@eqx.filter_jit
def map_at(problem, solver, truth):
    """The error map at the solution."""
    return ErrorMap.of(solver, problem, truth)


def as_matrix(errors):
    """The error map written out."""
    units = jnp.eye(LENGTH * SIZE).reshape(-1, LENGTH, SIZE)
    return np.asarray(jax.jit(jax.vmap(errors.mv, in_axes=0))(units)).reshape(-1, LENGTH * SIZE).T


def measured(name, curved=True, **options):
    step, problem = system(curved)
    key = jax.random.key(1)
    return update_rate(step, problem.initial, problem.inputs, solver=METHODS[name], key=key, **options)


@pytest.mark.parametrize("name", fewer(METHODS, "picard", "damped", "clipped", "quasi_newton"))
def test_an_update_maps_errors_by_the_error_map_up_to_second_order(name):
    _, problem = system(curved=True)
    truth, solver = problem.trajectory(), METHODS[name]
    errors = map_at(problem, solver, truth)
    error = jax.random.normal(jax.random.key(0), truth.shape)
    left = []
    for size in (1e-2, 1e-3):
        after = states_after(problem, solver, truth + size * error) - truth
        left.append(float(jnp.abs(after - size * errors.mv(error)).max()))
    assert 0 < left[0] < 1e-2
    assert left[1] < left[0] / 50


@pytest.mark.parametrize("name", fewer(METHODS, "damped", "clipped"))
def test_on_a_linear_system_the_error_map_is_exact(name):
    _, problem = system(curved=False)
    truth, solver = problem.trajectory(), METHODS[name]
    error = 1e3 * jax.random.normal(jax.random.key(0), truth.shape)
    after = states_after(problem, solver, truth + error) - truth
    expected = map_at(problem, solver, truth).mv(error)
    np.testing.assert_allclose(after, expected, rtol=1e-10, atol=1e-10)


@method
def test_the_transposed_map_is_the_transposed_matrix(name):
    _, problem = system(curved=True)
    errors = map_at(problem, METHODS[name], problem.trajectory())
    u, v = jax.random.normal(jax.random.key(2), (2, LENGTH, SIZE))
    forward, backward = jax.jit(lambda errors: (jnp.vdot(u, errors.mv(v)), jnp.vdot(errors.transposed_mv(u), v)))(
        errors
    )
    np.testing.assert_allclose(forward, backward, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", some(METHODS, "damped"))
def test_the_factor_is_the_norm_and_lies_between_both_bounds(name):
    updates = 1 if name in ("newton", "jacobi") else 3
    _, problem = system(curved=True)
    matrix = as_matrix(map_at(problem, METHODS[name], problem.trajectory()))
    norm = np.linalg.norm(np.linalg.matrix_power(matrix, updates), 2)
    one = np.linalg.norm(matrix, 2)
    found = measured(name, updates=updates, accuracy=0.02)
    low, high = np.exp(found.log_factor.low), np.exp(found.log_factor.high)
    assert low <= norm <= high
    assert high <= 1.03 * norm
    lower, upper = np.exp(found.log_bounds)
    assert lower <= one <= upper
    assert norm <= upper**updates
    if name == "newton":
        assert upper == 0.0
    else:
        assert upper <= 40 * lower  # neither bound is empty: the linear systems here amplify little


@pytest.mark.slow
def test_jacobi_on_a_scalar_system_has_the_factor_of_a_step():
    shrink = lambda s, x: 0.7 * s + x  # noqa: E731
    run = functools.partial(update_rate, shrink, jnp.ones(1), jnp.ones((30, 1)), solver=ps.jacobi())
    for updates in (1, 5, 29):
        found = run(key=jax.random.key(0), updates=updates)
        assert float(found.per_update) == pytest.approx(0.7, rel=2e-2)
    assert float(run(key=jax.random.key(0), updates=30).log_factor.value) == -np.inf  # T updates are exact


@pytest.mark.slow
def test_picard_on_a_slow_system_has_the_norm_of_a_summation():
    length, rate = 40, 0.01
    found = update_rate(
        lambda s, _: (1 - rate) * s, jnp.ones(1), length=length, solver=ps.picard(), key=jax.random.key(0)
    )
    norm = rate / (2 * np.sin(np.pi / (4 * (length - 1) + 2)))  # the matrix of ones on and below the diagonal
    assert float(found.per_update) == pytest.approx(norm, rel=2e-2)
    assert np.exp(found.log_factor.low) <= norm * (1 + 1e-9)
    assert norm <= np.exp(found.log_factor.high)


@pytest.mark.parametrize(("name", "curved"), exhaustive([("jacobi", True), ("quasi_newton", True), ("picard", False)]))
def test_no_error_shrinks_more_slowly_than_the_factor_and_one_shrinks_as_slowly(name, curved):
    _, problem = system(curved)
    truth, solver, updates = problem.trajectory(), METHODS[name], 3
    found = measured(name, curved, updates=updates)
    size = 1e-5 if curved else 1.0
    power = np.linalg.matrix_power(as_matrix(map_at(problem, solver, truth)), updates)
    worst = np.linalg.svd(power)[2][0].reshape(truth.shape)
    starts = [worst, *np.random.default_rng(0).normal(size=(5, *truth.shape))]
    factors = []
    for start in starts:
        error = size * start / np.linalg.norm(start)
        after = states_after(problem, solver, truth + error, updates) - truth
        factors.append(float(jnp.linalg.norm(after)) / size)
    assert max(factors) <= np.exp(found.log_factor.high) * (1 + 1e-3)
    assert factors[0] >= np.exp(found.log_factor.low) * (1 - 1e-3)
    assert max(factors[1:]) < factors[0]


@pytest.mark.slow
def test_a_rollout_run_backward_and_given_states_are_looked_at_as_they_are():
    step, problem = system(curved=True)
    key, solver = jax.random.key(0), ps.quasi_deer()
    there = update_rate(step, problem.initial, problem.inputs, solver=solver, key=key)
    back = update_rate(step, problem.initial, problem.inputs[::-1], solver=solver, key=key, reverse=True)
    assert float(there.log_factor.value) == pytest.approx(float(back.log_factor.value), rel=1e-9)
    states = ps.rollout(step, problem.initial, problem.inputs).states
    given = update_rate(step, problem.initial, problem.inputs, solver=solver, key=key, states=states)
    assert float(there.log_factor.value) == pytest.approx(float(given.log_factor.value), rel=1e-6)
    other = update_rate(step, problem.initial, problem.inputs, solver=solver, key=key, states=0 * states)
    assert float(there.log_factor.value) != pytest.approx(float(other.log_factor.value), rel=1e-3)


@pytest.mark.slow
def test_a_report_of_one_that_diverges_has_numbers():
    grow = lambda s, x: jnp.array([[1.5, 0.5], [0.5, 1.5]]) @ s  # noqa: E731
    found = update_rate(grow, jnp.ones(2), length=400, solver=ps.quasi_deer(), key=jax.random.key(0), updates=40)
    assert float(found.log_factor.value) > 100
    assert "per update, over 40" in str(found)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"solver": ps.GradientDescent()}, TypeError, "solver: given GradientDescent, expected one of Newton's type"),
        ({"solver": ps.picard}, TypeError, "solver: given picard"),
        ({"updates": 0}, ValueError, "updates"),
        ({"accuracy": 2.0}, ValueError, "accuracy: given 2.0"),
        ({"length": 0}, ValueError, "length"),
    ],
)
def test_what_cannot_be_rated_is_refused(options, error, words):
    settings = {"length": 5, "solver": ps.picard(), "key": jax.random.key(0)} | options
    with pytest.raises(error, match=words):
        update_rate(lambda s, _: 0.5 * s, jnp.ones(1), **settings)
