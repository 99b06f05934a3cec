"""Table 1 in a second: rows, Newton runs that are taken up again, and refusal of wrong configurations."""

import jax
import numpy as np
import pytest

from parascan.paper.experiments import table1, table1_figure
from parascan.paper.harness.points import PointStore
from parascan.paper.harness.run import run
from parascan.paper.harness.workforce import workforce

TINY = table1.Config(
    systems=("lorenz", "sprott_b"), flow_length=150, observer_length=100, exponent_length=200, portion=8
)


@pytest.fixture(scope="module")
def tiny():
    """The experiment with one small size."""
    experiment = table1.EXPERIMENT
    return experiment.__class__(**{**vars(experiment), "sizes": {"tiny": TINY}})


@pytest.fixture(scope="module")
def dataset(tiny, tmp_path_factory):
    """Its dataset, with the folder of its points."""
    folder = tmp_path_factory.mktemp("points")
    with workforce(0) as hands:
        return run(tiny, "tiny", folder, hands), folder


@pytest.mark.slow
def test_rows_come_in_the_order_of_the_cases_and_solve_what_they_say(dataset):
    found, folder = dataset
    rows, store = table1.rows_of(found), PointStore(folder, table1.measure)
    assert [(row.system, row.kind, row.length) for row in rows] == [
        ("lorenz", "flow", 150),
        ("lorenz", "observer", 100),
        ("sprott_b", "flow", 150),
        ("sprott_b", "observer", 100),
    ]
    for row, case in zip(rows, TINY.cases(), strict=True):
        assert row.message == ""
        assert row.merit <= TINY.tolerance
        assert row.error <= row.tolerance
        stored, _ = store.load(case)
        assert stored["states"].shape == stored["sequential"].shape == (row.length, 3)
        assert stored["states"].dtype == np.float64
        assert np.max(np.abs(stored["states"] - stored["sequential"])) == row.worst


@pytest.mark.slow
def test_a_newton_run_that_was_stopped_repeats_no_update_and_ends_with_the_same_row(dataset, tmp_path, monkeypatch):
    case = TINY.cases()[0]
    updates, in_portions = [], table1.in_portions

    def watched(*arguments, after, **options):
        def following(portion):
            after(portion)
            updates.append(portion.updates)
            if len(updates) == 3:
                raise KeyboardInterrupt

        return in_portions(*arguments, after=following, **options)

    monkeypatch.setattr(table1, "in_portions", watched)
    with jax.enable_x64(True):
        with pytest.raises(KeyboardInterrupt):
            table1.measure(case, tmp_path)
        values = table1.measure(case, tmp_path)
    assert updates[:4] == [8, 16, 24, 32]
    expected, _ = PointStore(dataset[1], table1.measure).load(case)
    for name, value in expected.items():
        np.testing.assert_array_equal(values[name], value)


@pytest.mark.slow
def test_claims_are_checked_on_the_dataset(dataset):
    assert [claim.checked for claim in table1.claims(dataset[0])] == [4, 2, 4, 4, 2]


@pytest.mark.slow
def test_the_picture_shows_both_kinds_and_the_published_counts(dataset):
    rows = table1.rows_of(dataset[0])
    steps, exponents = table1_figure.draw(rows).axes
    heights = {round(bar.get_height()) for bar in steps.patches}
    assert heights == {row.counted for row in rows}
    published = {round(value) for line in steps.lines for value in line.get_ydata() if line.get_marker() == "D"}
    assert published == {row.published_steps for row in rows}
    assert [label.get_text() for label in exponents.get_xticklabels()] == ["Lorenz", "SprottB"]


@pytest.mark.slow
def test_the_table_holds_ours_and_the_published_numbers(dataset):
    texts = [text.get_text() for text in table1.figure(dataset[0]).axes[0].texts]
    for row in table1.rows_of(dataset[0]):
        assert f"{row.published_exponent:.2f}" in texts
        assert f"{row.counted:,}" in texts


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"systems": ("lorenz", "lorentz")}, "lorentz"),
        ({"flow_length": 0}, "flow_length"),
        ({"observer_length": 30_001}, "observer_length"),
        ({"portion": 0}, "portion"),
    ],
)
def test_a_wrong_configuration_is_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        table1.Config(**changes)
