"""What the iterations above rely on: exact prefixes, accuracy at length, full precision, programs of fixed size."""

import jax
import jax.numpy as jnp
import linear_members as members
import numpy as np
import pytest

from combinations import crossed, exhaustive, fewer, one_of_each, product
from parascan.linear import DenseTransition, DiagonalTransition, linear_recurrence
from parascan.linear.backends import BACKENDS
from parascan.linear.backends.blocked_scan import layout
from parascan.programs.built_in import here


def equations(jaxpr):
    """All equations of a program, those of its loops and calls included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


@pytest.mark.parametrize(("name", "backend"), fewer(members.CORE_PAIRS, "dense-associative", "dense-chunked"))
def test_rows_before_the_first_offset_stay_zero_and_the_onset_is_bitwise(name, backend):
    T, D, dtype = 13, 5, np.float32
    stored, b, _ = members.draw(name, T, D, dtype)
    transition = members.build(name, stored, D)

    @jax.jit
    def solve(forward, backward):
        return (
            linear_recurrence(transition, forward, backend=backend),
            linear_recurrence(transition, forward, jnp.zeros(D, dtype), backend=backend),
            linear_recurrence(transition, backward, transpose=True, backend=backend),
        )

    for onset in (0, 1, 2, 7, 12):
        forward, backward = b.copy(), b.copy()
        forward[:onset] = 0
        backward[T - onset :] = 0
        at_rest, from_zero, adjoint = map(np.asarray, solve(forward, backward))
        np.testing.assert_array_equal(at_rest[: onset + 1], forward[: onset + 1])
        np.testing.assert_array_equal(from_zero[: onset + 1], forward[: onset + 1])
        np.testing.assert_array_equal(adjoint[T - onset - 1 :], backward[T - onset - 1 :])


@pytest.mark.parametrize(("backend", "transpose", "T"), one_of_each(product(BACKENDS, [False, True], [1, 2, 7, 64])))
def test_first_matrix_is_not_used_from_rest(backend, transpose, T):
    stored, b, _ = members.draw("dense", T, 3, np.float32)
    infinite = stored.copy()
    infinite[0] = np.inf
    given = linear_recurrence(infinite, b, transpose=transpose, backend=backend)
    np.testing.assert_array_equal(given, linear_recurrence(stored, b, transpose=transpose, backend=backend))


def test_overflowing_products_do_not_reach_the_sequential_backend():
    T = 2000
    b = np.zeros((T, 1), np.float32)
    b[-1] = 3
    given = linear_recurrence(np.full((T,), 10, np.float32), b, backend="sequential")
    np.testing.assert_array_equal(given, b)


@pytest.mark.parametrize(("backend", "transpose"), crossed(BACKENDS, [False, True], ["sequential", "contracting"], []))
@pytest.mark.slow
def test_float32_stays_accurate_over_a_hundred_thousand_steps(backend, transpose):
    # Rounding of 1/2 ulp a step, remembered for 1 / (1 - rate) steps: 100 of them at most.
    T, D, rate = 100_000, 4, 0.99
    generator = np.random.default_rng(7)
    turns = np.linalg.qr(generator.standard_normal((T, D, D)))[0]
    A, b = (rate * turns).astype(np.float32), generator.standard_normal((T, D)).astype(np.float32)
    given = linear_recurrence(A, b, transpose=transpose, backend=backend)
    exact = members.adjoint_states(A, b) if transpose else members.states(A.astype(np.float64), b)
    error = np.abs(given - exact).max()
    assert error < 100 * np.finfo(np.float32).eps * np.abs(exact).max() / 2


@pytest.mark.parametrize(("backend", "name", "D"), one_of_each(product(BACKENDS, ["dense", "blocks"], [4, 10])))
def test_every_matrix_product_asks_for_full_precision(backend, name, D):
    stored, b, s0 = members.draw(name, 40, D, np.float32)

    def loss(stored, b, s0):
        transition = members.STRUCTURES[name].build(stored, D)
        return jnp.sum(linear_recurrence(transition, b, s0, backend=backend))

    with jax.default_matmul_precision("bfloat16"):
        program = jax.make_jaxpr(jax.value_and_grad(loss, argnums=(0, 1, 2)))(stored, b, s0)
    precisions = [e.params["precision"] for e in equations(program.jaxpr) if e.primitive.name == "dot_general"]
    highest = jax.lax.Precision.HIGHEST
    assert precisions
    assert all(precision in (highest, (highest, highest)) for precision in precisions)


@pytest.mark.parametrize(
    ("shape", "transpose"), [((3,), True), *exhaustive([((3,), False), ((3, 3), False), ((3, 3), True)])]
)
@pytest.mark.slow
def test_chunked_program_does_not_grow_with_length(shape, transpose):
    def size(T):
        def solve(A, b):
            return linear_recurrence(A, b, transpose=transpose, backend="chunked")

        return len(list(equations(jax.make_jaxpr(solve)(jnp.zeros((T, *shape)), jnp.zeros((T, 3))).jaxpr)))

    assert size(2 * here().products) == size(200 * here().products)
    # Lengths that the chunks do not divide add the padding.
    assert size(2 * here().products + 1) == size(10**6 + 3)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 1000, 1021, 1024, 100_000, 102_400, 10**6 + 3])
def test_chunks_cover_the_length_and_are_bounded(length):
    chunks, rows = layout(length)
    assert 1 <= chunks <= here().products
    assert length <= chunks * rows < length + 2 * max(chunks, rows)
    assert length < here().products or chunks > here().products // 4


@pytest.mark.parametrize("make", [DenseTransition, DiagonalTransition])
def test_second_eager_call_traces_nothing(make):
    traced = []

    class Counted(make):
        def product(self, row, v):
            traced.append(None)
            return super().product(row, v)

    shape = (8, 2, 2) if make is DenseTransition else (8, 2)
    linear_recurrence(Counted(jnp.ones(shape)), jnp.ones((8, 2)))
    first = len(traced)
    linear_recurrence(Counted(2 * jnp.ones(shape)), jnp.zeros((8, 2)))
    assert len(traced) == first > 0
