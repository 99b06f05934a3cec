"""Blocks: the limits of their length, their theory, ragged ends and their errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive, some
from parascan.problem.boundaries import Blocked
from parascan.problem.flat_recurrence import ScanProblem
from parascan.problem.signature import resolve


def rnn(length, dtype=jnp.float32, size=3):
    weights = 0.5 * jax.random.normal(jax.random.key(0), (size, size), dtype) / size**0.5
    xs = jax.random.normal(jax.random.key(1), (length, size), dtype)
    return lambda s, x: jnp.tanh(weights @ s + x), jnp.zeros(size, dtype), xs


@pytest.mark.parametrize("block", some([1, 4, 7, 23, 50], 7))
def test_any_block_length_gives_the_sequential_trajectory(block):
    step, init, xs = rnn(23)
    expected = ps.rollout(step, init, xs, solver=ps.Sequential()).states
    solution = ps.rollout(step, init, xs, solver=ps.MultipleShooting(ps.deer(), block))
    np.testing.assert_allclose(solution.states, expected, atol=1e-6)
    assert int(solution.stats.finite_prefix) == 23


@pytest.mark.slow
def test_blocks_of_one_step_are_the_outer_method():
    step, init, xs = rnn(40)
    plain = ps.rollout(step, init, xs, solver=ps.quasi_deer(), history=True)
    blocks = ps.rollout(step, init, xs, solver=ps.MultipleShooting(ps.quasi_deer(), 1), history=True)
    assert int(blocks.stats.iterations) == int(plain.stats.iterations)
    # Filling the blocks applies the step once more to the answer, within its tolerance.
    np.testing.assert_allclose(blocks.states, plain.states, atol=4e-6)
    np.testing.assert_allclose(blocks.history.merit[:3], plain.history.merit[:3], rtol=1e-4)


def test_one_block_of_all_steps_needs_one_update_and_is_sequential_to_the_last_bit():
    step, init, xs = rnn(30)
    solution = ps.rollout(step, init, xs, solver=ps.MultipleShooting(ps.jacobi(), 30))
    np.testing.assert_allclose(solution.states, ps.rollout(step, init, xs).states, atol=1e-7)
    assert int(solution.stats.iterations) == 1
    assert int(solution.stats.exact_prefix) == 30


@pytest.mark.slow
def test_block_jacobi_takes_the_memory_horizon_over_the_block_length():
    def step(s, x):
        return 0.5 * s + x

    def iterations(block):
        solver = ps.MultipleShooting(ps.jacobi(), block)
        criterion = ps.StateError(rtol=0.0, atol=1e-4)
        sol = ps.rollout(step, jnp.ones(1), jnp.ones((240, 1)), solver=solver, criterion=criterion)
        return int(sol.stats.iterations)

    # 0.5^13 is the first power below 1e-4: fourteen steps of memory at most, one more to hand it on.
    assert 12 <= iterations(1) <= 16
    assert iterations(7) <= 3
    assert iterations(20) <= 2


@pytest.mark.exhaustive
def test_burn_in_as_long_as_the_memory_leaves_nothing_to_iterate():
    step, init, xs = rnn(400)
    cold = ps.rollout(step, init, xs, solver=ps.MultipleShooting(ps.jacobi(), 50))
    warm = ps.rollout(step, init, xs, solver=ps.MultipleShooting(ps.jacobi(), 50, burn_in=50))
    assert int(warm.stats.iterations) < int(cold.stats.iterations)


@pytest.mark.parametrize("length", some([400, 403], 403))
@pytest.mark.slow
def test_where_the_burn_in_has_done_no_update_follows(length):
    """The states of the first test are then the answer, also in a batch and where the last block is shorter."""
    step, init, xs = rnn(length)
    solver, criterion = ps.MultipleShooting(ps.deer(), 50, burn_in=50), ps.Merit(1e-8)

    def states(xs):
        solution = ps.rollout(step, init, xs, solver=solver, criterion=criterion)
        return solution.states, solution.stats.iterations

    answer, iterations = states(xs)
    assert int(iterations) == 0
    np.testing.assert_allclose(answer, ps.rollout(step, init, xs, solver=ps.Sequential()).states, atol=1e-5)
    batch = jnp.stack([xs, -xs])
    np.testing.assert_allclose(jax.vmap(states)(batch)[0][1], states(-xs)[0], atol=1e-6)


@pytest.mark.parametrize(
    "adjoint", [ps.Unrolled(), *exhaustive([(ps.Implicit(),)])], ids=lambda adjoint: type(adjoint).__name__
)
def test_gradients_go_through_a_burn_in(adjoint):
    step, init, xs = rnn(60)

    def loss(xs, solver, adjoint=None):
        budget = None if adjoint is None else 4
        return jnp.sum(ps.rollout(step, init, xs, solver=solver, adjoint=adjoint, max_iterations=budget).states ** 2)

    gradient = jax.jit(jax.grad(loss), static_argnums=(1, 2))
    given = gradient(xs, ps.MultipleShooting(ps.deer(), 20, burn_in=20), adjoint)
    np.testing.assert_allclose(given, gradient(xs, ps.Sequential()), atol=1e-4)


@pytest.mark.slow
def test_the_merit_is_a_mean_over_steps_and_not_over_blocks():
    """Of ten jumps and 400 steps: a tolerance between the two means is met by the first iterate already."""
    step, init, xs = rnn(400)
    solver = ps.MultipleShooting(ps.jacobi(), 40)
    first = ps.rollout(step, init, xs, solver=solver, max_iterations=0, guess=jnp.zeros((400, 3)), throw=False)
    ends = [jax.lax.scan(lambda s, x: (step(s, x), None), init, rows)[0] for rows in xs.reshape(10, 40, 3)]
    per_step = float(0.5 * jnp.sum(jnp.stack(ends) ** 2) / 400)
    np.testing.assert_allclose(first.stats.merit, per_step, rtol=1e-4)

    def iterations(tolerance):
        arguments = {"solver": solver, "criterion": ps.Merit(tolerance), "guess": jnp.zeros((400, 3))}
        return int(ps.rollout(step, init, xs, **arguments).stats.iterations)

    assert iterations(2 * per_step) == 0 < iterations(per_step / 2)


@pytest.mark.parametrize(
    ("steps", "exponent", "length"),
    [
        (30_000, -0.0628, 300),
        # A block of 299 would leave a padded one.
        (30_011, -0.0628, 294),
        # Fewer than 16 blocks would forget within themselves.
        (30_000, -0.001, 120),
        (30_000, 0.01, 120),
        (30_000, None, 120),
        (30_000, -float("inf"), 1),
        (1_000_000, None, 1000),
        (10, None, 1),
        (1, -1.0, 1),
    ],
)
def test_the_length_of_fitting_blocks(steps, exponent, length):
    blocks = ps.MultipleShooting.fitting(ps.jacobi(), steps, exponent)
    assert (blocks.length, blocks.burn_in) == (length, length)


def test_fitting_blocks_leave_newton_nothing_to_do():
    observer = ps.systems.get("lorenz_observer", dtype=jnp.float32)
    exponent = observer.facts.exponent_per_time.value * observer.dt
    solver = ps.MultipleShooting.fitting(ps.deer(), 9000, exponent)
    xs = observer.inputs(9000)
    solution = ps.rollout(observer.step, observer.initial_state, xs, solver=solver, criterion=ps.Merit(1e-8))
    assert int(solution.stats.iterations) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((ps.deer(), 0), ValueError, "steps: given 0"),
        ((ps.deer(), 2.5), TypeError, "steps: given 2.5"),
        ((ps.deer(), 10, float("nan")), ValueError, "exponent: given nan"),
        ((ps.deer(), 10, -1.0, 1.0), ValueError, "tolerance: given 1.0"),
        ((ps.Sequential(), 10), TypeError, "outer: given Sequential"),
    ],
)
def test_what_no_blocks_fit_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        ps.MultipleShooting.fitting(*arguments)


@pytest.mark.slow
def test_blocks_lower_the_iterations_of_newton_on_a_chaotic_flow():
    lorenz = ps.systems.get("lorenz")

    def iterations(solver):
        solution = ps.rollout(lorenz.step, lorenz.initial_state, length=300, solver=solver, criterion=ps.Merit(1e-10))
        return int(solution.stats.iterations)

    assert iterations(ps.MultipleShooting(ps.deer(), 50)) <= 6 < iterations(ps.deer())


def test_the_exact_prefix_grows_by_a_block_an_iteration():
    step, init, xs = rnn(60)
    solution = ps.rollout(step, init, xs, solver=ps.MultipleShooting(ps.jacobi(), 7), max_iterations=1, throw=False)
    assert int(solution.stats.iterations) == 1
    assert int(solution.stats.exact_prefix) >= 7


def test_gradients_are_those_of_the_sequential_scan():
    step, init, xs = rnn(23)

    def loss(xs, solver):
        return jnp.sum(ps.rollout(step, init, xs, solver=solver).states ** 2)

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    expected = gradient(xs, ps.Sequential())
    np.testing.assert_allclose(gradient(xs, ps.MultipleShooting(ps.deer(), 5)), expected, atol=1e-5)


def test_a_state_that_overflows_inside_a_block_is_found_and_placed():
    solution = ps.rollout(
        lambda s, x: s**2 + x,
        jnp.full(1, 3.0),
        jnp.zeros((20, 1)),
        solver=ps.MultipleShooting(ps.deer(), 5),
        throw=False,
    )
    expected = ps.rollout(lambda s, x: s**2 + x, jnp.full(1, 3.0), jnp.zeros((20, 1)), throw=False)
    assert bool(solution.result == ps.Result.nonfinite)
    assert int(solution.stats.finite_prefix) == int(expected.stats.finite_prefix)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((ps.Sequential(), 4), TypeError, "outer: given Sequential"),
        ((ps.deer(), 0), ValueError, "length: given 0"),
        ((ps.deer(), 2.5), TypeError, "length: given 2.5"),
        ((ps.deer(), 4, 5), ValueError, "burn_in: given 5, expected 0 to length=4"),
    ],
)
def test_wrong_blocks_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        ps.MultipleShooting(*arguments)


def blocked(step, init, xs, block):
    signature = resolve(step, init, xs, None, scan_form=False)
    return Blocked.of(ScanProblem.of(signature, reverse=False).recurrence, block)


@pytest.mark.parametrize("length", some([400, 403], 403))
def test_blocks_known_to_be_exact_are_not_visited(length):
    """Groups have 16 blocks here: inputs of the first 20 blocks are missing, and those of 16 are not asked for."""
    step, init, xs = rnn(length, size=33)
    coarse = blocked(step, init, xs.at[:80].set(jnp.nan), 4).coarse
    whole = blocked(step, init, xs, 4).coarse
    states = jax.random.normal(jax.random.key(2), (coarse.length, 33))
    vectors = jnp.eye(33)[:2]
    predictions = coarse.knowing(jnp.int32(20)).predictions(states)
    np.testing.assert_array_equal(predictions[:16], states[:16])
    assert bool(jnp.all(jnp.isnan(predictions[16:20])))
    np.testing.assert_allclose(predictions[20:], whole.predictions(states)[20:], rtol=1e-5)
    pushed = coarse.knowing(jnp.int32(16)).pushforward(states, vectors)
    np.testing.assert_array_equal(pushed[:, :16], 0)
    np.testing.assert_allclose(pushed[:, 20:], whole.pushforward(states, vectors)[:, 20:], rtol=1e-4, atol=1e-6)
    assert bool(jnp.all(jnp.isnan(coarse.predictions(states)[:20])))


def test_groups_of_blocks_are_all_of_them():
    """Images and products of blocks in groups are those of one block after the other."""
    step, init, xs = rnn(403, size=33)
    coarse = blocked(step, init, xs, 4).coarse
    states = jax.random.normal(jax.random.key(2), (coarse.length, 33))
    before = coarse.previous(states)
    images = jax.vmap(coarse.advance)(before, coarse.inputs)
    # An entry is a tanh of a sum of entries of size one, as exact as these.
    np.testing.assert_allclose(coarse.predictions(states), images, rtol=1e-5, atol=1e-6)
    vector = jnp.ones(33)
    expected = jax.vmap(lambda s, x: jax.jvp(lambda s: coarse.advance(s, x), (s,), (vector,))[1])(before, coarse.inputs)
    np.testing.assert_allclose(coarse.pushforward(states, vector[None])[0], expected, rtol=1e-4, atol=1e-6)
