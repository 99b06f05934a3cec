"""``parascan diagnose``: output, files, exit codes."""

import numpy as np
import pytest
from output import result_of
from typer.testing import CliRunner

from parascan.cli import app

MODULE = """
import jax.numpy as jnp


def driven():
    return (lambda s, x: 0.5 * jnp.tanh(s) + x), jnp.zeros(2), jnp.ones((400, 2))


def no_tuple():
    return 3


def broken():
    def step(s, x):
        return s / jnp.ones(3)

    return step, jnp.zeros(2), None


def unlucky():
    return 1 / 0


def counted():
    return (lambda s, x: (0.5 * s[0] + x["u"], s[1] + 1)), (jnp.ones(2), 0), {"u": jnp.ones((60, 2))}
"""


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Runs the command in a folder with a module of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "diagnosed_module.py").write_text(MODULE)
    return lambda *arguments: CliRunner().invoke(app, ["diagnose", *map(str, arguments)])


def test_help_says_what_can_be_diagnosed(invoke):
    found = invoke("--help")
    assert found.exit_code == 0
    assert "(step, init, xs)" in " ".join(found.output.replace("│", " ").split())


def test_a_function_is_diagnosed_printed_and_drawn(invoke, tmp_path):
    found = invoke("diagnosed_module:driven", "--length", 300, "--budget", 150, "--plot", "picture.png")
    assert found.exit_code == 0, found.output
    for text in ("verdict", "predictable", "newton", "T = 300, D = 2, float64", "drew picture.png"):
        assert text in found.output
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_json_is_the_record_of_a_registered_system(invoke):
    found = invoke("logistic", "--length", 200, "--set", "r=3.9", "--budget", 100, "--criterion", "merit", "--json")
    assert found.exit_code == 0, found.output
    record = result_of(found, "diagnose")
    assert record["criterion"] == "Merit(tol=1e-10)"
    assert record["verdict"] != "predictable"
    assert record["iterations"]["newton"]["value"] > 50


@pytest.mark.slow
def test_a_method_is_asked_about_by_its_name(invoke):
    options = ("diagnosed_module:driven", "--length", 60, "--budget", 30, "--json", "--solver")
    found = invoke(*options, "picard")
    assert found.exit_code == 0, found.output
    assert result_of(found, "diagnose")["iterations"]["solver"]["value"] > 1
    refused = invoke(*options, "chunked")
    assert refused.exit_code == 2
    assert "given Chunked, expected a causal iterative solver" in " ".join(refused.output.split())


@pytest.mark.slow
def test_steps_of_a_known_transient_are_left_out(invoke):
    costs = [
        result_of(invoke("logistic", "--length", 300, "--budget", 100, "--settle", settle, "--json"), "diagnose")[
            "cost"
        ]
        for settle in (0, 120)
    ]
    assert costs[1]["steps"] == costs[0]["steps"] + 120


def test_run_takes_a_function_whose_state_is_a_tree(invoke, tmp_path):
    found = CliRunner().invoke(
        app, ["run", "diagnosed_module:counted", "--length", "50", "--save", "x.npz", "--plot", "x.png"]
    )
    assert found.exit_code == 0, found.output
    assert "successful" in found.output
    with np.load(tmp_path / "x.npz") as stored:
        # s' = s / 2 + 1 from 1: 2 - 2^-t; the count is no state that floats.
        expected = 2 - 0.5 ** np.arange(1, 51)
        np.testing.assert_allclose(stored["states"], np.stack([expected] * 2, axis=1), rtol=1e-12)
        assert stored["inputs"].shape == (50, 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("diagnosed_module:broken", "--length", "9"), "TypeError: div got incompatible shapes"),
        (("diagnosed_module:driven", "--length", "401"), "length: given 401"),
    ],
)
def test_run_shows_errors_of_a_function_in_a_line(invoke, arguments, text):
    found = CliRunner().invoke(app, ["run", *arguments])
    assert found.exit_code == 2
    assert text in " ".join(found.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("diagnosed_module:missing",), "module:function"),
        (("no_such_module:f",), "module:function"),
        (("diagnosed_module",), "given 'diagnosed_module', a module, expected module:function"),
        (("diagnosed_module.py",), "not a file: diagnosed_module:make"),
        (("diagnosed_module",), "It defines driven, no_tuple, broken, unlucky"),
        (("json",), "a module, expected module:function"),
        (("diagnosed_module:driven", "--length", 401), "length: given 401, expected at most 400"),
        (("diagnosed_module:broken", "--length", 9), "(diagnosed_module.py, line 15)"),
        (("diagnosed_module:unlucky",), "ZeroDivisionError: division by zero (diagnosed_module.py, line 21)"),
        (("diagnosed_module:no_tuple",), "(step, init, xs)"),
        (("diagnosed_module:driven", "--set", "a=1"), "--set: given a, expected the arguments of"),
        (("no_such_system",), "no_such_system"),
        (("lorenz", "--plot", "picture.txt"), "picture.txt"),
    ],
)
def test_wrong_usage_is_exit_code_two(invoke, arguments, text):
    found = invoke(*arguments)
    assert found.exit_code == 2
    assert text in " ".join(found.output.replace("│", " ").split())
