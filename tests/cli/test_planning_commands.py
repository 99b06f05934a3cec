"""``parascan plan`` and ``parascan calibrate``: output, files, exit codes."""

import json

import pytest
from typer.testing import CliRunner

from parascan.cli import app
from parascan.planning import Plan, built_in


def invoke(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_registered_system_is_planned_and_the_plan_can_be_read_back():
    found = invoke("plan", "lorenz", "--length", 2000, "--no-measure", "--json")
    assert found.exit_code == 0, found.output
    plan = Plan.from_json(found.output)
    assert plan.length == 2000
    assert type(plan.solver).__name__ == "Sequential"


def test_a_plan_is_printed_with_its_reasons():
    found = invoke("plan", "logistic", "--length", 500, "--no-measure")
    assert found.exit_code == 0, found.output
    assert "why:" in found.output
    assert "one step after the other" in found.output


@pytest.mark.parametrize(("arguments", "word"), [(["nowhere"], "nowhere"), (["missing:function"], "missing")])
def test_wrong_usage_is_told_from_failure(arguments, word):
    found = invoke("plan", *arguments)
    assert found.exit_code == 2
    assert word in found.output


def test_known_rates_are_shown_without_measuring(tmp_path):
    found = invoke("calibrate", "--show", "--json", "--folder", tmp_path)
    assert found.exit_code == 0, found.output
    told = json.loads(found.output)
    assert told["origin"] == "built-in"
    assert told["rates"] == vars(built_in("cpu"))
    assert list(tmp_path.iterdir()) == []


def test_calibration_is_stored_and_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("parascan.cli.calibrate.measured", lambda progress: (progress("x"), built_in("cpu"))[1])
    found = invoke("calibrate", "--folder", tmp_path)
    assert found.exit_code == 0, found.output
    assert "stored in" in found.output
    told = json.loads(invoke("calibrate", "--show", "--json", "--folder", tmp_path).output)
    assert told["origin"] == "calibrated"
