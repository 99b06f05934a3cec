"""Horizons against their closed forms."""

import math

import jax.numpy as jnp
import pytest

from parascan.diagnostics import Estimate
from parascan.diagnostics.growth.horizons import memory_horizon, prediction_horizon


def known(value, low=None, high=None):
    """An estimate with an interval, a point without one."""
    ends = (value, value if low is None else low, value if high is None else high)
    return Estimate(*(jnp.asarray(float(each)) for each in ends), "given")


@pytest.mark.parametrize(("exponent", "a", "tolerance"), [(-0.5, 1.0, 1e-6), (-0.01, 20.0, 1e-3), (-3.0, 1.0, 1e-12)])
def test_a_unit_perturbation_has_decayed_at_the_memory_horizon(exponent, a, tolerance):
    steps = float(memory_horizon(known(exponent), known(a), tolerance).value)
    assert a * math.exp(exponent * steps) == pytest.approx(tolerance, rel=1e-4)


@pytest.mark.parametrize(("exponent", "initial", "tolerance"), [(0.5, 1e-8, 1.0), (0.01, 1e-16, 10.0)])
def test_an_error_has_grown_to_the_tolerance_at_the_prediction_horizon(exponent, initial, tolerance):
    steps = float(prediction_horizon(known(exponent), known(initial), tolerance).value)
    assert initial * math.exp(exponent * steps) == pytest.approx(tolerance, rel=1e-4)


def test_horizons_are_infinite_where_the_exponent_has_the_other_sign():
    for exponent in (0.0, 0.1):
        assert math.isinf(float(memory_horizon(known(exponent), known(1.0), 1e-3).value))
        assert math.isinf(float(prediction_horizon(known(-exponent), known(1e-8), 1.0).value))


def test_nothing_to_forget_and_nothing_to_lose_take_no_step():
    assert float(memory_horizon(known(-0.1), known(1.0), 2.0).value) == 0
    assert float(prediction_horizon(known(0.1), known(2.0), 1.0).value) == 0


def test_intervals_hold_the_horizon_of_every_value_inside():
    found = memory_horizon(known(-0.2, -0.3, -0.1), known(2.0, 1.0, 5.0), 1e-4)
    for exponent in (-0.3, -0.2, -0.1):
        for a in (1.0, 3.0, 5.0):
            inside = float(memory_horizon(known(exponent), known(a), 1e-4).value)
            assert float(found.low) <= inside * (1 + 1e-6)
            assert inside <= float(found.high) * (1 + 1e-6)
    assert math.isinf(float(memory_horizon(known(-0.1, -0.3, 0.1), known(1.0), 1e-4).high))


def test_a_tolerance_that_is_none_is_refused():
    for tolerance in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"tolerance: given .*, expected a positive number"):
            memory_horizon(known(-0.1), known(1.0), tolerance)


def test_what_forgets_everything_in_a_step_remembers_for_one():
    for a in (1.0, math.inf, math.nan):
        assert float(memory_horizon(known(-math.inf), known(a), 1e-9).value) == 1
