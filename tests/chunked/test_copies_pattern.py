"""How far and to which side copies start from one another: entries next to each other are moved differently."""

import numpy as np
import pytest

from parascan.chunked import coupled_copies

SHAPES = [(6, 16), (7, 5), (2, 3, 4), (1, 9)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("first", [0, 4])
def test_two_entries_next_to_each_other_are_moved_differently_in_every_copy(shape, first):
    far, down = (np.asarray(each).reshape(-1, shape[-1]) for each in coupled_copies._pattern(shape, first))
    pairs = len(far) // 2 * 2
    differ = (far[0:pairs:2] != far[1:pairs:2]) | (down[0:pairs:2] != down[1:pairs:2])
    assert differ.all()
    assert set(np.unique(far)) <= {0.5, 1.0}
    assert len(set(zip(far.ravel(), down.ravel(), strict=True))) > 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_and_what_is_computed_in_the_program_are_one_pattern(shape, monkeypatch):
    constant = coupled_copies._pattern(shape, 3)
    monkeypatch.setattr(coupled_copies, "WRITTEN", 0)
    for one, other in zip(constant, coupled_copies._pattern(shape, 3), strict=True):
        np.testing.assert_array_equal(one, other)
        assert isinstance(one, np.ndarray)
        assert not isinstance(other, np.ndarray)
