"""``parascan plan`` and ``parascan calibrate``: output, files, exit codes."""

import json

import pytest
from output import result_of
from typer.testing import CliRunner

import parascan as ps
from parascan.cli import app
from parascan.planning import Plan
from parascan.programs.built_in import here


def invoke(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.slow
def test_a_registered_system_is_planned_printed_and_read_back(monkeypatch):
    found = invoke("plan", "lorenz", "--length", 2000, "--no-measure", "--json")
    assert found.exit_code == 0, found.output
    plan = Plan.from_json(json.dumps(result_of(found, "plan")))
    assert plan.length == 2000
    assert isinstance(plan.solver, ps.Sequential)
    monkeypatch.setattr(ps, "plan", lambda *args, **options: plan)
    printed = invoke("plan", "lorenz", "--length", 2000)
    assert printed.exit_code == 0, printed.output
    assert "why:" in printed.output
    assert "one step after the other" in printed.output


@pytest.mark.parametrize(("arguments", "word"), [(["nowhere"], "nowhere"), (["missing:function"], "missing")])
def test_wrong_usage_is_told_from_failure(arguments, word):
    found = invoke("plan", *arguments)
    assert found.exit_code == 2
    assert word in found.output


def test_known_rates_are_shown_without_measuring(tmp_path):
    found = invoke("calibrate", "--show", "--json", "--folder", tmp_path)
    assert found.exit_code == 0, found.output
    told = result_of(found, "calibrate")
    assert {entry["origin"] for entry in told["rates"].values()} == {here("cpu").origin}
    assert told["rates"]["float32"]["turn"] == here("cpu").turn
    assert told["rates"]["float64"]["sources"] == dict(here("cpu", double=True).sources)
    assert list(tmp_path.iterdir()) == []


def test_calibration_is_stored_and_shown(tmp_path, monkeypatch):
    def measured(dtype, progress):
        progress(dtype)
        return here("cpu", double=dtype == "float64").known("calibrated", {"call": 1e-6})

    monkeypatch.setattr("parascan.cli.calibrate_command.measured", measured)
    found = invoke("calibrate", "--folder", tmp_path)
    assert found.exit_code == 0, found.output
    assert "stored in" in found.output
    told = result_of(invoke("calibrate", "--show", "--json", "--folder", tmp_path), "calibrate")
    assert {entry["origin"] for entry in told["rates"].values()} == {"calibrated"}
