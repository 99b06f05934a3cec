"""What limits the forecasts of Newton's count on flows: the stored curves, and the table made of them."""

import jax
import pytest
from benchmarks.forecast import flow_limits
from benchmarks.forecast.family import CALIBRATION_SEED, HELD_OUT_SEED, family
from benchmarks.forecast.fit import EVALUATIONS, samples

import parascan as ps
from parascan.diagnostics import updates_by_length

SHORT = 60
"""Steps on which stored counts are counted again."""


@pytest.fixture(scope="module")
def held_out():
    """The flows that the coefficients were not fitted to, as they are stored."""
    return flow_limits.stored_curves(HELD_OUT_SEED)


@pytest.mark.slow
def test_the_table_of_the_page_is_that_of_the_stored_curves():
    with jax.enable_x64(True):
        text = flow_limits.DOCUMENT.read_text()
        begin, end = flow_limits.MARKS
        assert text.partition(begin)[2].partition(end)[0].strip() == flow_limits.table()


def test_stored_counts_are_those_of_rollouts(held_out):
    with jax.enable_x64(True):
        case = next(each for each in family(HELD_OUT_SEED, 16) if each.kind == "flow")
        curve = next(each for each in held_out if each["number"] == case.number)
        ends = [end for end in curve["ends"] if end <= SHORT]
        system = case.system
        found = updates_by_length(
            system.step, system.initial_state, ends=ends, solver=ps.deer(),
            criterion=ps.StateError(), guess=ps.guesses.RepeatInitial(),
        )  # fmt: skip
        assert curve["label"] == case.label
        assert found.tolist() == curve["counts"][1][: len(ends)]


@pytest.mark.slow
def test_every_flow_of_both_families_is_stored():
    for seed in (CALIBRATION_SEED, HELD_OUT_SEED):
        stored = {each["number"] for each in flow_limits.stored_curves(seed)}
        assert stored == {case.number for case in family(seed, 160) if case.kind == "flow"}


def test_a_longer_pilot_is_right_where_the_share_of_a_diagnosis_is_not(held_out):
    diagnosed = flow_limits.right(list(samples(held_out, 1)), flow_limits.as_diagnosed)
    longer = list(samples(held_out, 1, evaluations=8 * EVALUATIONS))
    assert diagnosed < 0.85 < flow_limits.right(longer, flow_limits.as_diagnosed)
