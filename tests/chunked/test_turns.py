"""Several rows in a turn, as accelerators run chunks: the same answers, the same judgment, and far fewer launches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_junctions import CHUNKS, SOLVER, WEIGHTS, T, inputs, run

import parascan as ps
from combinations import exhaustive
from parascan.chunked import Grid, Layout, passes, passes_in_turns
from parascan.chunked.acceptance import COMPARED
from parascan.planning import compiling_for
from parascan.programs.work import as_work


@pytest.fixture(autouse=True)
def made_for_an_accelerator():
    with compiling_for("gpu"):
        yield


def tanh(s, x):
    s = jnp.tanh(WEIGHTS @ s / 2 + x[1])
    return s, s


def check(run, *args, rtol=1e-5, atol=1e-6):
    """Compare a function of the scan that is to be used."""
    for found, expected in zip(*(jax.tree.leaves(run(scan, *args)) for scan in (ps.scan, jax.lax.scan)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("length", "reverse"), [(T + 37, True), *exhaustive([(T, False), (T, True), (T + 37, False)])])
def test_values_and_gradients_are_those_of_the_plain_loop(length, reverse):
    xs = jax.tree.map(lambda leaf: jnp.resize(leaf, (length, *leaf.shape[1:])), inputs([]))
    found = ps.rollout(tanh, jnp.zeros(12), xs, reverse=reverse)
    assert int(found.stats.chunks) == length // 128
    assert int(found.stats.warm_up) % COMPARED == 0
    for one, other in zip((found.carry, found.ys), jax.lax.scan(tanh, jnp.zeros(12), xs, reverse=reverse), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    def loss(scan, init):
        return jnp.sum(jnp.sin(scan(tanh, init, xs, reverse=reverse)[1]))

    check(lambda scan: jax.grad(lambda init: loss(scan, init))(jnp.ones(12)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.slow
def test_the_later_junction_is_looked_at(reverse, monkeypatch):
    """One chunk without a copy takes longer to forget its start; without the later junction it falls back."""
    xs = inputs([4 if reverse else 3], reverse)

    def stats():
        return run(ps.rollout, xs, solver=SOLVER, reverse=reverse).stats

    assert int(stats().chunks) == CHUNKS
    check(lambda scan: run(scan, xs, reverse=reverse, **({"solver": SOLVER} if scan is ps.scan else {})))
    for module in (passes, passes_in_turns):
        monkeypatch.setattr(module, "NEARLY", 0.0)
    assert bool(stats().fell_back)


def test_what_remembers_in_one_chunk_alone_is_taken_step_by_step():
    kept = np.full(T, 0.5, np.float32)
    kept[3 * (T // CHUNKS) : 4 * (T // CHUNKS)] = 1
    xs = jnp.asarray(kept), inputs([])[1]
    assert bool(run(ps.rollout, xs, solver=SOLVER).stats.fell_back)
    check(lambda scan: run(scan, xs, **({"solver": SOLVER} if scan is ps.scan else {})), rtol=0, atol=0)


def test_a_system_that_does_not_forget_is_given_up_within_the_trial():
    xs = jnp.ones(T), inputs([])[1]
    stats = run(ps.rollout, xs).stats
    assert bool(stats.fell_back)
    assert int(stats.warm_up) <= 128 - COMPARED
    check(lambda scan: run(scan, xs), rtol=0, atol=0)


def test_a_batch_is_further_chunks():
    given = jnp.stack([inputs([])[1], -2 * inputs([])[1]])
    check(lambda scan: jax.vmap(lambda x: scan(tanh, jnp.zeros(12), (x[:, 0], x)))(given))


@pytest.mark.slow
def test_steps_with_totals_and_odd_chunks_take_single_rows():
    solver = ps.Chunked(chunks=CHUNKS - 1)
    xs = inputs([])

    def loss(scan, weights, **options):
        return jnp.sum(
            jnp.sin(scan(lambda s, x: (jnp.tanh(weights @ s / 2 + x[1]),) * 2, jnp.zeros(12), xs, **options)[1])
        )

    for options in ({}, {"solver": solver}):
        found = jax.grad(lambda weights, options=options: loss(ps.scan, weights, **options))(WEIGHTS)
        expected = jax.grad(lambda weights: loss(jax.lax.scan, weights))(WEIGHTS)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("length", "size"), [(17_984, 64), (4096, 3), (100_003, 16), (10**6, 100)])
def test_rows_are_few(length, size):
    """A chunk has some 128 steps where the device has room for as many chunks, and few are left over."""
    grid = Layout(length, size, as_work(40_000.0)).grid(1)
    assert grid.turn == COMPARED
    assert grid.block % grid.turn == 0
    assert grid.length + grid.rest == length
    fitting = max(length * size * 4 // 2**20, 128)
    assert fitting <= grid.block + grid.rest < 1.4 * fitting + 16


@pytest.mark.parametrize("reverse", [False, True])
def test_a_turn_takes_and_puts_what_its_steps_do(reverse):
    grid = Grid(2, 3, 16, reverse, turn=8)
    blocks = jnp.arange(6 * 16 * 5.0).reshape(6, 16, 5)
    room, single = jnp.zeros_like(blocks), jnp.zeros_like(blocks)
    taken = grid.take_turn(blocks, jnp.int32(8))
    for step, rows in enumerate(taken):
        np.testing.assert_array_equal(rows, grid.take(blocks, jnp.int32(8 + step)))
        single = grid.put(single, rows, jnp.int32(8 + step))
    np.testing.assert_array_equal(grid.put_turn(room, taken, jnp.int32(8)), single)
