"""Tests of ``parascan.torch`` run where PyTorch is installed, with 64-bit numbers."""

import importlib.util

import jax
import pytest

THERE = importlib.util.find_spec("torch") is not None
collect_ignore_glob = [] if THERE else ["test_torch_*.py"]


@pytest.fixture
def x64():
    """64-bit numbers, which gradients by differences need."""
    with jax.enable_x64(True):
        yield
