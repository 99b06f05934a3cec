"""What becomes of products of matrices ``D - u k^T``: why no transition stores a diagonal and one pair of vectors.

A product of n of them is a diagonal less a matrix of rank n, for any diagonals: a form that keeps its size does not
hold it. docs/choosing.md counts what this means for cells with a delta rule.
"""

import functools

import numpy as np
import pytest

SIZE = 12


def factors(count, dtype=np.float64, *, same_key=False, scalar=False):
    """Diagonals [n D], left vectors [n D] and keys [n D] of unit length."""
    draws = np.random.default_rng(0)
    diagonals = draws.uniform(0.5, 1.0, (count, 1 if scalar else SIZE)) * np.ones(SIZE)
    lefts, keys = draws.standard_normal((2, count, SIZE)) / SIZE**0.5
    if same_key:
        keys[:] = keys[0]
    return diagonals.astype(dtype), lefts.astype(dtype), keys.astype(dtype)


def product(diagonals, lefts, keys):
    """``A_n ... A_1``, multiplied out."""
    matrices = [np.diag(d) - np.outer(u, k) for d, u, k in zip(diagonals, lefts, keys, strict=True)]
    return functools.reduce(lambda earlier, later: later @ earlier, matrices)


def as_diagonal_less_pairs(diagonals, lefts, keys):
    """The same product as a diagonal [D] and n pairs of vectors [n D], one added by every factor."""
    diagonal, columns, rows = np.ones_like(diagonals[0]), [], []
    for d, u, k in zip(diagonals, lefts, keys, strict=True):
        columns = [d * column - u * (k @ column) for column in columns]
        columns, rows = [*columns, u], [*rows, diagonal * k]
        diagonal = d * diagonal
    return diagonal, np.stack(columns), np.stack(rows)


def beyond_the_diagonal(diagonals, lefts, keys):
    """Singular values of what a product has beside the product of the diagonals, in units of the largest."""
    values = np.linalg.svd(product(diagonals, lefts, keys) - np.diag(np.prod(diagonals, axis=0)), compute_uv=False)
    return values / values[0]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("scalar", [False, True])
def test_every_factor_adds_one_to_the_rank(count, scalar):
    values = beyond_the_diagonal(*factors(count, scalar=scalar))
    assert (values[:count] > 1e-3).all()
    assert (values[count:] < 1e-13).all()


def test_a_product_of_two_is_not_of_rank_one_to_rounding():
    """Cut back to one pair of vectors, it is wrong in its first digits."""
    assert beyond_the_diagonal(*factors(2))[1] > 0.1


def test_a_shared_key_keeps_rank_one_only_beside_multiples_of_the_identity():
    assert beyond_the_diagonal(*factors(6, same_key=True, scalar=True))[1] < 1e-13
    assert beyond_the_diagonal(*factors(6, same_key=True))[1] > 1e-3


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-5)])
@pytest.mark.parametrize("count", [1, 4, SIZE, 2 * SIZE])
def test_the_form_with_as_many_pairs_as_factors_is_the_product(dtype, tolerance, count):
    """Also beyond D factors, where the pairs are more numbers than the matrix."""
    diagonals, lefts, keys = factors(count, dtype)
    diagonal, columns, rows = as_diagonal_less_pairs(diagonals, lefts, keys)
    assert columns.dtype == dtype
    expected = product(*(each.astype(np.float64) for each in (diagonals, lefts, keys)))
    np.testing.assert_allclose(np.diag(diagonal) - columns.T @ rows, expected, rtol=0, atol=tolerance)
