"""Anderson acceleration: the mixture by least squares from elsewhere, what it leaves alone, what it saves."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some
from parascan.problem.flat_recurrence import Recurrence
from parascan.solvers import Iterate

LENGTH, SIZE = 40, 3


def slow(s, x):
    """A step that changes its state little: Picard's iteration takes many updates."""
    return s + 0.1 * jnp.sin(x - s)


def problem(dtype=jnp.float64, step=slow, length=LENGTH):
    inputs = jax.random.normal(jax.random.key(0), (length, SIZE), dtype)
    return Recurrence(step, jnp.zeros(SIZE, dtype), inputs, length)


def updates(solver, problem, states, count):
    """Trajectories after each of some updates, without the loop around them."""
    state, found = solver.init(problem, states), [states]
    advance = jax.jit(lambda states, state: solver.step(problem, Iterate(states, problem.predictions(states)), state))
    for _ in range(count):
        states, state = advance(states, state)
        found.append(states)
    return found


def by_hand(inner, problem, memory, trajectories):
    """What must follow the last of some trajectories, by NumPy's least squares over the steps up to each."""
    change = lambda states: updates(inner, problem, states, 1)[1] - states  # noqa: E731
    changes = [np.asarray(change(states)) for states in trajectories]
    last = min(memory, len(trajectories) - 1)
    moves = [np.asarray(trajectories[-1 - k] - trajectories[-2 - k]) for k in range(last)]
    turns = [changes[-1 - k] - changes[-2 - k] for k in range(last)]
    after = np.asarray(trajectories[-1]) + changes[-1]
    residual = np.asarray(trajectories[-1] - problem.predictions(trajectories[-1]))
    first = int(np.argmax(np.any(residual != 0, axis=1))) + 1
    mixed = after.copy()
    for t in range(first, len(after)):
        columns = np.stack([turn[first : t + 1].ravel() for turn in turns], axis=1)
        weights = np.linalg.lstsq(columns, changes[-1][first : t + 1].ravel(), rcond=None)[0]
        mixed[t] -= sum(w * (x[t] + f[t]) for w, x, f in zip(weights, moves, turns, strict=True))
    return mixed


@pytest.mark.parametrize(
    "inner", [ps.picard(), pytest.param(ps.quasi_deer(), marks=pytest.mark.exhaustive)], ids=["picard", "quasi_deer"]
)
def test_an_update_is_the_least_squares_mixture_of_the_steps_up_to_each(inner):
    with jax.enable_x64(True):
        posed = problem(step=lambda s, x: slow(s, x) + 0.05 * jnp.roll(s, 1))
        start = jax.random.normal(jax.random.key(1), (LENGTH, SIZE), float)
        found = updates(ps.Anderson(inner, 2), posed, start, 4)
        for count in (2, 3, 4):
            expected = by_hand(inner, posed, 2, found[:count])
            np.testing.assert_allclose(found[count], expected, rtol=0, atol=1e-9)


def test_the_first_update_is_the_inner_one_to_the_last_bit():
    posed, start = problem(jnp.float32), jnp.ones((LENGTH, SIZE), jnp.float32)
    plain, mixed = (updates(solver, posed, start, 1)[1] for solver in (ps.picard(), ps.Anderson(ps.picard())))
    np.testing.assert_array_equal(plain, mixed)


def test_differences_that_say_nothing_leave_the_inner_update():
    # The same trajectory again: all differences are zero, and the least squares have no single solution.
    posed, start = problem(jnp.float32), jnp.ones((LENGTH, SIZE), jnp.float32)
    solver = ps.Anderson(ps.picard(), 3)
    iterate = Iterate(start, posed.predictions(start))
    state = solver.init(posed, start)
    for _ in range(3):
        mixed, state = solver.step(posed, iterate, state)
    np.testing.assert_array_equal(mixed, updates(ps.picard(), posed, start, 1)[1])


def test_a_mixture_that_overflows_is_the_inner_update_there_and_spoils_no_earlier_step():
    posed = problem(jnp.float32)
    solver = ps.Anderson(ps.picard(), 2)
    found = updates(solver, posed, jnp.ones((LENGTH, SIZE), jnp.float32), 2)
    iterate = Iterate(found[-1], posed.predictions(found[-1]))
    state = solver.init(posed, found[-1])
    _, state = solver.step(posed, Iterate(found[-2], posed.predictions(found[-2])), state)
    spoiled = dataclasses.replace(state, change=state.change.at[30].set(jnp.inf))
    mixed, broken = (solver.step(posed, iterate, each)[0] for each in (state, spoiled))
    plain = updates(ps.picard(), posed, found[-1], 1)[1]
    np.testing.assert_allclose(broken[:30], mixed[:30], rtol=1e-5)
    np.testing.assert_array_equal(broken[30:], plain[30:])
    assert np.any(np.asarray(mixed) != np.asarray(plain))


@pytest.mark.parametrize("memory", some([1, 3], 3))
def test_it_takes_fewer_updates_where_picard_is_slow_and_finds_the_same_states(memory):
    with jax.enable_x64(True):
        xs = jnp.sin(0.1 * jnp.arange(400.0))[:, None] * jnp.ones(2)
        reference = jax.lax.scan(lambda s, x: (slow(s, x),) * 2, jnp.zeros(2), xs)[1]
        plain, mixed = (
            ps.rollout(slow, jnp.zeros(2), xs, solver=solver)
            for solver in (ps.picard(), ps.Anderson(ps.picard(), memory))
        )
        assert 2 * int(mixed.stats.iterations) < int(plain.stats.iterations)
        np.testing.assert_allclose(mixed.states, reference, rtol=0, atol=1e-11)


def test_a_chaotic_map_ends_exactly_within_as_many_updates_as_steps():
    logistic = lambda s, x: 3.9 * s * (1 - s)  # noqa: E731
    reference = jax.lax.scan(lambda s, x: (logistic(s, x),) * 2, jnp.array([0.3]), None, length=60)[1]
    solution = ps.rollout(logistic, jnp.array([0.3]), length=60, solver=ps.Anderson(ps.jacobi()))
    assert bool(solution.result == ps.Result.successful)
    assert int(solution.stats.iterations) <= 60
    np.testing.assert_allclose(solution.states, reference, atol=1e-4)


@pytest.mark.slow
def test_a_plan_counts_its_updates_where_it_is_given():
    xs = jax.random.normal(jax.random.key(2), (2000, 2))
    plan = ps.plan(slow, jnp.zeros(2), xs, solvers=[ps.Anderson(ps.picard())])
    mixed = next(each for each in plan.candidates if each.name.startswith("Anderson"))
    assert 1 <= float(mixed.updates.value) <= 2000


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((ps.Sequential(),), TypeError, "inner: given Sequential"),
        ((ps.picard,), TypeError, "inner: given picard"),
        ((ps.GradientDescent(),), TypeError, "inner: given GradientDescent"),
        ((ps.picard(), 2.5), TypeError, "memory: given 2.5"),
        ((ps.picard(), 0), ValueError, "memory: given 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        ps.Anderson(*arguments)
