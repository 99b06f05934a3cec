"""The plain loop forward with one linear recurrence backward: exact for every system, and light in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some

SIZE, LENGTH = 3, 24
COMBINED = {"solver": ps.Sequential(), "adjoint": ps.Implicit()}


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def arguments(getkey, length=LENGTH):
    weights = 0.6 * jax.random.normal(getkey(), (SIZE, SIZE)) / SIZE**0.5
    return weights, jax.random.normal(getkey(), (SIZE,)), jax.random.normal(getkey(), (length, SIZE))


def loss(scan, **options):
    def value(weights, init, xs):
        def step(carry, x):
            state, count = carry
            state = jnp.tanh(weights @ state + x) + 0.01 * count
            return (state, count + 1), weights[0] * state

        (carry, _), ys = scan(step, (init, 0), xs, **options)
        return jnp.sum(carry**3) + jnp.sum(ys**2)

    return value


def agree(mine, other, tolerance=1e-11):
    for leaf, expected in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("reverse", some([False, True], True))
def test_both_modes_and_second_order(reverse, x64, getkey):
    args = arguments(getkey)
    ours, theirs = loss(ps.scan, reverse=reverse, **COMBINED), loss(jax.lax.scan, reverse=reverse)

    def everything(value):
        push = jax.jvp(value, args, tuple(map(jnp.cos, args)))
        return jax.value_and_grad(value, (0, 1, 2))(*args), push, jax.hessian(value, 1)(*args)

    agree(jax.jit(everything, static_argnums=0)(ours), jax.jit(everything, static_argnums=0)(theirs), 1e-9)


@pytest.mark.parametrize(
    "options",
    [
        COMBINED,
        pytest.param({"solver": ps.MultipleShooting(ps.deer(), length=5)}, marks=pytest.mark.exhaustive),
        pytest.param({"solver": ps.Chunked(chunks=4)}, marks=pytest.mark.exhaustive),
        pytest.param({"solver": ps.quasi_deer()}, marks=pytest.mark.exhaustive),
    ],
    ids=["combined", "blocks", "forgetting", "quasi_deer"],
)
def test_central_differences(options, x64, getkey):
    """Against differences of the plain loop, which know nothing of any rule of differentiation."""
    weights, init, xs = arguments(getkey, length=128)
    plain = jax.jit(loss(jax.lax.scan))
    direction = jnp.sin(jnp.arange(9.0)).reshape(3, 3)
    measured = (plain(weights + 1e-5 * direction, init, xs) - plain(weights - 1e-5 * direction, init, xs)) / 2e-5
    gradient = jax.jit(jax.grad(loss(ps.scan, **options)))(weights, init, xs)
    np.testing.assert_allclose(jnp.vdot(gradient, direction), measured, rtol=1e-8)


def test_batches_in_both_orders(x64, getkey):
    weights, init, xs = arguments(getkey)
    batch = jnp.stack([xs, 2 * xs])

    def both(value):
        total = lambda weights: jnp.sum(jax.vmap(value, (None, None, 0))(weights, init, batch))  # noqa: E731
        return jax.vmap(jax.grad(value), (None, None, 0))(weights, init, batch), jax.grad(total)(weights)

    agree(
        jax.jit(both, static_argnums=0)(loss(ps.scan, **COMBINED)), jax.jit(both, static_argnums=0)(loss(jax.lax.scan))
    )


def test_a_chaotic_system_needs_no_convergence(x64):
    """Where Newton gives up, the derivative grows as the system's does, and is that of the loop."""
    lorenz = ps.systems.get("lorenz")

    def final(scan, start, **options):
        return jnp.sum(scan(lambda s, x: (lorenz.step(s, x), None), start, None, 500, **options)[0])

    start = jnp.asarray(lorenz.initial_state, float)
    ours = jax.jit(jax.grad(lambda s: final(ps.scan, s, **COMBINED)))(start)
    agree(ours, jax.jit(jax.grad(lambda s: final(jax.lax.scan, s)))(start), 1e-7)
    assert float(jnp.max(jnp.abs(ours))) > 10


def test_rollout_reports_what_the_loop_does(x64, getkey):
    weights, init, xs = arguments(getkey)
    solution = ps.rollout(lambda s, x: jnp.tanh(weights @ s + x), init, xs, **COMBINED)
    assert isinstance(solution.solver, ps.Sequential)
    agree(solution.states, ps.rollout(lambda s, x: jnp.tanh(weights @ s + x), init, xs, solver=ps.Sequential()).states)


def temporary_bytes(options, length, size):
    """What the compiler sets aside for the gradient of a gated step, beside arguments and results."""
    weights = jnp.ones((4 * size, size)) / size

    def value(weights, xs):
        def step(s, x):
            a, b, c, d = jnp.split(weights @ s, 4)
            s = jnp.tanh(a + x) * jax.nn.sigmoid(b) + jnp.tanh(c) * jax.nn.sigmoid(d) * s
            return s, None

        run = jax.lax.scan if options is None else lambda *args: ps.scan(*args, **options)
        return jnp.sum(run(step, jnp.zeros(size), xs)[0] ** 2)

    compiled = jax.jit(jax.grad(value)).lower(weights, jnp.ones((length, size))).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_the_peak_of_forward_and_backward_is_a_few_trajectories():
    length, size = 4096, 32
    trajectory = 4 * length * size
    ours, theirs = (temporary_bytes(options, length, size) for options in (COMBINED, None))
    assert ours < 8 * trajectory
    assert ours < 0.75 * theirs
