"""Commands as tests call them, and a process without matplotlib."""

import importlib.util

import jax
import pytest
from typer.testing import CliRunner

from parascan.cli import app


@pytest.fixture
def invoke():
    """Runs a command and returns its result; the process stays at its own precision."""
    before = jax.config.jax_enable_x64

    def run(*arguments):
        return CliRunner().invoke(app, [str(each) for each in arguments])

    yield run
    assert jax.config.jax_enable_x64 == before


@pytest.fixture
def no_matplotlib(monkeypatch):
    """The process as it is where matplotlib is not installed."""
    find = importlib.util.find_spec

    def found(name, *rest):
        return None if name == "matplotlib" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", found)
