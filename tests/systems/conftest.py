"""A setting that the tests of systems need on top of the common ones."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit numbers while the test runs."""
    with jax.enable_x64(True):
        yield
