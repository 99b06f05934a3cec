"""Where a sign changes: values and brackets in cases that can be drawn by hand."""

import numpy as np
import pytest

from parascan.api.sweeping.threshold import Crossing, crossings


def found(values, width=0.1, places=None):
    values = np.array(values, float)
    places = np.arange(len(values), dtype=float) if places is None else np.array(places, float)
    return crossings(places, values, values - width, values + width)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1, 1], [(0.5, 0, 1)]),
        ([1, -3], [(0.25, 0, 1)]),
        ([-1, -0.05, 0.05, 1], [(1.5, 0, 3)]),
        # Neither of the inner signs is sure: one crossing, at the first change.
        ([-1, 0.05, -0.05, 1], [(1 / 1.05, 0, 3)]),
        # The sign comes back: nothing is crossed for sure.
        ([-1, 0.05, -1], []),
        ([-1, 1, -1], [(0.5, 0, 1), (1.5, 1, 2)]),
        ([-1, -2], []),
        ([-0.05, 1], [(0.05 / 1.05, -np.inf, 1)]),
        ([-1, 0.05], [(1 / 1.05, 0, np.inf)]),
        ([0.05, -0.05], [(0.5, -np.inf, np.inf)]),
        ([-1, np.nan, 1], [(1.0, 0, 2)]),
        ([-np.inf, 1], [(0.5, 0, 1)]),
        ([], []),
        ([np.nan, np.nan], []),
    ],
)
def test_crossings(values, expected):
    got = found(values)
    assert len(got) == len(expected)
    for each, (value, low, high) in zip(got, expected, strict=True):
        assert isinstance(each, Crossing)
        np.testing.assert_allclose(each.value, value)
        assert (each.low, each.high) == (low, high)


def test_the_bracket_holds_the_zero_of_random_curves_with_true_intervals():
    rng = np.random.default_rng(3)
    places, sures = np.linspace(0, 1, 12), 0
    for _ in range(200):
        zero, slope = rng.uniform(0.1, 0.9), rng.uniform(0.5, 3) * rng.choice([-1, 1])
        truth = slope * (np.exp(places) - np.exp(zero))
        width = rng.uniform(0.01, 0.3, 12)
        seen = truth + rng.uniform(-1, 1, 12) * width
        got = crossings(places, seen, seen - width, seen + width)
        sure = (abs(seen) > width)[[0, -1]].all()
        assert len(got) == 1 if sure else len(got) <= 1
        assert all(each.low <= zero <= each.high for each in got)
        sures += sure
    assert sures > 100
