"""What a plan says of an accelerator that it is made for."""

import jax.numpy as jnp
import pytest

import parascan as ps
from parascan.planning import compiling_for


@pytest.mark.slow  # two plans are made, each of which compiles for seconds
def test_what_an_accelerator_lets_expect_is_said():
    """A full device, the rival for standard cells, and which numbers nobody has measured."""
    W = jnp.eye(8) / 2

    def reasons(batch):
        with compiling_for("gpu"):
            return ps.plan(
                lambda s, x: jnp.tanh(W @ s + x), jnp.zeros(8), jnp.ones((4096, 8)), batch=batch, measure=False
            ).reasons

    few, many = reasons(1), reasons(10**7)
    assert any("cuDNN, FlashRNN" in each and "12 ms for 4096 steps" in each for each in few)
    assert any("launch, bandwidth, rate are not measured" in each for each in few)
    assert not any("fill the device" in each for each in few)
    assert any("10000000 sequences fill the device" in each for each in many)
