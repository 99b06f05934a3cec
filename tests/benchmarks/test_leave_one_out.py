"""The leave-one-out estimate that lost against ``StochasticDiagonal``'s is the one that its authors describe."""

import numpy as np
from benchmarks.leave_one_out import exact, leave_one_out, plain


def matrices(rank=None, size=12, count=400):
    """One matrix many times over, for as many independent estimates."""
    draws = np.random.default_rng(3)
    one = draws.standard_normal((size, size))
    if rank:
        one = draws.standard_normal((size, rank)) @ draws.standard_normal((rank, size))
    return np.broadcast_to(one, (count, size, size))


def test_it_is_exact_for_a_rank_below_the_number_of_vectors_where_the_plain_one_is_not():
    low = matrices(rank=2)
    draws = np.random.default_rng(0)
    np.testing.assert_allclose(leave_one_out(16)(low, draws), exact(low, draws), rtol=0, atol=1e-8)
    assert np.abs(plain(16)(low, draws) - exact(low, draws)).max() > 0.5


def test_both_have_no_bias():
    full = matrices(count=4000)
    truth = exact(full, np.random.default_rng(0))[0]
    for estimate in (plain(4), leave_one_out(4)):
        found = estimate(full, np.random.default_rng(1))
        error = found.std(axis=0) / len(found) ** 0.5
        assert (np.abs(found.mean(axis=0) - truth) < 5 * error).all()
