"""Derivatives of the answer against those of ``jax.lax.scan``, whatever solver found the answer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import parascan as ps
from combinations import exhaustive, fewer, some

SOLVERS = {
    "sequential": ps.Sequential(),
    "dense": ps.Newton(ps.Full("dense")),
    "matrix_free": ps.Newton(ps.Full("matrix_free")),
    "quasi_deer": ps.quasi_deer(),
    "jacobi": ps.jacobi(),
    "gradient_descent": ps.GradientDescent(optax.sgd(0.4)),
}
SIZE, LENGTH = 3, 24


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def arguments(getkey):
    weights = 0.6 * jax.random.normal(getkey(), (SIZE, SIZE)) / SIZE**0.5
    return weights, jax.random.normal(getkey(), (SIZE,)), jax.random.normal(getkey(), (LENGTH, SIZE))


def loss(scan):
    """A loss that reaches weights (closed over), initial state, inputs, carry and outputs."""

    def value(weights, init, xs):
        step = lambda carry, x: (jnp.tanh(weights @ carry + x), weights[0] * carry)  # noqa: E731
        carry, ys = scan(step, init, xs)
        return jnp.sum(carry**3) + jnp.sum(ys**2)

    return value


def ours(name, **options):
    return loss(lambda *args: ps.scan(*args, solver=SOLVERS[name], **options))


theirs = loss(jax.lax.scan)


def agree(mine, other, tolerance=1e-11):
    for leaf, expected in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", fewer(SOLVERS, "gradient_descent", "jacobi"))
def test_reverse_mode(name, x64, getkey):
    args = arguments(getkey)
    gradient = lambda value: jax.jit(jax.grad(value, (0, 1, 2)))(*args)  # noqa: E731
    agree(gradient(ours(name)), gradient(theirs))


@pytest.mark.parametrize("name", some(SOLVERS, "sequential", "dense"))
def test_forward_mode(name, x64, getkey):
    args = arguments(getkey)
    push = lambda value: jax.jit(lambda *t: jax.jvp(value, args, t))(*map(jnp.cos, args))  # noqa: E731
    agree(push(ours(name)), push(theirs))


@pytest.mark.parametrize("name", some(["sequential", "dense", "matrix_free", "quasi_deer"], "matrix_free"))
def test_second_order(name, x64, getkey):
    args = arguments(getkey)
    hessian = lambda value: jax.jit(jax.hessian(value, (0, 1)))(*args)  # noqa: E731
    agree(hessian(ours(name)), hessian(theirs), 1e-10)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", some(["dense", "quasi_deer"], "dense"))
def test_batches_of_gradients(name, x64, getkey):
    weights, init, xs = arguments(getkey)
    batch = jnp.stack([xs, 2 * xs])
    per_example = lambda value: jax.jit(jax.vmap(jax.grad(value), (None, None, 0)))(weights, init, batch)  # noqa: E731
    agree(per_example(ours(name)), per_example(theirs))


@pytest.mark.slow
def test_central_differences(x64, getkey):
    weights, init, xs = arguments(getkey)
    value = ours("dense")
    direction = jnp.sin(jnp.arange(float(weights.size))).reshape(weights.shape)
    width = 1e-5
    measured = (value(weights + width * direction, init, xs) - value(weights - width * direction, init, xs)) / (
        2 * width
    )
    np.testing.assert_allclose(jnp.vdot(jax.grad(value)(weights, init, xs), direction), measured, rtol=1e-8)


def test_states_of_a_tree_with_counter_and_complex_leaf(x64, getkey):
    def final(run, rate):
        step = lambda carry, x: {  # noqa: E731
            "z": 0.5 * carry["z"] * jnp.exp(1j * rate) + x,
            "n": carry["n"] + 1,
            "w": 0.3 * carry["w"] + rate * carry["n"],
        }
        init = {"z": jnp.asarray(1 + 0.5j), "n": jnp.asarray(0), "w": jnp.asarray(0.2)}
        states = run(step, init, jnp.linspace(0.0, 1.0, 12))
        return jnp.sum(jnp.abs(states["z"]) ** 2) + jnp.sum(states["w"])

    parallel = lambda step, init, xs: ps.rollout(step, init, xs, solver=ps.deer()).states  # noqa: E731
    sequential = lambda step, init, xs: jax.lax.scan(lambda c, x: (step(c, x),) * 2, init, xs)[1]  # noqa: E731
    mine, other = (jax.jit(jax.grad(lambda rate, run=run: final(run, rate))) for run in (parallel, sequential))
    for rate in (0.3, 1.1):
        agree(mine(rate), other(rate))


def test_the_guess_and_the_damping_have_no_influence_on_derivatives(x64, getkey):
    weights, init, xs = arguments(getkey)
    step = lambda s, x: jnp.tanh(weights @ s + x)  # noqa: E731

    def value(scale):
        guess = ps.guesses.Given(scale * jnp.ones((LENGTH, SIZE)))
        return ps.rollout(step, init, xs, solver=ps.scale_elk(0.1 * scale), guess=guess).carry.sum()

    assert float(jax.grad(value)(1.0)) == 0.0


def test_a_surrogate_that_closes_over_parameters_leaves_the_derivative_exact(x64, getkey):
    args = arguments(getkey)

    def value(weights, init, xs):
        surrogate = ps.Surrogate(lambda s, x: (0.9 * jnp.tanh(weights @ s + x), s))
        return loss(lambda *a: ps.scan(*a, solver=ps.Newton(surrogate)))(weights, init, xs)

    agree(jax.grad(value)(*args), jax.grad(theirs)(*args))


@pytest.mark.slow
def test_unrolled_differentiates_the_iterations(x64, getkey):
    args = arguments(getkey)
    full = ours("quasi_deer", adjoint=ps.Unrolled(), max_iterations=LENGTH)
    gradient = lambda value: jax.jit(jax.grad(value))(*args)  # noqa: E731
    expected = gradient(theirs)
    agree(gradient(full), expected, 1e-9)
    early = ours("quasi_deer", adjoint=ps.Unrolled(), max_iterations=2, throw=False)
    exact = ours("quasi_deer", max_iterations=2, throw=False)
    unrolled = gradient(early)
    assert not np.allclose(unrolled, expected, rtol=1e-6)
    assert not np.allclose(unrolled, gradient(exact), rtol=1e-6)


@pytest.mark.slow
def test_a_diagonal_solver_does_not_give_a_diagonal_gradient(x64, getkey):
    """The trap of published quasi-Newton code: 22.6 % off when the backward pass uses the solver's diagonal."""
    args = arguments(getkey)
    expected = jax.jit(jax.grad(theirs))(*args)
    agree(jax.jit(jax.grad(ours("quasi_deer")))(*args), expected)
    assert np.any(np.abs(expected - np.diag(np.diag(expected))) > 1e-3)


def test_reverse_scans_have_exact_gradients(x64, getkey):
    args = arguments(getkey)
    mine = loss(lambda f, init, xs: ps.scan(f, init, xs, reverse=True, solver=ps.deer()))
    other = loss(lambda f, init, xs: jax.lax.scan(f, init, xs, reverse=True))
    agree(*(jax.jit(jax.grad(value, (0, 1, 2)))(*args) for value in (mine, other)))


SECOND = {"hessian": jax.hessian, "forward": lambda f: jax.jacfwd(jax.jacfwd(f))}


@pytest.mark.parametrize(
    ("second", "burn_in"), exhaustive([("hessian", 5), ("forward", 0), ("hessian", 0), ("forward", 5)])
)
def test_second_derivatives_through_blocks(second, burn_in, getkey, x64):
    """In JAX 0.10 a room that is not written to is batched under ``jax.vmap``, and so was an answer made in one."""
    weights, init, xs = arguments(getkey)
    solver = ps.MultipleShooting(ps.deer(), 5, burn_in)
    mine = loss(lambda *args: ps.scan(*args, solver=solver))
    agree(*(jax.jit(SECOND[second](lambda init, of=of: of(weights, init, xs)))(init) for of in (mine, theirs)))
