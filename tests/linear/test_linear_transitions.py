"""Every transition does what its matrices, written out, do."""

import jax
import jax.numpy as jnp
import linear_members as members
import numpy as np
import pytest

from parascan.linear import (
    AbstractComposableTransition,
    BlockTransition,
    DenseTransition,
    DiagonalTransition,
    MatrixFreeTransition,
    ScalarTransition,
)

T = 6
structures = pytest.mark.parametrize("name", members.STRUCTURES)
sizes = pytest.mark.parametrize("D", [1, 2, 11])


def assert_close(given, expected):
    assert given.dtype != np.float64 or given.dtype == jnp.zeros(()).dtype
    np.testing.assert_allclose(given, expected, rtol=0, atol=members.tolerance(expected, given.dtype))


@pytest.fixture
def example(name, D, dtype):
    """A transition, its matrices in numpy, and a trajectory to act on."""
    stored, v, _ = members.draw(name, T, D, dtype)
    return members.build(name, stored, D), members.matrices(name, stored, D), v


@structures
@sizes
def test_facts(example, D, dtype):
    transition, _, _ = example
    assert (transition.length, transition.size, transition.dtype) == (T, D, dtype)


@structures
@sizes
def test_products_are_those_of_the_matrices(example, dtype):
    transition, dense, v = example
    assert transition.apply(v).dtype == transition.apply_transposed(v).dtype == transition.as_dense().dtype == dtype
    assert_close(transition.apply(v), np.einsum("tij,tj->ti", dense, v))
    assert_close(transition.apply_transposed(v), np.einsum("tij,ti->tj", dense, v))
    assert_close(transition.as_dense(), dense)


@structures
@sizes
def test_one_row_is_one_matrix(example):
    transition, dense, v = example
    row = transition.row(jnp.asarray(3))
    assert_close(transition.product(row, v[0]), dense[3] @ v[0])
    assert_close(transition.transposed_product(row, v[0]), dense[3].T @ v[0])


@pytest.mark.parametrize("name", [name for name, structure in members.STRUCTURES.items() if structure.composable])
@sizes
def test_composition_is_the_matrix_product(example):
    transition, dense, v = example
    assert isinstance(transition, AbstractComposableTransition)
    row = transition.compose(transition.row(4), transition.row(1))
    product = dense[4] @ dense[1]
    assert_close(transition.product(row, v[0]), product @ v[0])
    both = transition.with_slices(jax.vmap(transition.compose, axis_size=T)(transition.slices, transition.slices))
    assert type(both) is type(transition)
    assert_close(both.as_dense(), dense @ dense)


@structures
@sizes
def test_scaled_and_clipped(example, D, dtype):
    transition, dense, _ = example
    scaled = transition.scale(0.25)
    assert (type(scaled), scaled.dtype) == (type(transition), dtype)
    assert_close(scaled.as_dense(), 0.25 * dense)
    traced = jax.jit(lambda factor: transition.scale(factor).as_dense())
    assert_close(traced(jnp.asarray(-2, dtype)), -2 * dense)
    clipped = transition.clip(0.1)
    assert clipped.dtype == dtype
    assert_close(clipped.as_dense(), np.clip(dense, -0.1, 0.1))


@structures
@sizes
def test_guarded_changes_nothing_that_is_finite(example):
    transition, dense, v = example
    guarded = transition.guarded()
    assert type(guarded) is type(transition)
    assert_close(guarded.as_dense(), dense)
    assert_close(guarded.apply_transposed(v), np.einsum("tij,ti->tj", dense, v))


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
