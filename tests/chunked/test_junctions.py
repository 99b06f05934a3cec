"""A chunk without a copy that takes longer to forget its start: the later junction joins its two runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some
from parascan.chunked import AbstractTally, Layout, passes, scan_blocks, tally_blocks

CHUNKS, ROWS, D = 16, 256, 12
T = CHUNKS * ROWS
SLOW = 40
"""Rows for which one chunk forgets slowly."""


def keeping(slowly):
    """How much of a state each step keeps: half, and more at the start of the chunks that forget slowly."""
    kept = np.full((CHUNKS, ROWS), 0.5, np.float32)
    kept[slowly, :SLOW] = 0.8
    kept[slowly, ROWS - SLOW :] = 0.8
    return jnp.asarray(kept.reshape(T))


def inputs(slowly, reverse=False):
    """What the steps keep, and what comes in; the last chunk comes first where time is reversed."""
    kept = keeping(slowly)
    given = jnp.asarray(np.random.default_rng(0).normal(size=(T, D)), jnp.float32)
    return (kept[::-1] if reverse else kept), given


def step(weights, s, x):
    kept, given = x
    s = kept * (weights @ s) + given
    return s, s


WEIGHTS = jnp.asarray(np.linalg.qr(np.random.default_rng(1).normal(size=(D, D)))[0], jnp.float32)
"""They turn a state and leave its length; their cotangents are totals over all steps."""
SOLVER = ps.Chunked(chunks=CHUNKS, trial_steps=64)


def run(scan, xs, weights=WEIGHTS, **options):
    return scan(lambda s, x: step(weights, s, x), jnp.zeros(D), xs, **options)


def ran(xs, **options):
    return run(ps.rollout, xs, solver=SOLVER, **options)


@pytest.mark.parametrize("reverse", some([False, True], True))
def test_values_and_gradients_of_the_later_junction(reverse, monkeypatch):
    """Odd chunks have no copy. Totals of the rows between the junctions are those of the true run alone."""
    xs = inputs([4 if reverse else 3], reverse)
    found = ran(xs, reverse=reverse)
    assert (int(found.stats.chunks), bool(found.stats.fell_back)) == (CHUNKS, False)
    expected = run(jax.lax.scan, xs, reverse=reverse)
    for one, other in zip((found.carry, found.ys), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    def loss(scan, **options):
        return jax.grad(lambda weights: jnp.sum(jnp.sin(run(scan, xs, weights, reverse=reverse, **options)[1])))

    np.testing.assert_allclose(loss(ps.scan, solver=SOLVER)(WEIGHTS), loss(jax.lax.scan)(WEIGHTS), rtol=2e-4, atol=1e-3)
    monkeypatch.setattr(passes, "NEARLY", 0.0)
    jax.clear_caches()
    assert ran(xs, reverse=reverse).stats.repairs > 0


class Weighed(AbstractTally):
    """The step, which adds to the totals what it is given times the state before it."""

    weights: jax.Array

    def __call__(self, carry, x):
        return self.tally(carry, x)[:2]

    def tally(self, carry, x):
        (after, y) = step(self.weights, carry, x)
        return after, (y, carry), jnp.outer(x[1], carry)

    def again(self, y, x, counted):
        return y[1], (x[0], jnp.where(counted, x[1], 0))


def test_totals_of_the_rows_between_two_junctions_are_counted_once(monkeypatch):
    """Where the earlier junction is accepted they are those of the run from arbitrary starts, else of the true run."""
    states = jnp.concatenate([jnp.zeros((1, D)), run(jax.lax.scan, inputs([3]))[1][:-1]])
    layout = Layout(T, D, 2.0 * D**2, chunks=CHUNKS, trial=64)
    arguments = Weighed(WEIGHTS), jnp.zeros(D), inputs([3]), layout
    assert int(scan_blocks(*arguments)[2].chunks) == CHUNKS
    totals = tally_blocks(*arguments)[2]
    np.testing.assert_allclose(totals, inputs([3])[1].T @ states, rtol=1e-4, atol=1e-3)
    jax.clear_caches()
    monkeypatch.setattr(passes, "NEARLY", 0.0)
    assert int(scan_blocks(*arguments)[2].chunks) == 0


def test_a_chunk_that_does_not_forget_by_the_later_junction_is_not_accepted():
    kept, given = inputs([3])
    kept = kept.reshape(CHUNKS, ROWS).at[3].set(0.999).reshape(T)
    found = ran((kept, given))
    assert (int(found.stats.chunks), int(found.stats.repairs)) == (CHUNKS, 1)
    expected = run(jax.lax.scan, (kept, given))
    for one, other in zip((found.carry, found.ys), expected, strict=True):
        # A memory of many steps adds up the rounding of each of them, the plain loop's too.
        units = 10 * float(jnp.finfo(other.dtype).eps) * float(jnp.max(jnp.abs(other)))
        np.testing.assert_allclose(one, other, rtol=0, atol=units)
