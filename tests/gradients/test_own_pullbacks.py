"""Steps with a derivative of the user's own: the gradient is that of ``jax.lax.scan``, whatever the solver."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import fewer, one_of_each, product, some

SIZE = 4


@jax.custom_vjp
def clipped(x):
    return x


clipped.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1e-3, 1e-3),))


@jax.custom_vjp
def rounded(x):
    return jnp.round(8 * x) / 8


rounded.defvjp(lambda x: (rounded(x), None), lambda _, g: (g,))


@jax.custom_vjp
def spike(x, slope):
    return (x > 0).astype(x.dtype)


spike.defvjp(lambda x, slope: (spike(x, slope), (x, slope)), lambda r, g: (g / (1 + jnp.abs(r[1] * r[0])) ** 2, None))


def clipping(weights, state, x):
    state = clipped(jnp.tanh(weights @ state + x))
    return state, state


def straight_through(weights, state, x):
    state = jnp.tanh(rounded(weights) @ state + x)
    return state, rounded(state)


def spiking(weights, state, x):
    fired = spike(state - 1, 10.0)
    return 0.9 * state * (1 - fired) + weights @ fired + x, fired


def inside_a_loop(weights, state, x):
    body = lambda _, s: clipped(jnp.tanh(weights @ s + x))  # noqa: E731
    state = jax.lax.fori_loop(0, 2, body, state)
    return state, jax.lax.cond(jnp.sum(x) > 0, clipped, rounded, state)


def compiled(weights, state, x):
    state = jax.jit(jax.checkpoint(lambda s: clipped(jnp.tanh(weights @ s + x))))(state)
    return state, jax.vmap(clipped)(state)


STEPS = (clipping, straight_through, spiking, inside_a_loop, compiled)
SOLVERS = {
    "default": {},
    "chunks": {"solver": ps.Chunked(chunks=4)},
    "implicit": {"solver": ps.Sequential(), "adjoint": ps.Implicit()},
    "deer": {"solver": ps.deer()},
    "quasi_deer": {"solver": ps.quasi_deer()},
    "blocks": {"solver": ps.MultipleShooting(ps.deer(), 8)},
    "elk": {"solver": ps.elk()},
    "guarded": {"solver": ps.WithFallback(ps.deer())},
}


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


LENGTHS = {"chunks": 128}
"""Steps by solver, where 64 do not suffice: four chunks have at least 32 each."""


def problem(getkey, length=64):
    weights = 0.5 * jax.random.normal(getkey(), (SIZE, SIZE))
    return weights, jax.random.normal(getkey(), (SIZE,)), jax.random.normal(getkey(), (length, SIZE))


def loss(scan, step):
    def value(weights, init, xs):
        carry, ys = scan(functools.partial(step, weights), init, xs)
        return jnp.sum(carry**2) + jnp.sum(ys**3)

    return value


def agree(given, expected, tolerance=1e-7):
    for mine, theirs in zip(jax.tree.leaves(given), jax.tree.leaves(expected), strict=True):
        scale = max(float(jnp.max(jnp.abs(theirs))), 1e-30)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(
    ("name", "step"),
    fewer(one_of_each(product(SOLVERS, STEPS)), "elk-straight_through", "blocks-clipping"),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_gradients_are_those_of_the_plain_loop(name, step, x64, getkey):
    args = problem(getkey, LENGTHS.get(name, 64))
    if step is spiking and name == "elk":
        pytest.skip("a damped method does not settle on thresholds")
    mine = loss(functools.partial(ps.scan, **SOLVERS[name]), step)
    gradient = lambda value: jax.jit(jax.value_and_grad(value, (0, 1, 2)))(*args)  # noqa: E731
    agree(gradient(mine), gradient(loss(jax.lax.scan, step)))


@pytest.mark.parametrize("name", some(["default", "chunks", "deer", "blocks"], "chunks"))
def test_batches_second_order_and_reverse(name, x64, getkey):
    weights, init, xs = problem(getkey, LENGTHS.get(name, 64))
    batch = jnp.stack([xs, -xs])

    def results(scan):
        value = loss(functools.partial(scan, reverse=True), clipping)
        each = jax.vmap(jax.grad(value), (None, None, 0))(weights, init, batch)
        outer = jax.grad(lambda w: jnp.sum(jax.grad(value, 1)(w, init, xs) ** 2))(weights)
        return each, outer

    compiled = jax.jit(results, static_argnums=0)
    agree(compiled(functools.partial(ps.scan, **SOLVERS[name])), compiled(jax.lax.scan), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("length", some([4096, 17984], 4096))
def test_a_gated_cell_at_lengths_that_are_cut(length, getkey):
    arrays, static = eqx.partition(eqx.nn.GRUCell(3, 64, key=getkey()), eqx.is_array)
    xs = jax.random.normal(getkey(), (length, 3))

    def gradient(scan):
        def value(arrays, xs):
            cell = eqx.combine(arrays, static)
            return jnp.mean(scan(lambda h, x: (clipped(cell(x, h)),) * 2, jnp.zeros(64), xs)[1] ** 2)

        return jax.jit(jax.grad(value, (0, 1)))(arrays, xs)

    agree(gradient(ps.scan), gradient(jax.lax.scan), 1e-5)


def test_forward_mode_goes_by_what_the_rule_does_not_touch(getkey):
    """``jax.lax.scan`` takes a tangent that never meets the rule."""
    xs = jax.random.normal(getkey(), (128, SIZE))

    def push(scan):
        step = lambda s, x: (0.5 * s + clipped(x), s)  # noqa: E731
        return jax.jvp(lambda init: scan(step, init, xs)[1], (jnp.ones(SIZE),), (jnp.ones(SIZE),))

    agree(push(functools.partial(ps.scan, solver=ps.Chunked(chunks=4))), push(jax.lax.scan), 1e-6)


def test_iterations_cannot_be_differentiated_and_say_so(getkey):
    weights, init, xs = problem(getkey)
    with pytest.raises(ValueError, match=r"adjoint: given Unrolled\(\) .*custom_vjp.*expected Implicit\(\)"):
        ps.scan(
            functools.partial(clipping, weights), init, xs, solver=ps.deer(), adjoint=ps.Unrolled(), max_iterations=3
        )
