"""``parascan diagnose`` and ``plan`` on what a function returns of a Markov chain or a diffusion sampler."""

import pytest
from output import result_of
from typer.testing import CliRunner

from parascan.cli import app

MODULE = """
import jax.numpy as jnp

import parascan as ps


def chain():
    return ps.mcmc.mala(lambda x: -0.5 * jnp.sum(x**2), 0.5), jnp.zeros(2)


def walk():
    return ps.mcmc.random_walk(lambda x: -0.5 * jnp.sum(x**2), 0.5), jnp.zeros(2)


def sampler():
    return ps.samplers.ddpm(lambda x, t: jnp.tanh(x), ps.samplers.cosine_levels(40)), jnp.ones(2)
"""


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Runs a command in a folder with a module of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "module_of_chains.py").write_text(MODULE)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.slow  # a diagnosis compiles for seconds
def test_a_chain_is_foretold_beside_its_diagnosis(invoke):
    found = invoke("diagnose", "module_of_chains:chain", "--length", 300, "--budget", 100)
    assert found.exit_code == 0, found.output
    assert "As a chain: predictable" in found.output


@pytest.mark.slow  # compiled as the chain above
def test_a_random_walk_is_told_not_to_contract(invoke):
    found = invoke("diagnose", "module_of_chains:walk", "--length", 300, "--budget", 100)
    assert "As a chain: does not contract" in found.output


@pytest.mark.slow  # a diagnosis compiles for seconds, as that of the chain does
def test_a_sampler_is_diagnosed_over_its_steps(invoke):
    found = invoke("diagnose", "module_of_chains:sampler", "--json")
    assert found.exit_code == 0, found.output
    assert result_of(found, "diagnose")["length"] == 40


@pytest.mark.slow  # the same
def test_a_plan_is_made_of_both(invoke):
    for name in ("chain", "sampler"):
        found = invoke("plan", f"module_of_chains:{name}", "--no-measure", "--length", 40, "--json")
        assert found.exit_code == 0, found.output
        assert result_of(found, "plan")["length"] == 40


def test_a_sweep_takes_neither(invoke):
    found = invoke("sweep", "module_of_chains:chain", "gain", 0.1, 0.2)
    assert found.exit_code != 0
    assert "Traceback" not in found.output
