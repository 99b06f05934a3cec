"""Every form of a recurrence's Jacobians against ``jax.jacfwd``, one step at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan._jacobian import diagonal, full
from parascan._problem import ScanProblem
from parascan._signature import resolve
from parascan.linear import BlockTransition, DiagonalTransition, ZeroTransition

SIZE, LENGTH = 6, 7


def coupled(weights):
    return lambda s, x: jnp.tanh(weights @ s + x)


def pairs(weights):
    """Coordinates j and j + 3 act on each other, as the cell and hidden value of an LSTM do."""

    def step(s, x):
        first, second = jnp.split(s, 2)
        return jnp.concatenate([jnp.sin(first * second), weights[0, :3] * first + second**2]) + x

    return step


STEPS = {
    "dense": coupled,
    "diagonal": lambda weights: lambda s, x: jnp.sin(weights[0] * s) + x,
    "blocks": pairs,
    "memoryless": lambda weights: lambda s, x: jnp.tanh(weights @ x),
}


def example(name, getkey, dtype):
    """A recurrence, states to linearize at, and its Jacobians by definition."""
    weights = jax.random.normal(getkey(), (SIZE, SIZE), dtype)
    xs = jax.random.normal(getkey(), (LENGTH, SIZE), dtype)
    signature = resolve(STEPS[name](weights), jnp.ones(SIZE, dtype), xs, None, scan_form=False)
    problem = ScanProblem.of(signature, reverse=False).recurrence
    states = jax.random.normal(getkey(), (LENGTH, SIZE), dtype)
    return problem, states, jax.vmap(jax.jacfwd(STEPS[name](weights)))(problem.previous(states), xs)


@pytest.mark.parametrize("form", ["auto", "dense", "matrix_free", "structured"])
@pytest.mark.parametrize("name", STEPS)
def test_full_is_the_jacobian(name, form, dtype, getkey):
    problem, states, expected = example(name, getkey, dtype)
    transition = full(problem, states, form)
    assert transition.dtype == dtype
    np.testing.assert_allclose(transition.as_dense(), expected, rtol=0, atol=16 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("name", STEPS)
def test_diagonal_is_the_diagonal_of_the_jacobian(name, dtype, getkey):
    problem, states, expected = example(name, getkey, dtype)
    given = diagonal(problem, states)
    np.testing.assert_allclose(
        given, jnp.diagonal(expected, axis1=1, axis2=2), rtol=0, atol=16 * float(jnp.finfo(dtype).eps)
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("diagonal", DiagonalTransition), ("blocks", BlockTransition), ("memoryless", ZeroTransition)]
)
def test_structure_is_found_and_stored(name, kind, getkey):
    problem, states, _ = example(name, getkey, jnp.dtype("float32"))
    assert isinstance(full(problem, states), kind)
