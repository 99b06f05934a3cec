"""``parascan sweep`` and ``parascan exponents``: output, files, exit codes."""

import json
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from output import plain, result_of

from parascan.api.sweeping import measure_point as measure
from parascan.diagnostics.estimate import estimate_of

MODULE = """
import jax.numpy as jnp


def make(gain, shift=0.0):
    return (lambda s, x: gain * s + x + shift), jnp.zeros(2), jnp.ones((90, 2))


def picky(gain):
    if gain > 0.6:
        raise ArithmeticError("planted")
    return make(gain)


def spiral():
    return (lambda s, x: jnp.array([[0.0, -2.0], [0.5, 0.0]]) @ s), jnp.ones(2), None
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a module of its own, and diagnoses that compile nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "swept_module.py").write_text(MODULE)
    fixed = SimpleNamespace(verdict="marginal", iterations={"newton": estimate_of(3.0, 2.0, 5.0, "fixed", "", 0.9)})
    monkeypatch.setattr(measure, "diagnose", lambda *call, **options: fixed)
    return tmp_path


def test_help_names_both_commands_and_what_they_take(invoke):
    assert "sweep" in invoke("--help").output
    assert "exponents" in invoke("--help").output
    assert "--second" in invoke("sweep", "--help").output
    assert "Kaplan" in plain(invoke("exponents", "--help"))


def test_a_function_is_swept_printed_and_drawn(invoke, folder):
    found = invoke(
        "sweep", "swept_module:make", "gain", 0.5, 1.5, "--points", 3, "--plot", "a.png", "--set", "shift=1.0"
    )
    assert found.exit_code == 0, found.output
    text = plain(found)
    for words in (
        "swept_module:make, T = 90",
        "-0.6931",
        "0.4055",
        "crosses zero at gain = 1 [0.5, 1.5]",
        "drew a.png",
    ):
        assert words in text
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_two_parameters_are_a_map_and_json_is_the_record(invoke, folder):
    arguments = ("gain", 0.25, 1.0, "--points", 3, "--log", "--second", "shift", 0, 1, "--second-points", 2)
    found = invoke("sweep", "swept_module:make", *arguments, "--length", 60, "--json", "--plot", "m.svg")
    assert found.exit_code == 0, found.output
    record = result_of(found, "sweep")
    assert record["parameters"] == {"gain": [0.25, 0.5, 1.0], "shift": [0.0, 1.0]}
    np.testing.assert_allclose(record["exponent"]["value"], np.log([[0.25] * 2, [0.5] * 2, [1.0] * 2]), atol=1e-12)
    assert record["length"] == 60
    assert (folder / "m.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.slow
def test_a_registered_system_is_swept_over_a_setting(invoke):
    found = invoke("sweep", "logistic", "r", 2.5, 4.0, "--points", 2, "--length", 120, "--max-iterations", 5, "--json")
    assert found.exit_code == 0, found.output
    record = result_of(found, "sweep")
    np.testing.assert_allclose(record["exponent"]["value"], np.log([0.5, 2.0]), atol=0.1)
    assert record["solved"] == [True, False] or record["updates"][1] == 5


@pytest.mark.slow
def test_an_interrupted_sweep_is_resumed_and_never_by_accident(invoke, folder, monkeypatch):
    arguments = ("sweep", "swept_module:make", "gain", 0.2, 0.8, "--points", 4, "--out", "s.json")
    original, calls = measure.lyapunov_exponents, []

    def pressing(*call, **options):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return original(*call, **options)

    monkeypatch.setattr(measure, "lyapunov_exponents", pressing)
    stopped = invoke(*arguments)
    assert stopped.exit_code == 130
    assert "go on with --resume" in plain(stopped)
    assert len(json.loads((folder / "s.json").read_text())["points"]) == 2
    refused = invoke(*arguments)
    assert refused.exit_code == 2
    assert "--resume" in plain(refused)
    again = invoke(*arguments, "--resume")
    assert again.exit_code == 0, again.output
    assert len(calls) == 4


def test_a_point_that_fails_is_told_and_the_command_succeeds(invoke):
    found = invoke("sweep", "swept_module:picky", "gain", 0.5, 0.7, "--points", 2)
    assert found.exit_code == 0
    assert "failed at gain = 0.7: ArithmeticError: planted (swept_module.py, line 11)" in plain(found)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("swept_module:picky", "gain", 0.7, 0.9, "--points", 2),
            "ArithmeticError: planted (swept_module.py, line 11)",
        ),
        (("swept_module:make", "gian", 0.7, 0.9, "--points", 2), "given gian"),
        (("swept_module:make", "gain", 0.9, 0.7), "do not increase"),
        (("swept_module:make", "gain", 0.0, 0.7, "--log"), "expected a positive number"),
        (("swept_module", "gain", 0.1, 0.7), "expected module:function"),
        (("logistic", "r", 3, 4, "--resume"), "--out"),
        (("logistic", "r", 3, 4, "--solver", "sequential"), "expected one that iterates"),
        (("logistic", "r", 3, 4, "--plot", "x.bmp"), ".png"),
        (("lorentz", "rho", 3, 4, "--points", 2), "lorenz"),
    ],
)
def test_wrong_usage_of_sweep(invoke, arguments, text):
    found = invoke("sweep", *arguments)
    assert found.exit_code == 2, found.output
    assert text in plain(found)


@pytest.mark.slow
def test_exponents_of_a_registered_system(invoke, folder):
    found = invoke("exponents", "henon", "--length", 4000, "--plot", "e.png")
    assert found.exit_code == 0, found.output
    text = plain(found)
    for words in ("henon, T = 4000, D = 2", "exponent 2", "Kaplan-Yorke", "Pesin sum", "in 20 windows", "drew e.png"):
        assert words in text
    assert "per unit of time" not in text
    assert (folder / "e.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_exponents_as_json_of_a_function_in_closed_form(invoke):
    found = invoke("exponents", "swept_module:spiral", "--length", 400, "--windows", 4, "--json")
    assert found.exit_code == 0, found.output
    record = result_of(found, "exponents")
    # Every second power of the matrix is -1: both exponents are zero.
    np.testing.assert_allclose(record["per_step"]["value"], 0, atol=0.01)
    assert np.shape(record["finite_time"]) == (4, 2)
    assert record["pesin_sum"]["low"] <= 0.01
    assert "per_time" not in record


@pytest.mark.slow
def test_exponents_per_unit_of_time_where_a_step_stands_for_some(invoke):
    found = result_of(invoke("exponents", "lorenz", "--length", 300, "--k", 1, "--json"), "exponents")
    np.testing.assert_allclose(found["per_time"]["value"], found["per_step"]["value"] / found["dt"])
    assert found["dt"] == 0.01
    assert found["pesin_sum"]["high"] is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("henon", "--k", 3), "k: given 3, expected at most D = 2"),
        (("swept_module:make", "--set", "gain=0.5", "--length", 91), "length: given 91, expected at most 90"),
        (("swept_module:make",), "missing a required argument: 'gain'"),
        (("swept_module",), "expected module:function"),
    ],
)
def test_wrong_usage_of_exponents(invoke, arguments, text):
    found = invoke("exponents", *arguments)
    assert found.exit_code == 2, found.output
    assert text in plain(found)
