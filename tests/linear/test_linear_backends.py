"""Every backend, for every structure and shape, gives what a dense solve gives."""

import functools

import jax
import linear_members as members
import numpy as np
import pytest

from combinations import crossed, exhaustive, fewer, one_of_each, some
from parascan.linear import Bidiagonal, linear_recurrence


def both_ways(name, backend, D):
    """Compiled: the states from an initial state, and the adjoint."""

    def compute(stored, b, s0):
        transition = members.STRUCTURES[name].build(stored, D)
        states = linear_recurrence(transition, b, s0, backend=backend)
        return states, linear_recurrence(transition, b, transpose=True, backend=backend)

    return jax.jit(compute)


def assert_solves(given, expected, dtype):
    assert given.dtype == dtype
    assert given.shape == expected.shape
    np.testing.assert_allclose(given, expected, rtol=0, atol=members.tolerance(expected, dtype))


@pytest.mark.parametrize("T", [0, 1, 2, 7, 64])
@pytest.mark.parametrize("D", [1, 2, 5])
@pytest.mark.parametrize("name", members.STRUCTURES)
def test_the_oracle_is_the_dense_solve(name, T, D):
    stored, b, s0 = members.draw(name, T, D, np.float64)
    dense = members.matrices(name, stored, D)
    jacobian = members.bold_jacobian(dense)
    first = b.copy()
    if T:
        first[0] += dense[0] @ s0
    for given, expected in (
        (members.states(dense, b), np.linalg.solve(jacobian, b.ravel())),
        (members.states(dense, b, s0), np.linalg.solve(jacobian, first.ravel())),
        (members.adjoint_states(dense, b), np.linalg.solve(jacobian.T, b.ravel())),
    ):
        np.testing.assert_allclose(given.ravel(), expected, rtol=0, atol=members.tolerance(expected, np.float64))


@pytest.mark.parametrize(
    ("pair", "shape"),
    one_of_each(members.DEFAULT_CASES)
    + exhaustive(case for case in members.CASES if case not in members.DEFAULT_CASES),
)
def test_backend_matches_the_oracle(pair, shape):
    (name, backend), (T, D, dtype) = pair, shape
    stored, b, s0 = members.draw(name, T, D, dtype)
    dense = members.matrices(name, stored, D)
    with jax.enable_x64(dtype == np.float64):
        states, adjoint = both_ways(name, backend, D)(stored, b, s0)
    assert_solves(states, members.states(dense, b, s0), dtype)
    assert_solves(adjoint, members.adjoint_states(dense, b), dtype)


@pytest.mark.parametrize(
    ("name", "backend", "transpose"), fewer(members.WAYS, "dense-associative-True", "dense-chunked-True")
)
def test_batches_come_from_vmap(name, backend, transpose):
    T, D, dtype = 5, 2, np.float32
    drawn = [members.draw(name, T, D, dtype, seed) for seed in range(3)]
    stored, b, _ = jax.tree.map(lambda *x: np.stack(x), *drawn)

    @functools.partial(jax.jit, static_argnums=0)
    def batched(axes, stored, b):
        def one(stored, b):
            return linear_recurrence(members.STRUCTURES[name].build(stored, D), b, transpose=transpose, backend=backend)

        return jax.vmap(one, in_axes=axes)(stored, b)

    solve = members.adjoint_states if transpose else members.states
    shared = batched((None, 0), drawn[0][0], b)
    apart = batched((0, 0), stored, b)
    for index in range(3):
        first = members.matrices(name, drawn[0][0], D)
        own = members.matrices(name, drawn[index][0], D)
        assert_solves(shared[index], solve(first, b[index]), dtype)
        assert_solves(apart[index], solve(own, b[index]), dtype)


@pytest.mark.parametrize("backend", members.BACKENDS)
@pytest.mark.parametrize("transpose", [False, True], ids=["forward", "transposed"])
def test_backends_themselves_handle_zero(backend, transpose):
    # ``linear_recurrence`` needs no backend for it.
    _, b, _ = members.draw("zero", 9, 2, np.float32)
    transition = members.build("zero", np.zeros((9, 0), np.float32), 2)
    given = jax.jit(lambda b: members.BACKENDS[backend].run(transition, b, transpose=transpose))(b)
    np.testing.assert_array_equal(given, b)


@pytest.mark.parametrize("backend", some(members.BACKENDS, "sequential", "associative"))
@pytest.mark.slow
def test_plain_arrays_stand_for_transitions(backend):
    stored, b, s0 = members.draw("dense", 9, 3, np.float32)
    for array, matrices in (
        (stored, stored),
        (stored[:, 0], stored[:, 0, :, None] * np.eye(3)),
        (stored[:, 0, 0], stored[:, :1, :1] * np.eye(3)),
    ):
        given = linear_recurrence(array, b, s0, backend=backend)
        assert_solves(given, members.states(matrices.astype(np.float64), b, s0), np.float32)


@pytest.mark.parametrize(
    ("backend", "name"), crossed(["auto", *members.BACKENDS], ["dense", "zero"], ["chunked"], ["dense"])
)
def test_bidiagonal_is_the_residual_jacobian(name, backend):
    T, D, dtype = 5, 2, np.float32
    stored, b, _ = members.draw(name, T, D, dtype)
    matrix = Bidiagonal(members.build(name, stored, D), backend)
    dense = members.bold_jacobian(members.matrices(name, stored, D))
    calls = (matrix.mv, matrix.transposed_mv, matrix.solve, matrix.transposed_solve)
    given = jax.jit(lambda b: [call(b) for call in calls])(b)
    row = b.ravel()
    expected = dense @ row, dense.T @ row, np.linalg.solve(dense, row), np.linalg.solve(dense.T, row)
    for one, other in zip(given, expected, strict=True):
        assert_solves(one, other.reshape(T, D), dtype)
