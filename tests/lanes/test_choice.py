"""How many lanes a call gets where nothing is measured."""

from parascan.lanes import choose_lanes

STEP = 2000.0


def chosen(length, size, batch=1, work=STEP):
    return choose_lanes(length, size, work, batch, platform="cpu")


def test_whole_vectors_or_none():
    """The divisors of 12500 are 20, 25 and 50, which leave vectors half empty; those of 10000 include 40."""
    assert chosen(12_500, 32) == 0
    assert chosen(10_000, 32) == 40
    assert chosen(7919, 32) == 0


def test_lanes_of_large_states_share_the_cache():
    """Twice as many as fill a vector where there is one sequence, and no more of a whole batch."""
    assert chosen(65_536, 100) == 32
    assert [chosen(65_536, 100, batch) * batch for batch in (2, 4, 8, 16)] == [32, 32, 32, 0]
    assert [chosen(65_536, 24, batch) * batch for batch in (2, 4, 8, 16)] == [64, 128, 128, 128]
