"""Every transition does what its matrices, written out, do."""

import jax
import jax.numpy as jnp
import linear_members as members
import numpy as np
import pytest

from combinations import pairwise, product
from parascan.linear import (
    AbstractComposableTransition,
    BlockTransition,
    DenseTransition,
    DiagonalTransition,
    MatrixFreeTransition,
    ScalarTransition,
)

T = 6
SIZES, DTYPES = [1, 2, 11], ["float32", "float64"]
COMPOSABLE = [name for name, structure in members.STRUCTURES.items() if structure.composable]


def every(names):
    """Structures of every size in either precision."""
    cases = pairwise(product(names, SIZES, DTYPES))
    return pytest.mark.parametrize(("name", "D", "dtype"), cases, indirect=["dtype"])


structures = every(list(members.STRUCTURES))


def assert_close(given, expected):
    assert given.dtype != np.float64 or given.dtype == jnp.zeros(()).dtype
    np.testing.assert_allclose(given, expected, rtol=0, atol=members.tolerance(expected, given.dtype))


@pytest.fixture
def example(name, D, dtype):
    """A transition, its matrices in numpy, and a trajectory to act on."""
    stored, v, _ = members.draw(name, T, D, dtype)
    return members.build(name, stored, D), members.matrices(name, stored, D), v


@structures
def test_facts(example, D, dtype):
    transition, _, _ = example
    assert (transition.length, transition.size, transition.dtype) == (T, D, dtype)


@structures
def test_products_are_those_of_the_matrices(example, dtype):
    transition, dense, v = example
    found = jax.jit(lambda v: (transition.apply(v), transition.apply_transposed(v), transition.as_dense()))(v)
    assert [each.dtype for each in found] == [dtype] * 3
    expected = np.einsum("tij,tj->ti", dense, v), np.einsum("tij,ti->tj", dense, v), dense
    for given, other in zip(found, expected, strict=True):
        assert_close(given, other)


@structures
def test_one_row_is_one_matrix(example):
    transition, dense, v = example

    @jax.jit
    def both(index, v):
        row = transition.row(index)
        return transition.product(row, v), transition.transposed_product(row, v)

    forward, backward = both(3, v[0])
    assert_close(forward, dense[3] @ v[0])
    assert_close(backward, dense[3].T @ v[0])


@every(COMPOSABLE)
def test_composition_is_the_matrix_product(example):
    transition, dense, v = example
    assert isinstance(transition, AbstractComposableTransition)
    kinds = []

    @jax.jit
    def composed(v):
        row = transition.compose(transition.row(4), transition.row(1))
        both = transition.with_slices(jax.vmap(transition.compose, axis_size=T)(transition.slices, transition.slices))
        kinds.append(type(both))
        return transition.product(row, v), both.as_dense()

    one, all_of_them = composed(v[0])
    assert kinds == [type(transition)]
    assert_close(one, dense[4] @ dense[1] @ v[0])
    assert_close(all_of_them, dense @ dense)


@structures
def test_scaled_and_clipped(example, D, dtype):
    transition, dense, _ = example
    kinds = []

    @jax.jit
    def changed(factor):
        scaled, clipped = transition.scale(0.25), transition.clip(0.1)
        kinds.extend([type(scaled), scaled.dtype, clipped.dtype])
        return scaled.as_dense(), transition.scale(factor).as_dense(), clipped.as_dense()

    found = changed(jnp.asarray(-2, dtype))
    assert kinds == [type(transition), dtype, dtype]
    for given, expected in zip(found, (0.25 * dense, -2 * dense, np.clip(dense, -0.1, 0.1)), strict=True):
        assert_close(given, expected)


@structures
def test_guarded_changes_nothing_that_is_finite(example):
    transition, dense, v = example
    guarded = transition.guarded()
    assert type(guarded) is type(transition)
    whole, transposed = jax.jit(lambda v: (guarded.as_dense(), guarded.apply_transposed(v)))(v)
    assert_close(whole, dense)
    assert_close(transposed, np.einsum("tij,ti->tj", dense, v))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_guarded_puts_zero_for_entries_that_are_not_finite(bad):
    for transition in (
        DenseTransition(np.full((2, 2, 2), 0.5).astype(np.float32)),
        BlockTransition(np.full((2, 1, 2, 2), 0.5).astype(np.float32)),
        DiagonalTransition(np.full((2, 2), 0.5).astype(np.float32)),
        ScalarTransition(np.full((2,), 0.5).astype(np.float32), 2),
    ):
        broken = transition.with_slices(transition.slices.ravel().at[0].set(bad).reshape(transition.slices.shape))
        expected = transition.slices.ravel().at[0].set(0).reshape(transition.slices.shape)
        np.testing.assert_array_equal(broken.guarded().slices, expected)


def test_guarded_drops_a_whole_matrix_whose_entries_cannot_be_seen():
    stored = jnp.array([[[1.0, 2.0], [3.0, 4.0]], [[np.inf, 2.0], [3.0, 4.0]], [[1.0, np.nan], [3.0, 4.0]]])
    guarded = MatrixFreeTransition(lambda row, v: row @ v, stored, 2).guarded()
    v = jnp.array([[1.0, -1.0], [1.0, -1.0], [0.0, 0.0]])
    np.testing.assert_array_equal(guarded.apply(v), [[-1.0, -1.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(guarded.apply_transposed(v), [[-2.0, -2.0], [0.0, 0.0], [0.0, 0.0]])


def test_matrix_free_takes_the_dtype_of_the_first_floating_operand_or_the_given_one():
    operands = (jnp.arange(3), jnp.ones((3, 2), jnp.float16), jnp.ones(3, jnp.float32))

    def product(row, v):
        return row[1].astype(v.dtype) * v

    assert MatrixFreeTransition(product, operands, 2).dtype == jnp.float16
    assert MatrixFreeTransition(product, operands, 2, jnp.float32).dtype == jnp.float32


def test_permutation_may_be_nested_or_flat_or_an_array():
    blocks = np.random.default_rng(3).standard_normal((2, 2, 2, 2)).astype(np.float32)
    nested = ((3, 0), (1, 2))
    forms = [nested, (3, 0, 1, 2), np.array(nested)]
    dense = [BlockTransition(blocks, form).as_dense() for form in forms]
    np.testing.assert_array_equal(dense[0], dense[1])
    np.testing.assert_array_equal(dense[0], dense[2])
    assert jax.tree.structure(BlockTransition(blocks, nested)) == jax.tree.structure(BlockTransition(blocks, forms[2]))


@pytest.mark.parametrize("name", [name for name in members.STRUCTURES if name != "matrix_free"])
def test_transitions_are_pytrees_of_their_arrays(name):
    stored, v, _ = members.draw(name, T, 4, np.float32)
    transition = members.build(name, stored, 4)
    assert_close(jax.jit(lambda t, v: t.apply(v))(transition, v), np.asarray(transition.apply(v)))
    batch = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), transition)
    both = jax.vmap(lambda t: t.apply(jnp.asarray(v)), axis_size=2)(batch)
    assert_close(both[1], 2 * np.asarray(transition.apply(v)))
