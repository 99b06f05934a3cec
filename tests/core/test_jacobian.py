"""Every form of a recurrence's Jacobians against ``jax.jacfwd``, one step at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from combinations import exhaustive, one_of_each, product
from parascan.linear import BlockTransition, DiagonalTransition, ZeroTransition
from parascan.problem.boundaries import Blocked
from parascan.problem.flat_recurrence import ScanProblem
from parascan.problem.jacobian import diagonal, full
from parascan.problem.signature import resolve

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
    return problem, states, jax.jit(jax.vmap(jax.jacfwd(STEPS[name](weights))))(problem.previous(states), xs)


EVERY_FORM = ("auto", "dense", "matrix_free", "structured")
FORMS = [
    (name, form, "float64") for name, form in zip(STEPS, ("matrix_free", "dense", "structured", "auto"), strict=True)
]
FORMS += [(name, "auto", "float32") for name in ("dense", "diagonal", "blocks")]


@pytest.mark.parametrize(
    ("name", "form", "dtype"),
    FORMS + exhaustive(case for case in product(STEPS, EVERY_FORM, ["float32", "float64"]) if case not in FORMS),
    indirect=["dtype"],
)
def test_full_is_the_jacobian(name, form, dtype, getkey):
    problem, states, expected = example(name, getkey, dtype)
    found = jax.jit(lambda states: full(problem, states, form).as_dense())(states)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=16 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize(("name", "dtype"), one_of_each(product(STEPS, ["float32", "float64"])), indirect=["dtype"])
def test_diagonal_is_the_diagonal_of_the_jacobian(name, dtype, getkey):
    problem, states, expected = example(name, getkey, dtype)
    given = jax.jit(lambda states: diagonal(problem, states))(states)
    np.testing.assert_allclose(
        given, jnp.diagonal(expected, axis1=1, axis2=2), rtol=0, atol=16 * float(jnp.finfo(dtype).eps)
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("diagonal", DiagonalTransition), ("blocks", BlockTransition), ("memoryless", ZeroTransition)]
)
def test_structure_is_found_and_stored(name, kind, getkey):
    problem, states, _ = example(name, getkey, jnp.dtype("float32"))
    assert isinstance(full(problem, states), kind)


@pytest.mark.parametrize("block", [1, 3])
def test_columns_of_entries_that_no_step_reads_are_not_computed(block, getkey, monkeypatch):
    """As with an observer some of whose coordinates are replaced by measured ones."""
    weights = jax.random.normal(getkey(), (SIZE, SIZE))
    kept = jnp.asarray([True, False, True, True, False, True])

    def step(s, x):
        return jnp.tanh(weights @ jnp.where(kept, s, x))

    xs = jax.random.normal(getkey(), (LENGTH, SIZE))
    signature = resolve(step, jnp.ones(SIZE), xs, None, scan_form=False)
    problem = ScanProblem.of(signature, reverse=False).recurrence
    problem = problem if block == 1 else Blocked.of(problem, block).coarse
    states = jax.random.normal(getkey(), (problem.length, SIZE))
    pushed = []
    whole = type(problem).pushforward
    monkeypatch.setattr(
        type(problem),
        "pushforward",
        lambda self, states, vectors: pushed.append(vectors) or whole(self, states, vectors),
    )

    @jax.jit
    def both(states):
        expected = jax.vmap(jax.jacfwd(problem.advance))(problem.previous(states), problem.inputs)
        return full(problem, states, "dense").as_dense(), expected

    np.testing.assert_allclose(*both(states), atol=1e-5)
    assert [len(vectors) for vectors in pushed] == [4]


def test_blocks_of_a_step_without_memory_have_no_jacobian(getkey):
    xs = jax.random.normal(getkey(), (LENGTH, SIZE))
    signature = resolve(lambda s, x: jnp.tanh(x), jnp.ones(SIZE), xs, None, scan_form=False)
    coarse = Blocked.of(ScanProblem.of(signature, reverse=False).recurrence, 3).coarse
    given = full(coarse, jnp.zeros((coarse.length, SIZE)), "dense").as_dense()
    np.testing.assert_array_equal(given, jnp.zeros((coarse.length, SIZE, SIZE)))
