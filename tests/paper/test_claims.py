"""The claims of table 1 hold for the published numbers and fail for each planted wrong one."""

import dataclasses

import numpy as np
import pytest

from parascan.paper.experiments import table1
from parascan.paper.harness.claims import Verdict, between, check, near, rank_correlation


def published_rows():
    """Rows that agree with the paper in everything."""
    rows = []
    for case in table1.Config().cases():
        published = getattr(table1.PUBLISHED.ROWS[case.system], case.kind)
        rows.append(
            table1.Row(
                system=case.system,
                kind=case.kind,
                length=case.length,
                exponent=published.exponent,
                spread=0.0,
                updates=published.steps - 1,
                message="",
                merit=1e-11,
                error=1e-7,
                tolerance=1e-6,
                compared=case.length,
                horizon=case.length,
                worst=1e-7,
                published_exponent=published.exponent,
                published_spread=published.spread,
                published_steps=published.steps,
            )
        )
    return rows


def failed(rows):
    """The claims that fail, by their place."""
    return [place for place, claim in enumerate(table1.claims_of(rows)) if not claim.passed]


def planted(place, **changes):
    """The published rows with one of them changed."""
    rows = published_rows()
    rows[place] = dataclasses.replace(rows[place], **changes)
    return rows


def test_every_claim_holds_for_the_published_numbers():
    claims = table1.claims_of(published_rows())
    assert all(claim.passed for claim in claims)
    assert [claim.checked for claim in claims] == [18, 9, 18, 18, 9]


# Row 0 is the ABC flow (published exponent 0.16, moved by roundings by 0.013), row 1 its observer (-0.08, by 0.002;
# 3 steps), row 2 Chua's circuit, row 3 its observer (-1.37, by 0.002).
@pytest.mark.parametrize(
    ("place", "changes", "claim"),
    [
        (5, {"message": "used up its iterations"}, 0),
        (1, {"updates": 4}, 1),
        (1, {"updates": 0}, 1),
        (1, {"exponent": -0.101}, 2),
        (1, {"exponent": -0.059}, 2),
        (3, {"exponent": -1.37 * 1.051}, 2),
        (0, {"exponent": 0.16 + 4.1 * 0.013}, 2),
        (0, {"exponent": float("nan")}, 2),
        (3, {"error": 1.1e-6}, 3),
        (3, {"error": float("nan")}, 3),
        (0, {"compared": 6_399}, 3),
        (0, {"updates": 2}, 4),
    ],
)
def test_a_planted_wrong_number_fails_its_claim(place, changes, claim):
    assert failed(planted(place, **changes)) == [claim]


@pytest.mark.parametrize(
    ("place", "changes"),
    [(1, {"updates": 3}), (1, {"updates": 1}), (1, {"exponent": -0.099}), (3, {"exponent": -1.37 * 1.049})],
)
def test_numbers_within_the_stated_tolerances_pass(place, changes):
    assert failed(planted(place, **changes)) == []


def test_an_exponent_that_roundings_decide_is_remarked_upon_and_not_failed():
    claim = table1.claims_of(planted(0, exponent=0.16 + 3.9 * 0.013))[2]
    assert claim.passed
    (line,) = claim.remarks
    assert "ABC" in line
    assert "roundings" in line
    assert table1.claims_of(published_rows())[2].remarks == ()


def test_the_failing_row_is_named():
    (line,) = table1.claims_of(planted(1, updates=9))[1].failures
    assert "ABC" in line
    assert "10" in line
    assert "3" in line


def test_a_claim_that_checked_nothing_does_not_pass():
    assert not check("nothing", [], lambda row: None).passed
    assert 1 in failed([row for row in published_rows() if row.kind == "flow"])


def odd(value):
    """What is wrong with an odd number."""
    return f"{value} is odd" if value % 2 else None


def test_a_failure_is_explained_only_where_a_reason_is_given():
    missed, explained = check("even", [1, 2], odd), check("even", [1, 2], odd, explanation="counted twice: 1")
    assert (missed.verdict, missed.passed) == (Verdict.missed, False)
    assert (explained.verdict, explained.passed) == (Verdict.explained, True)
    assert explained.ours == "1 of 2"
    met = check("even", [2, 4], odd, explanation="not needed")
    assert (met.verdict, met.explanation) == (Verdict.met, "")
    assert check("even", [], odd, explanation="nothing was there").verdict is Verdict.missed


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [(1.0, "met"), (1.09, "met"), (0.91, "met"), (1.11, "missed"), (0.89, "missed"), (float("nan"), "missed")],
)
def test_a_number_may_differ_by_its_tolerance(ours, verdict):
    assert near("x", 1.0, ours, absolute=0.02, relative=0.1).verdict == verdict
    assert between("x", 0.9, 1.1, ours, published="about one").verdict == verdict


def test_a_number_carries_what_was_published_the_tolerance_and_ours():
    claim = near("length", 20.0, 21.5, absolute=1.0, unit="m", explanation="measured twice")
    assert (claim.quantity, claim.published, claim.tolerance, claim.ours) == ("length", "20", "± 1", "21.5 m")
    assert claim.verdict is Verdict.explained
    assert claim.failures == ("21.5 is not between 19 and 21",)


def test_rank_correlation_sees_order_and_nothing_else():
    x = np.array([1.0, 2.0, 3.0, 9.0])
    assert rank_correlation(x, x**3) == pytest.approx(1)
    assert rank_correlation(x, -np.exp(x)) == pytest.approx(-1)
    assert np.isnan(rank_correlation(x, x * 0))
