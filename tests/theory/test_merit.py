"""Statements of the paper about the merit and the Jacobian of the residual, against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some

LENGTH, SIZE = 12, 3


@pytest.fixture(autouse=True)
def in_double():
    with jax.enable_x64(True):
        yield


def system(gain, getkey):
    """A step, its inputs, and the residual of a whole trajectory."""
    weights = gain * jax.random.normal(getkey(), (SIZE, SIZE))
    xs = jax.random.normal(getkey(), (LENGTH, SIZE))

    def step(s, x):
        return jnp.tanh(weights @ s + x)

    def residual(states):
        before = jnp.concatenate([jnp.zeros((1, SIZE)), states[:-1]])
        return (states - jax.vmap(step)(before, xs)).ravel()

    return step, xs, residual, weights


def dense(residual, states):
    """The Jacobian of the residual as a matrix."""
    return jax.jacfwd(lambda vector: residual(vector.reshape(LENGTH, SIZE)))(states.ravel())


@pytest.mark.parametrize("gain", some([0.3, 1.0, 3.0], 3.0))
def test_the_merit_is_polyak_lojasiewicz_with_the_measured_singular_value(gain, getkey):
    """Equations 2, 8 and 9: at any states, half the squared gradient is at least sigma_min squared times the merit."""
    step, xs, residual, _ = system(gain, getkey)

    def merit(states):
        return 0.5 * jnp.sum(residual(states) ** 2)

    for _ in range(5):
        states = jax.random.normal(getkey(), (LENGTH, SIZE))
        found = ps.conditioning(step, jnp.zeros(SIZE), xs, states=states, key=getkey())
        slope = jax.grad(merit)(states)
        exact = jnp.linalg.svd(dense(residual, states), compute_uv=False)[-1]
        assert float(found.sigma_min.value) == pytest.approx(float(exact), rel=1e-3)
        assert 0.5 * jnp.sum(slope**2) >= (1 - 1e-3) * float(found.sigma_min.value) ** 2 * merit(states)


def test_the_inverse_of_the_residual_jacobian_is_the_sum_of_its_powers(getkey):
    """Equation 15: with J = I - N, the linear recurrence applies the sum of the powers of N."""
    matrices = jax.random.normal(getkey(), (LENGTH, SIZE, SIZE))
    right = jax.random.normal(getkey(), (LENGTH, SIZE))
    nilpotent = np.zeros((LENGTH * SIZE, LENGTH * SIZE))
    for t in range(1, LENGTH):
        nilpotent[t * SIZE : (t + 1) * SIZE, (t - 1) * SIZE : t * SIZE] = matrices[t]
    powers = sum(np.linalg.matrix_power(nilpotent, k) for k in range(LENGTH))
    found = ps.linear_recurrence(matrices, right)
    np.testing.assert_allclose(np.ravel(found), powers @ np.ravel(right), rtol=1e-9)


def test_the_residual_jacobian_is_as_lipschitz_as_those_of_the_steps(getkey):
    """Theorem 3, for tanh(W s + x): the constant is 4 / (3 sqrt(3)) times the squared norm of W, and it is reached."""
    _, _, residual, weights = system(1.0, getkey)
    curvature = 4 / (3 * np.sqrt(3))

    def ratio(of, first, second):
        return np.linalg.norm(dense(of, first) - dense(of, second), 2) / np.linalg.norm(first - second)

    for scale in (1e-3, 0.1, 1.0):
        first = jax.random.normal(getkey(), (LENGTH, SIZE))
        second = first + scale * jax.random.normal(getkey(), (LENGTH, SIZE))
        assert ratio(residual, first, second) <= curvature * np.linalg.norm(weights, 2) ** 2

    def entrywise(states):
        before = jnp.concatenate([jnp.zeros((1, SIZE)), states[:-1]])
        return (states - jnp.tanh(1.3 * before)).ravel()

    # Where the second derivative of tanh is largest, one entry of one state is moved.
    bent = jnp.full((LENGTH, SIZE), np.arctanh(1 / np.sqrt(3)) / 1.3)
    reached = ratio(entrywise, bent, bent.at[4, 1].add(1e-5))
    assert reached == pytest.approx(curvature * 1.3**2, rel=1e-3)
