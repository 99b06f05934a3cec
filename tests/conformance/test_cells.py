"""Every solver on recurrent cells of recent years: the states and the gradients of ``jax.lax.scan``, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import product

from .cells import CELLS
from .members import SOLVERS
from .test_solvers import times

USUAL = [
    ("quasi_deer", "min_gru"),
    ("jacobi", "min_lstm"),
    ("deer", "lru"),
]
"""Each cell once, but for those that compile for long; further pairs are run by ``make test-all``."""

FITTING = [name for name in SOLVERS if name != "gradient_descent"]
"""All but the one with a fixed learning rate, which suits other problems: on some cells it stalls, and says so."""

PAIRS = [pytest.param(*pair, marks=() if pair in USUAL else pytest.mark.exhaustive) for pair in product(FITTING, CELLS)]


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def posed(name, solver):
    """A cell, as often as the solver needs it."""
    cell = CELLS[name](jax.random.key(7))
    return cell._replace(inputs=jax.tree.map(lambda leaf: jnp.concatenate([leaf] * times(solver)), cell.inputs))


def weighed(states):
    """A number that all states act on, each entry in its own way."""
    return sum(jnp.sum(jnp.sin(leaf + jnp.arange(leaf.size).reshape(leaf.shape))) for leaf in jax.tree.leaves(states))


@pytest.mark.parametrize(("solver", "name"), PAIRS)
def test_states_and_gradients_are_those_of_lax_scan(solver, name):
    cell = posed(name, solver)

    def plain(weights):
        return jax.lax.scan(lambda s, x: (cell.step(weights, s, x),) * 2, cell.initial, cell.inputs)[1]

    def found(weights):
        step = lambda s, x: cell.step(weights, s, x)  # noqa: E731
        return ps.rollout(step, cell.initial, cell.inputs, solver=SOLVERS[solver]()).states

    def with_gradient(states_of):
        loss = lambda weights: (lambda states: (weighed(states), states))(states_of(weights))  # noqa: E731
        (_, states), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(cell.weights)
        return states, gradient

    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)  # noqa: E731
    jax.tree.map(close, with_gradient(found), with_gradient(plain))


def test_the_cells_remember_and_forget():
    """None is a constant, and no state is one of another cell by mistake."""
    ends = []
    for name in CELLS:
        cell = CELLS[name](jax.random.key(7))
        states = jax.lax.scan(lambda s, x, cell=cell: (cell.step(cell.weights, s, x),) * 2, cell.initial, cell.inputs)[
            1
        ]
        moved = [float(jnp.std(leaf, axis=0).min()) for leaf in jax.tree.leaves(states)]
        assert min(moved) > 1e-3
        ends.append(float(weighed(states)))
    assert len(set(ends)) == len(CELLS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "name"),
    [("quasi_deer", "min_gru"), ("quasi_deer", "min_lstm"), ("deer", "lru"), ("deer", "gated_delta")],
)
def test_cells_that_are_linear_in_their_state_take_one_update(solver, name):
    """The first two have diagonal Jacobians, so that quasi-Newton is Newton."""
    cell = posed(name, solver)
    step = lambda s, x: cell.step(cell.weights, s, x)  # noqa: E731
    found = ps.rollout(step, cell.initial, cell.inputs, solver=SOLVERS[solver]())
    assert int(found.stats.iterations) == 1
