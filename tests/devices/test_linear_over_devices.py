"""Linear recurrences over devices, forward, transposed and reversed, with their derivatives."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from over_devices import largest_message, mesh_of, placed, spec_of

import parascan as ps
from combinations import exhaustive, fewer, one_of_each
from parascan.linear import BlockTransition, DenseTransition, DiagonalTransition, MatrixFreeTransition, ScalarTransition

T, D = 64, 4


def matrices(form, length):
    rng = np.random.default_rng(0)
    dense = jnp.asarray(rng.normal(size=(length, D, D)) * 0.6)
    return {
        "dense": lambda: DenseTransition(dense),
        "diagonal": lambda: DiagonalTransition(dense[:, 0]),
        "scalar": lambda: ScalarTransition(dense[:, 0, 0], D),
        "block": lambda: BlockTransition(dense[:, None, :2, :2].repeat(2, 1), np.arange(D).reshape(2, 2)),
        "matrix-free": lambda: MatrixFreeTransition(lambda row, v: row @ v, dense, D),
    }[form]()


@pytest.mark.parametrize(
    ("form", "length", "how"),
    fewer(
        one_of_each(
            list(
                product(
                    ["dense", "diagonal", "scalar", "block", "matrix-free"],
                    [T, 61],
                    ["forward", "transpose", "reverse"],
                )
            )
        ),
        "diagonal-61-transpose",
        "dense-64-forward",
        "matrix-free-64-transpose",
    ),
)
def test_states_over_devices(form, length, how):
    mesh = mesh_of("automatic", time=4)
    with jax.enable_x64(True):
        A = matrices(form, length)
        b = jnp.asarray(np.random.default_rng(1).normal(size=(length, D)))
        options = {} if how == "forward" else {how: True}
        s0 = None if how == "transpose" else jnp.ones(D)
        given = ps.linear_recurrence(A, b, s0, mesh=mesh, **options)
        np.testing.assert_allclose(given, ps.linear_recurrence(A, b, s0, **options), atol=1e-12)


@pytest.mark.parametrize(
    ("compiled", "kind"),
    [(True, "automatic"), *exhaustive([(False, "explicit"), (False, "automatic"), (True, "explicit")])],
)
def test_offsets_bring_their_mesh_and_derivatives_stay_on_it(kind, compiled):
    mesh = mesh_of(kind, rows=4)
    with jax.enable_x64(True):
        A, b = matrices("dense", T).slices, jnp.asarray(np.random.default_rng(1).normal(size=(T, D)))
        on_devices = placed(mesh, A, "rows"), placed(mesh, b, "rows")
        options = {"mesh": mesh} if compiled and kind == "automatic" else {}
        solve = lambda A, b: ps.linear_recurrence(A, b, **options)  # noqa: E731
        states = (jax.jit(solve) if compiled else solve)(*on_devices)
        np.testing.assert_allclose(states, ps.linear_recurrence(A, b), atol=1e-12)
        assert spec_of(states) == ("rows",)
        total = lambda A, b, **options: jnp.sum(jnp.sin(ps.linear_recurrence(A, b, **options)))  # noqa: E731
        given = jax.jit(jax.grad(lambda A, b: total(A, b, mesh=mesh), argnums=(0, 1)))(*on_devices)
        expected = jax.grad(total, argnums=(0, 1))(A, b)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), given, expected)
        if compiled:
            assert 0 < largest_message(solve, *on_devices) <= 4 * (D**2 + D)


def test_the_first_matrix_may_be_infinite_and_products_may_overflow():
    """Growth by 4 a step over 1024 steps, which starts from nothing and is of no effect."""
    mesh = mesh_of("automatic", time=4)
    A = jnp.full((1024, 1), 4.0).at[0].set(jnp.inf)
    b = jnp.zeros((1024, 1)).at[-1].set(1.0)
    for transpose in (False, True):
        given = ps.linear_recurrence(A, b[:: -1 if transpose else 1], transpose=transpose, mesh=mesh)
        np.testing.assert_array_equal(given, ps.linear_recurrence(A, b[:: -1 if transpose else 1], transpose=transpose))


def test_a_mesh_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"mesh: given str, expected a jax\.sharding\.Mesh or None"):
        ps.linear_recurrence(jnp.ones((4, 1)), jnp.ones((4, 1)), mesh="time")
