"""Derivatives with respect to every argument agree with autodiff of a plain loop, to second order."""

import jax
import jax.numpy as jnp
import linear_members as members
import numpy as np
import pytest
from test_linear_numerics import equations

from combinations import fewer
from parascan.linear import DenseTransition, MatrixFreeTransition, linear_recurrence

T, D = 6, 4


def plain_loop(name, arguments, transpose):
    """The recurrence as anyone would write it, with matrices written out, in ``jax.lax.scan``."""
    stored, b = arguments[:2]
    if name == "zero":
        A = jnp.zeros((T, D, D), b.dtype)
    elif name == "matrix_free":
        diagonal, left, right = stored
        A = jax.vmap(jnp.diag)(diagonal) + left[:, :, None] * right[:, None, :]
    elif name == "dense":
        A = stored
    elif name == "diagonal":
        A = jax.vmap(jnp.diag)(stored)
    elif name == "scalar":
        A = stored[:, None, None] * jnp.eye(D)
    else:
        order = np.arange(D).reshape(-1, 2) if name == "blocks" else np.asarray(members.reordering(D))
        A = jnp.zeros((T, D, D), b.dtype).at[:, order[:, :, None], order[:, None, :]].set(stored)

    def step(state, row):
        state = row[0] @ state + row[1]
        return state, state

    if transpose:
        after = jnp.concatenate([A[1:].swapaxes(1, 2), jnp.zeros_like(A[:1])])
        return jax.lax.scan(step, jnp.zeros(D, b.dtype), (after, b), reverse=True)[1]
    return jax.lax.scan(step, arguments[2], (A, b))[1]


def solution(name, backend, arguments, transpose):
    """The same through ``linear_recurrence``."""
    transition = members.STRUCTURES[name].build(arguments[0], D)
    return linear_recurrence(transition, *arguments[1:], transpose=transpose, backend=backend)


def derivatives(solve, point, direction, weights):
    """First derivatives in both modes, second derivatives by both routes through a gradient."""

    def loss(point):
        return jnp.sum(weights * jnp.sin(solve(point)))

    def slope(point):
        gradient = jax.tree.leaves(jax.grad(loss)(point))
        return sum(jnp.vdot(g, d) for g, d in zip(gradient, jax.tree.leaves(direction), strict=True))

    gradient, curvature = jax.jvp(jax.grad(loss), (point,), (direction,))
    return {
        "forward": jax.jvp(solve, (point,), (direction,))[1],
        "reverse": gradient,
        "forward over reverse": curvature,
        "reverse over reverse": jax.grad(slope)(point),
    }


def drawn(name, transpose, seed):
    """Everything the function is differentiated with respect to, or a direction in that space."""
    stored, b, s0 = jax.tree.map(jnp.asarray, members.draw(name, T, D, np.float64, seed))
    return (stored, b) if transpose else (stored, b, s0)


@pytest.mark.parametrize(
    ("name", "backend", "transpose"),
    fewer(members.WAYS, "dense-chunked-True", "dense-associative-True", "reordered_blocks-sequential-False"),
)
def test_derivatives_are_those_of_the_plain_loop(name, backend, transpose):
    with jax.enable_x64(True):
        point, direction = drawn(name, transpose, 0), drawn(name, transpose, 1)
        weights = jnp.asarray(np.random.default_rng(2).standard_normal((T, D)))

        def compare(point, direction, weights):
            mine = derivatives(lambda p: solution(name, backend, p, transpose), point, direction, weights)
            loop = derivatives(lambda p: plain_loop(name, p, transpose), point, direction, weights)
            del loop["reverse over reverse"]  # the same number by a dearer route
            return mine, loop

        mine, loop = jax.jit(compare)(point, direction, weights)
    for given, expected in zip(
        *map(jax.tree.leaves, (mine["forward over reverse"], mine["reverse over reverse"])), strict=True
    ):
        np.testing.assert_allclose(given, expected, rtol=1e-11, atol=1e-11)
    for way in loop:
        for given, expected in zip(jax.tree.leaves(mine[way]), jax.tree.leaves(loop[way]), strict=True):
            # Second derivatives sum over T D entries of a few units.
            np.testing.assert_allclose(given, expected, rtol=1e-11, atol=1e-11, err_msg=way)


@pytest.mark.parametrize("backend", members.BACKENDS)
def test_reverse_mode_is_one_solve_and_one_transposed_solve(backend):
    def program(transform):
        stored, b = members.draw("dense", 64, 3, np.float32)[:2]
        jaxpr = jax.make_jaxpr(transform(lambda A, b: jnp.sum(linear_recurrence(A, b, backend=backend))))(stored, b)
        return [equation.primitive.name for equation in equations(jaxpr.jaxpr)]

    once, twice = program(lambda f: f), program(jax.value_and_grad)
    # Solves inside the second and third function that each solve carries are not run and not counted.
    assert once.count("custom_linear_solve") == 1
    assert twice.count("custom_linear_solve") == 2
    assert twice.count("scan") == 2 * once.count("scan")


@pytest.mark.slow
def test_gradients_are_batched_by_vmap():
    stored, b, s0 = members.draw("dense", T, D, np.float32)
    batch = np.stack([b, 2 * b, -b])

    def loss(b):
        return jnp.sum(linear_recurrence(stored, b, s0, backend="chunked") ** 2)

    gradient = jax.jit(jax.grad(loss))
    together = jax.jit(jax.vmap(jax.grad(loss)))(batch)
    apart = np.stack([gradient(one) for one in batch])
    np.testing.assert_allclose(together, apart, rtol=0, atol=members.tolerance(apart, np.float32))


@pytest.mark.slow
def test_matrix_free_derivatives_reach_a_loop_inside_the_product():
    """A product that is itself the derivative of a small scan, as a block of steps has it."""

    def advance(state, inputs):
        return jax.lax.scan(lambda s, x: (jnp.tanh(s[::-1]) * x, None), state, inputs)[0]

    def product(row, v):
        return jax.jvp(lambda s: advance(s, row[1]), (row[0],), (v,))[1]

    generator = np.random.default_rng(4)
    with jax.enable_x64(True):
        operands = (jnp.asarray(generator.standard_normal((T, 2))), jnp.asarray(generator.standard_normal((T, 3, 2))))
        b = jnp.asarray(generator.standard_normal((T, 2)))

        def loss(operands, transpose, form):
            transition = form(MatrixFreeTransition(product, operands, 2))
            return jnp.sum(linear_recurrence(transition, b, transpose=transpose) ** 2)

        for transpose in (False, True):
            for form in (lambda free: free, lambda free: free.guarded()):
                forms = (form, lambda free: DenseTransition(free.as_dense()))
                free, dense = jax.jit(lambda o, t=transpose, f=forms: [jax.grad(loss)(o, t, each) for each in f])(
                    operands
                )
                for one, other in zip(free, dense, strict=True):
                    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
