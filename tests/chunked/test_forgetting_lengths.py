"""The default finds blocks for cells in both precisions and over lengths that no number of blocks divides."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from chunked_runs import close, inputs, ran_in_chunks

import parascan as ps
from combinations import some


@pytest.mark.parametrize("dtype", some(["float32", "float64"], "float64"), indirect=True)
def test_a_cell_finds_the_time_to_forget_in_either_precision(dtype):
    """In double precision it would be given up with as many chunks as single precision takes: they are short."""
    cell = eqx.nn.GRUCell(6, 16, key=jax.random.key(1), dtype=dtype)

    def step(s, x):
        s = cell(x, s)
        return s, s

    xs, s0 = inputs(dtype, 17_984, D=6), jnp.zeros(16, dtype)
    close(ps.scan(step, s0, xs), jax.lax.scan(step, s0, xs), dtype)
    assert ran_in_chunks(step, s0, xs, chunks=None)


@pytest.mark.parametrize("reverse", some([False, True], True))
def test_a_cell_over_a_prime_number_of_steps_is_run_in_blocks(reverse):
    """What is left over is put together with the rest by a copy, which long sequences of cells are worth."""
    cell = eqx.nn.GRUCell(6, 16, key=jax.random.key(1), dtype=jnp.float32)

    def step(s, x):
        s = cell(x, s)
        return s, s

    xs, s0 = inputs("float32", 20_011, D=6), jnp.zeros(16, jnp.float32)
    close(ps.scan(step, s0, xs, reverse=reverse), jax.lax.scan(step, s0, xs, reverse=reverse), "float32")
    assert ran_in_chunks(step, s0, xs, chunks=None)
