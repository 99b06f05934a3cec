"""Where PyTorch is not installed, the error says how to install it, and these tests say that others are left out."""

import importlib.util
import subprocess
import sys

import pytest

HIDDEN = """
import sys
sys.modules["torch"] = None
try:
    import parascan.torch
except ImportError as error:
    print(error)
"""


def test_missing_package_is_named_with_the_line_that_installs_it():
    found = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True).stdout
    assert "torch is not installed, and parascan.torch needs it: pip install '.[torch]' in a clone" in found


def test_torch_is_there():
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed, so that parascan.torch is not tested: make torch")
    import parascan.torch

    assert parascan.torch.scan_function
