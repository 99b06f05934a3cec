"""``linear_recurrence`` from the last row to the first, and with one matrix for all steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from combinations import fewer, one_of_each, product
from parascan.linear import (
    BlockTransition,
    DenseTransition,
    DiagonalTransition,
    MatrixFreeTransition,
    ScalarTransition,
    ZeroTransition,
    linear_recurrence,
)

T, D = 7, 4


def drawn(getkey, *shape):
    return 0.5 * jax.random.normal(getkey(), shape)


STRUCTURES = {
    "dense": lambda k: DenseTransition(drawn(k, T, D, D)),
    "diagonal": lambda k: DiagonalTransition(drawn(k, T, D)),
    "scalar": lambda k: ScalarTransition(drawn(k, T), D),
    "block": lambda k: BlockTransition(drawn(k, T, 2, 2, 2), ((2, 0), (1, 3))),
    "matrix_free": lambda k: MatrixFreeTransition(lambda row, v: row @ v, drawn(k, T, D, D), D),
    "zero": lambda k: ZeroTransition(T, D, jnp.float32),
}


def loop(matrices, b, s0, reverse=False):
    """The same by ``jax.lax.scan``."""

    def one(state, row):
        state = row[0] @ state + row[1]
        return state, state

    return jax.lax.scan(one, s0, (matrices, b), reverse=reverse)[1]


@pytest.mark.parametrize("name", fewer(STRUCTURES, "block", "scalar"))
def test_reverse_is_that_of_a_scan(name, getkey):
    transition, b, s0 = STRUCTURES[name](getkey), drawn(getkey, T, D), drawn(getkey, D)
    given = linear_recurrence(transition, b, s0, reverse=True)
    np.testing.assert_allclose(given, loop(transition.as_dense(), b, s0, reverse=True), rtol=1e-5, atol=1e-6)
    without = linear_recurrence(transition, b, reverse=True)
    np.testing.assert_allclose(without, loop(transition.as_dense(), b, 0 * s0, reverse=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", STRUCTURES)
def test_reverse_and_its_adjoint_belong_together(name, getkey):
    transition, b, c = STRUCTURES[name](getkey), drawn(getkey, T, D), drawn(getkey, T, D)
    forward = linear_recurrence(transition, b, reverse=True)
    adjoint = linear_recurrence(transition, c, reverse=True, transpose=True)
    np.testing.assert_allclose(jnp.vdot(c, forward), jnp.vdot(adjoint, b), rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "reverse", "backend"),
    fewer(
        one_of_each(product([(D,), (D, D)], [False, True], ["auto", "sequential", "associative", "chunked"])),
        "(4, 4)-True-chunked",
    ),
)
def test_one_matrix_for_all_steps(shape, reverse, backend, getkey):
    A, b, s0 = drawn(getkey, *shape), drawn(getkey, T, D), drawn(getkey, D)
    matrices = jnp.broadcast_to(jnp.diag(A) if A.ndim == 1 else A, (T, D, D))
    ours = lambda A: linear_recurrence(A, b, s0, reverse=reverse, backend=backend)  # noqa: E731
    both = lambda of: jax.jit(lambda M: (of(M), jax.grad(lambda M: jnp.sum(of(M) ** 2))(M)))  # noqa: E731
    states, gradient = both(ours)(A)
    plain, expected = both(lambda M: loop(M, b, s0, reverse))(matrices)
    np.testing.assert_allclose(states, plain, rtol=1e-5, atol=1e-6)
    expected = expected.sum(0)
    np.testing.assert_allclose(gradient, jnp.diag(expected) if A.ndim == 1 else expected, rtol=1e-4, atol=1e-5)


def test_where_both_readings_fit_rows_are_steps(getkey):
    rows, factors, b = drawn(getkey, D, D), drawn(getkey, D), drawn(getkey, D, D)
    np.testing.assert_array_equal(linear_recurrence(rows, b), linear_recurrence(DiagonalTransition(rows), b))
    np.testing.assert_array_equal(linear_recurrence(factors, b), linear_recurrence(ScalarTransition(factors, D), b))
