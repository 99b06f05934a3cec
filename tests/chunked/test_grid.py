"""Where the blocks of a batch of sequences lie."""

import jax.numpy as jnp
import numpy as np
import pytest

from parascan.chunked.grid import Grid


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_rows_picked_from_uncut_inputs_are_those_of_the_blocks(batch, reverse):
    """Three blocks of five steps of seventeen: the last two steps in time are beyond them."""
    grid = Grid(2, 3, 5, reverse)
    xs = jnp.arange(batch * 17 * 2.0).reshape(batch, 17, 2)
    blocks = grid.cut(xs)
    for step in range(5):
        np.testing.assert_array_equal(grid.picked(xs, jnp.int32(step)), grid.take(blocks, jnp.int32(step)))
    first = xs[0, -1] if reverse else xs[0, 0]
    place = 2 if reverse else 0
    np.testing.assert_array_equal(grid.picked(xs, jnp.int32(0))[:, place], first)
