"""``parascan diagnose``: output, files, exit codes."""

import json

import pytest
from typer.testing import CliRunner

from parascan.cli import app

MODULE = """
import jax.numpy as jnp


def driven():
    return (lambda s, x: 0.5 * jnp.tanh(s) + x), jnp.zeros(2), jnp.ones((400, 2))


def no_tuple():
    return 3
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


def test_json_is_the_record_of_a_registered_system(invoke):
    found = invoke("logistic", "--length", 200, "--set", "r=3.9", "--budget", 100, "--criterion", "merit", "--json")
    assert found.exit_code == 0, found.output
    record = json.loads(found.output)
    assert record["criterion"] == "Merit(tol=1e-10)"
    assert record["verdict"] != "predictable"
    assert record["iterations"]["newton"]["value"] > 50


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("diagnosed_module:missing",), "module:function"),
        (("no_such_module:f",), "module:function"),
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
