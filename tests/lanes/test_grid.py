"""Where the blocks of a batch of sequences lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from parascan.lanes.grid import Grid


def test_the_largest_magnitude_is_that_of_a_sequence_and_not_of_a_batch():
    """Two sequences of three blocks, states of two entries; what is not finite has no size."""
    states = jnp.asarray([[1.0, -4.0, 2.0, 10.0, 30.0, 20.0], [jnp.inf, 0.5, jnp.nan, 7.0, 0.0, -8.0]])
    given = Grid(2, 3, 5).largest({"s": states})["s"]
    np.testing.assert_array_equal(given, [[4, 4, 4, 30, 30, 30], [0.5, 0.5, 0.5, 8, 8, 8]])


def test_the_largest_magnitude_is_that_of_all_devices():
    mesh = Mesh(jax.devices(), ("time",))
    grid = Grid(1, 2, 5, axis="time", devices=mesh.size)
    states = jnp.arange(2.0 * mesh.size)
    spec = PartitionSpec("time")
    given = jax.shard_map(grid.largest, mesh=mesh, in_specs=spec, out_specs=spec)(states)
    np.testing.assert_array_equal(given, np.full(2 * mesh.size, 2 * mesh.size - 1))


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
