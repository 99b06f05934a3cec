"""The example of depth: its networks are what they say, and one whole run draws a picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples.depth.__main__ import input_of, main
from examples.depth.networks import Residual, Transformer, apply, plain, stacked
from typer import Typer
from typer.testing import CliRunner

import parascan as ps


def test_blocks_of_scale_zero_are_the_identity_and_others_are_not():
    x = input_of(Residual)
    apart = [jnp.abs(plain(stacked(Residual, 3, scale, jax.random.key(0)), x) - x).max() for scale in (0.0, 0.5)]
    assert float(apart[0]) == 0
    assert float(apart[1]) > 0.1


def test_a_token_sees_those_before_it_alone():
    x, blocks = input_of(Transformer), stacked(Transformer, 2, 1.0, jax.random.key(1))
    changed = np.abs(plain(blocks, x.at[5, 0].add(1.0)) - plain(blocks, x)).max(axis=1)
    assert (changed[:5] == 0).all()
    assert (changed[5:] > 1e-6).all()


@pytest.mark.slow
def test_a_stack_gives_what_the_plain_loop_gives():
    x, blocks = input_of(Transformer), stacked(Transformer, 4, 0.5, jax.random.key(1))
    np.testing.assert_allclose(ps.nn.depth(apply, blocks, solver=ps.picard())(x), plain(blocks, x), atol=1e-4)


@pytest.mark.slow  # every method is compiled for two networks
def test_a_run_draws_a_picture(tmp_path):
    app, picture = Typer(), tmp_path / "out" / "depth.png"
    app.command()(main)
    found = CliRunner().invoke(app, ["--residual", "8", "--transformer", "4", "--out", str(picture)])
    assert found.exit_code == 0, found.output
    assert "exponent" in found.output
    assert picture.stat().st_size > 10_000
