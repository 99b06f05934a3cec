"""What all commands have in common: JSON of one shape, help with examples, exit codes, narrow terminals, no colors."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer
from output import plain, result_of

from combinations import some
from parascan.cli import app
from parascan.paper.experiments import registry

GROUP = typer.main.get_command(app)
EXAMPLE = re.compile(r"^ *- `parascan (.*)`$", re.M)
WIDTHS = (40, 60)


def examples(command):
    """Arguments of the examples in the help of a command."""
    return [shlex.split(each) for each in EXAMPLE.findall(command.help)]


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_help_has_examples_that_the_command_takes(invoke, name):
    command = GROUP.commands[name]
    found = examples(command)
    assert len(found) >= 2
    for called, *arguments in found:
        assert called == name
        # Parses the arguments as a call does, without making one.
        command.make_context(name, list(arguments))
    assert "parascan " + " ".join(found[0]) in plain(invoke(name, "--help"))


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_every_command_can_answer_in_json(name):
    assert "--json" in {option for each in GROUP.commands[name].params for option in each.opts}


def test_help_of_the_whole_says_what_exit_codes_mean(invoke):
    text = plain(invoke("--help"))
    for code in ("0 success", "1 a rollout or a claim failed", "2 wrong usage", "130 interrupted"):
        assert code in text


def test_a_run_as_json(invoke, tmp_path):
    path = tmp_path / "states.npz"
    found = invoke("run", "henon", "--length", 30, "--json", "--save", path)
    assert found.exit_code == 0, found.output
    record = result_of(found, "run")
    assert (record["name"], record["length"], record["solver"], record["dtype"]) == ("henon", 30, "deer", "float64")
    assert record["successful"] is True
    assert 0 < record["iterations"] <= 30
    assert record["distance"] < 1e-8
    assert path.exists()


def test_a_failed_run_as_json_has_its_reason_and_numbers_that_json_has(invoke):
    arguments = ("henon", "--length", 50, "--set", "a=50.0", "--solver", "sequential", "--json")
    found = invoke("run", *arguments)
    assert found.exit_code == 1
    record = result_of(found, "run")
    assert record["successful"] is False
    assert "finite" in record["message"]
    assert record["exponent_per_step"] is None


def test_a_reproduction_as_json(invoke, tmp_path, monkeypatch):
    def failing(*_):
        raise RuntimeError("no worker")

    monkeypatch.setattr(sys.modules["parascan.cli.reproduce_command"], "_reproduce", failing)
    name = next(iter(registry.EXPERIMENTS))
    found = invoke("reproduce", name, "--size", "smoke", "--out", tmp_path, "--workers", 1, "--json")
    assert found.exit_code == 1
    record = result_of(found, "reproduce")
    assert record["experiments"] == {name: {"failed": "no worker", "claims": []}}


@pytest.mark.parametrize("arguments", [("run", "lorentz"), ("sweep", "lorenz", "rho", 3, 2), ("plan", "x:y")])
def test_wrong_usage_prints_no_json_and_nothing_else_to_standard_output(invoke, arguments):
    found = invoke(*arguments, "--json")
    assert found.exit_code == 2
    assert found.stdout == ""
    assert found.stderr != ""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "arguments", [("systems",), ("env",), ("run", "henon", "--length", "20"), ("calibrate", "--show")]
)
def test_narrow_terminals_show_every_word(invoke, monkeypatch, tmp_path, arguments, width):
    folder = ("--folder", tmp_path) if arguments[0] == "calibrate" else ()
    wide = invoke(*arguments, *folder)
    monkeypatch.setenv("COLUMNS", str(width))
    found = invoke(*arguments, *folder)
    assert found.exit_code == 0, found.output
    assert max(map(len, found.stdout.splitlines())) <= width
    assert "…" not in found.stdout
    if arguments[0] != "systems":
        # Times of a run differ between calls; all other words are there.
        words = {each for each in plain(wide).split() if not re.search(r"\d", each) and re.search(r"\w", each)}
        assert {each for each in words if each not in plain(found)} == set()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.slow
def test_a_table_of_a_sweep_on_a_narrow_terminal(invoke, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    found = invoke("sweep", "logistic", "r", 2.5, 4.0, "--points", 2, "--length", 60, "--max-iterations", 5)
    assert found.exit_code == 0, found.output
    assert max(map(len, found.stdout.splitlines())) <= width
    assert "exponent -0.7" in plain(found)
    assert "expected" in found.stdout


@pytest.mark.parametrize(
    "arguments", some([["--help"], ["run", "--help"], ["systems"], ["run", "lorentz"]], ["--help"])
)
def test_nothing_is_colored_in_a_pipe(arguments):
    given = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "PY_COLORS")}
    command = [sys.executable, "-m", "parascan", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**given, "TERM": "xterm-256color"})
    assert done.stdout + done.stderr != ""
    assert "\x1b" not in done.stdout + done.stderr


def test_tokens_that_json_does_not_have_are_seen(invoke):
    class Told:
        stdout = json.dumps({"command": "run", "form": 1, "version": "0", "result": float("nan")})

    with pytest.raises(AssertionError, match="NaN is no JSON"):
        result_of(Told(), "run")
