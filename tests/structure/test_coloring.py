"""Structures and colorings of given patterns."""

import numpy as np
import pytest

from parascan.programs.structure import classify, diagonal_colors


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((2, 2), (2, 2)),
        ((3, 2, 1), (3, 3)),
        ((2, 1, 1, 2), (2, 2, 2)),
        ((3, 2), None),
        ((2, 1), None),
        ((3, 2, 2, 2), None),
    ],
)
def test_components_are_packed_into_equal_blocks(sizes, expected):
    rng = np.random.default_rng(7)
    order = rng.permutation(sum(sizes))
    groups = np.split(order, np.cumsum(sizes)[:-1])
    pattern = np.zeros((len(order), len(order)), bool)
    for group in groups:
        pattern[group[:-1], group[1:]] = True
    structure = classify(pattern)
    assert structure.kind == ("dense" if expected is None else "block")
    blocks = structure.blocks or (tuple(range(len(order))),)
    assert tuple(map(len, blocks)) == (expected or (len(order),))
    assert sorted(sum(blocks, ())) == list(range(len(order)))
    outside = np.ones_like(pattern)
    for block in blocks:
        outside[np.ix_(block, block)] = False
    assert not (pattern & outside).any()


def test_only_square_patterns_have_a_structure():
    with pytest.raises(ValueError, match="square"):
        classify(np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="square"):
        diagonal_colors(np.ones((2, 3), bool))


@pytest.mark.parametrize("density", [0.0, 0.1, 0.4, 1.0])
def test_colored_products_give_the_diagonal(density):
    rng = np.random.default_rng(11)
    pattern = rng.random((12, 12)) < density
    jacobian = rng.integers(1, 100, (12, 12)) * pattern
    colors = diagonal_colors(pattern)
    assert set(colors) == set(range(colors.max() + 1))
    total = sum((jacobian @ (colors == c)) * (colors == c) for c in range(colors.max() + 1))
    np.testing.assert_array_equal(total, np.diag(jacobian))
    if density in (0.0, 1.0):
        assert colors.max() + 1 == (1 if density == 0.0 else 12)
