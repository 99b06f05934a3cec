"""Table 1 at smoke size: rows, resuming, and refusal of wrong configurations."""

import json

import jax
import numpy as np
import pytest

from parascan.paper import table1

TINY = table1.Config(
    systems=("lorenz", "sprott_b"), flow_length=150, observer_length=100, exponent_length=200, portion=8
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows of a run that nobody interrupted, with its folder."""
    folder = tmp_path_factory.mktemp("rows")
    with jax.enable_x64(True):
        return table1.run(TINY, folder), folder


class Interrupt:
    """Progress that raises at the given report, as Ctrl-C would; rows stored earlier do not count."""

    def __init__(self, at):
        self.at, self.seen = at, []

    def __call__(self, report):
        self.seen.append(report)
        if sum(each.stage != "stored" for each in self.seen) == self.at:
            raise KeyboardInterrupt


def test_rows_come_in_the_order_of_the_cases_and_solve_what_they_say(rows):
    found, folder = rows
    assert [(row.system, row.kind, row.length) for row in found] == [
        ("lorenz", "flow", 150),
        ("lorenz", "observer", 100),
        ("sprott_b", "flow", 150),
        ("sprott_b", "observer", 100),
    ]
    for row in found:
        assert row.message == ""
        assert row.merit <= TINY.tolerance
        assert row.error <= row.tolerance
        with np.load(next(folder.glob(f"{row.system}_{row.kind}_*.npz"))) as stored:
            assert stored["states"].shape == stored["sequential"].shape == (row.length, 3)
            assert stored["states"].dtype == np.float64
            assert np.max(np.abs(stored["states"] - stored["sequential"])) == row.worst


def test_an_interrupted_run_goes_on_and_ends_with_the_same_rows(rows, tmp_path):
    finished, _ = rows
    found, interrupts = (), 0
    with jax.enable_x64(True):
        while not found and interrupts < 50:
            try:
                found = table1.run(TINY, tmp_path, Interrupt(at=3))
            except KeyboardInterrupt:
                interrupts += 1
                assert not list(tmp_path.glob(".*")), "a temporary file was left"
    assert interrupts >= 4
    assert found == finished
    assert not list(tmp_path.glob("*.iterate.npz"))


def test_a_taken_up_newton_run_repeats_no_update(tmp_path):
    first, second = Interrupt(at=3), Interrupt(at=-1)
    with jax.enable_x64(True):
        with pytest.raises(KeyboardInterrupt):
            table1.run(TINY, tmp_path, first)
        table1.run(TINY, tmp_path, second)
    newton = [report.updates for report in first.seen if report.stage == "newton"]
    again = [report.updates for report in second.seen if report.stage == "newton"]
    assert newton == [8, 16]
    assert again[0] > 16


def test_finished_rows_are_read_and_not_computed(rows):
    found, folder = rows
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    progress = Interrupt(at=-1)
    with jax.enable_x64(True):
        assert table1.run(TINY, folder, progress) == found
    assert [report.stage for report in progress.seen] == ["stored"] * 4
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_saved_tables_hold_the_rows_the_claims_and_what_made_them(rows, tmp_path):
    found, _ = rows
    table1.save(found, TINY, tmp_path)
    lines = (tmp_path / "table1.csv").read_text().splitlines()
    assert lines[0].startswith("system,kind,length,exponent")
    assert len(lines) == 5
    content = json.loads((tmp_path / "table1.json").read_text())
    assert [table1.Row(**row) for row in content["rows"]] == list(found)
    assert content["config"]["flow_length"] == 150
    assert [claim["checked"] for claim in content["claims"]] == [4, 2, 4, 4, 2]
    assert set(content["versions"]) >= {"jax", "numpy", "parascan", "python"}
    assert content["hardware"]["platform"] == "cpu"


def test_the_picture_shows_both_kinds_and_the_published_counts(rows):
    figure = table1.figure(rows[0])
    steps, exponents = figure.axes
    heights = {round(bar.get_height()) for bar in steps.patches}
    assert heights == {row.counted for row in rows[0]}
    published = {round(value) for line in steps.lines for value in line.get_ydata() if line.get_marker() == "D"}
    assert published == {row.published_steps for row in rows[0]}
    assert [label.get_text() for label in exponents.get_xticklabels()] == ["Lorenz", "SprottB"]


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


def test_single_precision_is_refused(tmp_path):
    with jax.enable_x64(False), pytest.raises(ValueError, match="64-bit"):
        table1.run(TINY, tmp_path)
