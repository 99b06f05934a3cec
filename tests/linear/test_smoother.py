"""The damped step against dense least squares, for every structure and backend, growing systems included."""

import functools

import jax
import jax.numpy as jnp
import linear_members as members
import numpy as np
import pytest

from combinations import crossed, exhaustive, fewer, some
from parascan.linear import DenseTransition, DiagonalTransition, ScalarTransition, damped_solve, linear_recurrence
from parascan.linear.covariances import solve_by_elimination

BACKENDS = ("sequential", "associative", "chunked")


@functools.partial(jax.jit, static_argnames="backend")
def solved(transition, r, alpha, backend="sequential"):
    return damped_solve(transition, r, alpha, backend=backend)


def least_squares(dense, r, alpha, known=0):
    """The minimizer over the corrections that are not known to be zero, by QR of the stacked matrix."""
    size = r.size
    jacobian = members.bold_jacobian(dense)[:, known * r.shape[1] :]
    stacked = np.concatenate([jacobian, np.sqrt(alpha) * np.eye(size)[:, known * r.shape[1] :]])
    right = -np.concatenate([r.ravel(), np.zeros(size)])
    free = np.linalg.lstsq(stacked, right, rcond=None)[0]
    return np.concatenate([np.zeros(known * r.shape[1]), free]).reshape(r.shape)


# The other structures reach the tree and the chunks as one of these.
PAIRS = [(name, "sequential") for name in members.STRUCTURES]
PAIRS += [("diagonal", "chunked")]
PAIRS += exhaustive([("dense", "associative"), ("dense", "chunked"), ("diagonal", "associative")])


@pytest.mark.parametrize(
    ("name", "backend"), fewer(PAIRS, "diagonal-chunked", "dense-sequential", "reordered_blocks-sequential")
)
def test_it_is_the_dense_least_squares_solution(name, backend):
    T, D = 11, 4
    with jax.enable_x64(True):
        stored, r, _ = members.draw(name, T, D, np.float64)
        dense = members.matrices(name, stored, D)

        @jax.jit
        def solve(stored, r, alpha, known):
            return damped_solve(members.STRUCTURES[name].build(stored, D), r, alpha, known, backend=backend)

        for alpha in (1e-6, 0.3, 50.0):
            for known in (0, 1, 5):
                free = r.copy()
                free[:known] = 0
                given = solve(stored, jnp.asarray(free), alpha, jnp.arange(T) < known)
                np.testing.assert_allclose(given, least_squares(dense, free, alpha, known), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("length", "backend"), crossed([0, 1, 2, 37], BACKENDS, [0, 2], ["sequential"]))
def test_every_length(length, backend):
    with jax.enable_x64(True):
        generator = np.random.default_rng(length)
        diagonal, r = 1.5 * generator.standard_normal((length, 1)), generator.standard_normal((length, 1))
        given = solved(DiagonalTransition(diagonal), jnp.asarray(r), 0.1, backend=backend)
        expected = least_squares(diagonal[:, :, None], r, 0.1) if length else r
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", some(["sequential", "associative"], "sequential"))
def test_a_growing_system_in_float32_stays_finite_and_right(backend):
    T, growth, alpha = 14, 1e6, 1e-2
    generator = np.random.default_rng(0)
    rotation = np.linalg.qr(generator.standard_normal((T, 3, 3)))[0]
    dense, r = growth * rotation, generator.standard_normal((T, 3))
    given = solved(DenseTransition(jnp.asarray(dense, "float32")), jnp.asarray(r, "float32"), alpha, backend=backend)
    expected = least_squares(dense, r, alpha)
    # Products of these matrices are far beyond any floating number; the solution is not.
    np.testing.assert_allclose(given, expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    "transition", some([DenseTransition, DiagonalTransition, ScalarTransition], DenseTransition, ScalarTransition)
)
def test_without_damping_it_is_newtons_step(transition):
    T, D = 30, 2
    generator = np.random.default_rng(1)
    shape = {DenseTransition: (T, D, D), DiagonalTransition: (T, D), ScalarTransition: (T,)}[transition]
    A, r = jnp.asarray(0.5 * generator.standard_normal(shape), "float32"), jnp.ones((T, D), "float32")
    built = transition(A, D) if transition is ScalarTransition else transition(A)
    np.testing.assert_allclose(solved(built, r, 0.0), linear_recurrence(built, -r), rtol=1e-4, atol=1e-5)


def test_narrow_dtypes_are_solved_in_float32_and_returned_as_they_came():
    A, r = jnp.full((50, 2), 0.9, "bfloat16"), jnp.ones((50, 2), "bfloat16")
    given = solved(DiagonalTransition(A), r, 0.1)
    wide = solved(DiagonalTransition(A.astype("float32")), r.astype("float32"), 0.1)
    assert given.dtype == jnp.bfloat16
    np.testing.assert_array_equal(given, wide.astype("bfloat16"))


def test_it_can_be_differentiated():
    with jax.enable_x64(True):
        generator = np.random.default_rng(2)
        A, r = generator.standard_normal((6, 2, 2)), generator.standard_normal((6, 2))

        @jax.jit
        def loss(A):
            return jnp.sum(damped_solve(DenseTransition(A), jnp.asarray(r), 0.5) ** 2)

        gradient, step = jax.jit(jax.grad(loss))(A), 1e-6
        bumped = A.copy()
        bumped[3, 0, 1] += step
        np.testing.assert_allclose(gradient[3, 0, 1], (loss(bumped) - loss(A)) / step, rtol=1e-4)


@pytest.mark.parametrize("size", some([1, 2, 5, 33], 33))
def test_elimination_solves_what_needs_other_rows_first(size):
    a = jnp.roll(jnp.eye(size), 1, axis=0) + 0.1 * jax.random.normal(jax.random.key(size), (size, size))
    b = jax.random.normal(jax.random.key(0), (size, 3))
    assert jnp.allclose(a @ solve_by_elimination(a, b), b, atol=1e-4)
    batch = jax.vmap(solve_by_elimination)(jnp.stack([a, a.T]), jnp.stack([b, b]))
    assert jnp.allclose(a.T @ batch[1], b, atol=1e-4)
