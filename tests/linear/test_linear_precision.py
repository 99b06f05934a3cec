"""Low precision: no overflow on the way, wide accumulation, no dependence on the global precision setting."""

import functools

import jax
import jax.numpy as jnp
import linear_members as members
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

import parascan as ps
from combinations import exhaustive
from parascan.linear import DenseTransition, DiagonalTransition, damped_solve, linear_recurrence

T = 128


@functools.partial(jax.jit, static_argnames=("transpose", "backend"))
def solved(A, b, transpose=False, backend="sequential"):
    return linear_recurrence(A, b, transpose=transpose, backend=backend)


def growing_then_forgetting():
    """Matrices whose product over a quarter is 64^32, far beyond float32, and offsets after the growth alone."""
    factors = np.where(np.arange(T) < T // 2, 64.0, 1 / 64)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
    b = np.zeros((T, 2))
    b[T // 2 :] = np.random.default_rng(1).standard_normal((T // 2, 2))
    return factors[:, None, None] * rotation, b


@pytest.mark.parametrize(("backend", "transpose"), [("associative", False), *exhaustive([("chunked", True)])])
def test_a_product_that_overflows_spoils_no_state_that_does_not(backend, transpose):
    dense, b = growing_then_forgetting()
    expected = members.states(dense, b)
    if transpose:
        # Backwards in time, the adjoint of the transposed matrices in reverse runs through the same states.
        dense = np.roll(dense.transpose(0, 2, 1)[::-1], 1, axis=0)
        b, expected = b[::-1], members.adjoint_states(dense, b[::-1])
    given = solved(jnp.asarray(dense, "float32"), jnp.asarray(b, "float32"), transpose, backend)
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)


@pytest.mark.exhaustive
def test_a_growing_direction_that_is_not_entered_does_no_harm():
    diagonal = jnp.broadcast_to(jnp.asarray([8.0, 0.5], "float32"), (T, 2))
    b = jnp.broadcast_to(jnp.asarray([0.0, 1.0], "float32"), (T, 2))
    given = solved(diagonal, b, backend="associative")
    np.testing.assert_array_equal(given[:, 0], 0.0)
    np.testing.assert_allclose(given[-1, 1], 2.0, rtol=1e-6)


def test_states_that_do_overflow_are_seen_and_not_turned_into_numbers():
    A, b = jnp.full((T, 1), 4.0, "float32"), jnp.ones((T, 1), "float32")
    lost = ~jnp.isfinite(solved(A, b))
    assert 60 < int(jnp.argmax(lost)) < 66
    np.testing.assert_array_equal(~jnp.isfinite(solved(A, b, backend="chunked")), lost)


@pytest.mark.parametrize(
    ("backend", "dtype"),
    [("sequential", "bfloat16"), *exhaustive([("chunked", "float16"), ("associative", "bfloat16")])],
)
def test_narrow_dtypes_accumulate_in_float32(backend, dtype):
    # A sum of ones: in bfloat16 alone the sum stops at 256, in float16 at 2048.
    length = 300 if dtype == "bfloat16" else 3000
    given = solved(jnp.ones((length, 1), dtype), jnp.ones((length, 1), dtype), backend=backend)
    assert given.dtype == dtype
    np.testing.assert_allclose(given[-1].astype("float32"), length, rtol=4e-3)


def test_bfloat16_inputs_drive_a_float32_state_at_float32_accuracy():
    xs = jax.random.normal(jax.random.key(0), (500, 3), "bfloat16")
    step = lambda s, x: 0.9 * jnp.sin(s) + x.astype(s.dtype)  # noqa: E731
    solution = ps.rollout(step, jnp.zeros(3, "float32"), xs, solver=ps.deer())
    with jax.enable_x64(True):
        exact = jax.lax.scan(lambda s, x: (step(s, x),) * 2, jnp.zeros(3), xs.astype("float64"))[1]
    assert solution.states.dtype == jnp.float32
    np.testing.assert_allclose(solution.states, exact, rtol=0, atol=2e-5)


@pytest.mark.parametrize("solver", [ps.deer, *exhaustive([(ps.quasi_elk,)])])
def test_a_state_in_bfloat16_is_solved_to_its_own_rounding(solver):
    xs = jax.random.normal(jax.random.key(0), (60, 3), "bfloat16")
    step = lambda s, x: 0.5 * jnp.sin(s) + x  # noqa: E731
    solution = ps.rollout(step, jnp.zeros(3, "bfloat16"), xs, solver=solver())
    exact = jax.lax.scan(lambda s, x: (step(s, x),) * 2, jnp.zeros(3), xs.astype("float32"))[1]
    assert solution.states.dtype == jnp.bfloat16
    assert np.abs(solution.states.astype("float32") - exact).max() < 4 * 2.0**-7 * (1 + np.abs(exact).max())


def matrix_products(jaxpr):
    """Every product of matrices of a program, those of its inner programs included."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            found.append(equation)
        for value in jax.tree.leaves(equation.params, is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr)):
            if isinstance(value, Jaxpr | ClosedJaxpr):
                found += matrix_products(getattr(value, "jaxpr", value))
    return found


HIGHEST = (jax.lax.Precision.HIGHEST,) * 2
PROGRAMS = {
    "recurrence": lambda A, b: linear_recurrence(A, b, backend="chunked"),
    "tree": lambda A, b: linear_recurrence(A, b, transpose=True, backend="associative"),
    "smoother": lambda A, b: damped_solve(DenseTransition(A), b, 0.1),
    "gradient": jax.grad(lambda A, b: jnp.sum(linear_recurrence(A, b, backend="sequential") ** 2)),
    "rollout": lambda A, b: ps.rollout(lambda s, x: jnp.sin(s) + x, b[0], b, solver=ps.Newton(ps.Full("dense"))).states,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_matrix_product_asks_for_full_precision_by_itself(name):
    shapes = jax.ShapeDtypeStruct((64, 12, 12), "float32"), jax.ShapeDtypeStruct((64, 12), "float32")
    products = matrix_products(jax.make_jaxpr(PROGRAMS[name])(*shapes).jaxpr)
    assert products
    assert all(equation.params["precision"] == HIGHEST for equation in products)


def test_narrow_diagonals_are_the_wide_ones_rounded():
    A, b = jnp.full((40, 2), 0.9, "bfloat16"), jnp.ones((40, 2), "bfloat16")
    wide = solved(DiagonalTransition(A.astype("float32")), b.astype("float32"))
    np.testing.assert_array_equal(solved(DiagonalTransition(A), b), wide.astype("bfloat16"))
