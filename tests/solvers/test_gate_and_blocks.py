"""Linearizations of decisions and of states in parts: their matrices in closed form, and what they save."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.problem.flat_recurrence import Recurrence, ScanProblem
from parascan.problem.signature import resolve

HALF = 0.5 * 0.1
"""Half of a leapfrog step."""


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def jumping(state, x):
    proposal, margin = parts(state, x)
    return jnp.where(margin > 0, proposal, state)


def parts(state, x):
    return 0.5 * state + x, x[0] - jnp.sum(state**2)


def scan_problem(step, init, xs):
    return ScanProblem.of(resolve(step, init, xs, None, scan_form=False), reverse=False).recurrence


@pytest.mark.parametrize("derivative", ["jump", "straight_through", "smooth"])
def test_a_gate_is_the_derivative_that_its_name_says(derivative):
    xs = jnp.asarray([[0.5, 1.0], [-0.5, 0.2], [2.0, -1.0], [0.1, 0.0]])
    states = jax.random.normal(jax.random.key(0), (4, 2))
    problem = scan_problem(jumping, jnp.asarray([0.3, -0.1]), xs)
    found = ps.mcmc.Gate(parts, derivative, 1.7).transition(problem, states, jnp.int32(0)).as_dense()
    taken = 0
    for row, x in enumerate(np.asarray(xs)):
        s = np.asarray(problem.previous(states))[row]
        proposal, margin = 0.5 * s + x, x[0] - s @ s
        soft = 1 / (1 + np.exp(-1.7 * margin))
        weight = soft if derivative == "smooth" else float(margin > 0)
        slope = 0.0 if derivative == "jump" else 1.7 * soft * (1 - soft)
        expected = weight * 0.5 * np.eye(2) + (1 - weight) * np.eye(2) + slope * np.outer(proposal - s, -2 * s)
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=1e-14)
        taken += margin > 0
    assert 0 < taken < len(xs)


def test_a_proposal_that_is_not_finite_leaves_the_derivative_of_staying():
    def broken(state, x):
        return jnp.log(state - 10.0), jnp.asarray(-1.0)

    problem = scan_problem(lambda s, x: s, jnp.ones(2), jnp.zeros((3, 1)))
    found = ps.mcmc.Gate(broken).transition(problem, jnp.ones((3, 2)), jnp.int32(0)).as_dense()
    np.testing.assert_array_equal(found, np.broadcast_to(np.eye(2), (3, 2, 2)))


def coupled(s, x):
    return jnp.tanh(s @ jnp.asarray(np.random.default_rng(0).normal(size=(6, 6))) / 3 + x)


def apart(s, x):
    """Two parts of three entries that act on the same place of the other part alone."""
    place, momentum = s[:3], s[3:]
    return jnp.concatenate([place + jnp.sin(momentum), momentum * jnp.cos(place) + x[:3]])


@pytest.mark.parametrize("step", [coupled, apart])
@pytest.mark.parametrize("size", [2, 3])
def test_blocks_are_those_of_the_dense_jacobian(step, size):
    states = jax.random.normal(jax.random.key(1), (5, 6))
    problem = Recurrence(step, jnp.zeros(6), jax.random.normal(jax.random.key(2), (5, 6)), 5)
    dense = ps.Full("dense").transition(problem, states, jnp.int32(0)).as_dense()
    place = np.arange(6) % (6 // size)
    expected = np.where(place[:, None] == place, dense, 0.0)
    found = ps.mcmc.BlockDiagonal(size).transition(problem, states, jnp.int32(0)).as_dense()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
    assert np.any(expected != dense) == (step is coupled or size == 3)


def test_estimated_blocks_are_right_on_average_and_at_once_where_places_do_not_act_on_one_another():
    states = jax.random.normal(jax.random.key(1), (4, 6))
    inputs = jax.random.normal(jax.random.key(2), (4, 6))
    for step, probes, tolerance in ((apart, 1, 1e-14), (coupled, 20_000, 0.02)):
        problem = Recurrence(step, jnp.zeros(6), inputs, 4)
        exact = ps.mcmc.BlockDiagonal(2).transition(problem, states, jnp.int32(0)).as_dense()
        solver = ps.mcmc.BlockDiagonal(2, jax.random.key(3), probes)
        found = solver.transition(problem, states, jnp.int32(0)).as_dense()
        np.testing.assert_allclose(found, exact, rtol=0, atol=tolerance)
    again = solver.transition(problem, states, jnp.int32(1)).as_dense()
    assert np.any(np.asarray(again) != np.asarray(found))


def leapfrog(state, _):
    """A step of length 0.1 in a potential whose places act on one another weakly."""
    slope = lambda place: jnp.sin(place) + 0.05 * jnp.roll(place, 1)  # noqa: E731
    place, momentum = state
    momentum = momentum - HALF * slope(place)
    place = place + 0.1 * momentum
    return place, momentum - HALF * slope(place)


def test_blocks_of_position_and_momentum_take_fewer_updates_than_a_diagonal():
    start = (jnp.linspace(-1.0, 1.0, 5), jnp.linspace(0.5, -0.5, 5))
    reference = jax.lax.scan(lambda s, x: (leapfrog(s, x),) * 2, start, None, 150)[1]
    counts = {}
    for name, linearization in (
        ("diagonal", ps.Diagonal()),
        ("blocks", ps.mcmc.BlockDiagonal(2)),
        ("stochastic", ps.mcmc.BlockDiagonal(2, jax.random.key(0))),
    ):
        solution = ps.rollout(leapfrog, start, length=150, solver=ps.Newton(linearization))
        counts[name] = int(solution.stats.iterations)
        for leaf, expected in zip(solution.states, reference, strict=True):
            np.testing.assert_allclose(leaf, expected, rtol=0, atol=1e-10)
    assert 3 * counts["blocks"] < counts["diagonal"], counts
    assert counts["stochastic"] < counts["diagonal"], counts


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: ps.mcmc.Gate(3), TypeError, "parts: given int"),
        (lambda: ps.mcmc.Gate(parts, "soft"), ValueError, "derivative: given 'soft'"),
        (lambda: ps.mcmc.Gate(parts, sharpness=0.0), ValueError, "sharpness: given 0.0"),
        (lambda: ps.mcmc.Gate(parts, linearization=ps.deer()), TypeError, "linearization: given Newton"),
        (lambda: ps.mcmc.BlockDiagonal(1), ValueError, "size: given 1"),
        (lambda: ps.mcmc.BlockDiagonal(2.0), TypeError, "size: given 2.0"),
        (lambda: ps.mcmc.BlockDiagonal(2, probes=0), ValueError, "probes: given 0"),
        (
            lambda: ps.rollout(lambda s, x: s, jnp.zeros(3), length=4, solver=ps.Newton(ps.mcmc.BlockDiagonal(2))),
            ValueError,
            "size: given 2 for a state of 3 entries",
        ),
    ],
)
def test_wrong_arguments_are_refused(build, error, text):
    with pytest.raises(error, match=text):
        build()
