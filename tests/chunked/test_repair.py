"""Chunks that remember their starts run again one step after the other, and no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chunked_runs import MARK

import parascan as ps
from combinations import some
from parascan.chunked import repair

T, CHUNKS = 16384, 32
BLOCK = T // CHUNKS
XS = jnp.asarray(np.random.default_rng(0).normal(size=(T, 3)), jnp.float32)
SOLVER = ps.Chunked(CHUNKS, trial_steps=60)


def forgetful(s, x):
    s = jnp.tanh(x[0] * s + 0.1 * x[1])
    return s, s


def gains(slow, steps=BLOCK // 2, reverse=False):
    """Factors by which a state is kept: nearly one in the first steps of some chunks, a half elsewhere."""
    kept = np.full((T, 3), 0.5, np.float32)
    for chunk in slow:
        kept[chunk * BLOCK : chunk * BLOCK + steps] = 0.999
    return jnp.asarray(kept[::-1] if reverse else kept)


def agreed(solution, expected):
    for mine, theirs in zip(jax.tree.leaves((solution.carry, solution.ys)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


# Copies follow every fourth chunk of a single sequence, in either direction: none of these.
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("slow", [[5], [2, 30], [5, 6, 9]])
def test_chunks_that_remember_run_again_and_others_are_kept(slow, reverse):
    xs = gains(slow, reverse=reverse), XS
    solution = ps.rollout(forgetful, jnp.ones(3), xs, solver=SOLVER, reverse=reverse)
    agreed(solution, jax.lax.scan(forgetful, jnp.ones(3), xs, reverse=reverse))
    assert int(solution.stats.repairs) == len(slow)
    assert (int(solution.stats.chunks), bool(solution.stats.fell_back)) == (CHUNKS, False)
    assert f"{len(slow)} of them did not forget their starts" in solution.explanation


def test_the_next_chunk_is_judged_anew_from_the_new_end():
    """A memory of the start that goes through all of a chunk, and through a part of the next."""
    xs = gains([5], BLOCK + BLOCK // 2), XS
    solution = ps.rollout(forgetful, jnp.ones(3), xs, solver=SOLVER)
    agreed(solution, jax.lax.scan(forgetful, jnp.ones(3), xs))
    assert int(solution.stats.repairs) == 2


def test_a_latch_that_flips_once_is_right_in_all_chunks_after_it():
    """Chunks agree with one another; after the flip all of them are wrong, and each has to be run again."""
    xs = jnp.ones((T, 3)).at[9 * BLOCK + 7].set(-1)

    def latch(s, x):
        s = jnp.tanh(3 * s * x)
        return s, s

    solution = ps.rollout(latch, jnp.ones(3), xs, solver=SOLVER)
    agreed(solution, jax.lax.scan(latch, jnp.ones(3), xs))


@pytest.mark.parametrize("own", some([False, True], True))
def test_a_batch_with_inputs_in_common_and_its_own(own):
    starts, slow = jnp.arange(1.0, 10.0).reshape(3, 3) / 4, gains([5, 9])
    several = jnp.stack([XS, -XS, XS[::-1]])
    xs, axes = ((slow, several), (0, (None, 0))) if own else ((slow, XS), (0, None))
    solution = jax.vmap(lambda s, x: ps.rollout(forgetful, s, x, solver=SOLVER), axes)(starts, xs)
    agreed(solution, jax.vmap(lambda s, x: jax.lax.scan(forgetful, s, x), axes)(starts, xs))
    assert solution.stats.repairs.tolist() == [2, 2, 2]


def test_gradients_are_those_of_the_plain_loop():
    def loss(scan, s, x):
        return jnp.sum(jnp.sin(scan(forgetful, s, (gains([5]), x))[1]))

    mine = jax.grad(lambda *args: loss(lambda *call: ps.scan(*call, solver=SOLVER), *args), argnums=(0, 1))
    theirs = jax.grad(lambda *args: loss(jax.lax.scan, *args), argnums=(0, 1))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        *(f(jnp.ones(3), XS) for f in (mine, theirs)),
    )


def test_where_most_chunks_remember_all_steps_are_taken_one_after_the_other():
    xs = gains([chunk for chunk in range(CHUNKS) if chunk % 4]), XS
    solution = ps.rollout(forgetful, jnp.ones(3), xs, solver=SOLVER)
    agreed(solution, jax.lax.scan(forgetful, jnp.ones(3), xs))
    assert (int(solution.stats.chunks), bool(solution.stats.fell_back)) == (0, True)


def test_no_answer_rests_on_the_order_of_chunks(monkeypatch):
    """A chunk that is taken for refused, and one whose outputs are spoiled before it is, give the same answer."""
    xs, before = (gains([]), XS), repair.repaired

    def suspicious(step, init, xs, ys, grid, found):
        ys = jax.tree.map(lambda leaf: leaf.at[:, 3 * BLOCK : 4 * BLOCK].set(MARK), ys)
        return before(step, init, xs, ys, grid, found._replace(refused=found.refused.at[3].set(True)))

    monkeypatch.setattr("parascan.chunked.engine.repaired", suspicious)
    solution = ps.rollout(lambda s, x: forgetful(s, x), jnp.ones(3), xs, solver=SOLVER)
    agreed(solution, jax.lax.scan(forgetful, jnp.ones(3), xs))
    assert int(solution.stats.repairs) == 1


def test_a_wrong_end_is_found_out_by_all_chunks_after_it(monkeypatch):
    """Each of them is judged from the end of the one before, whatever was accepted when all ran side by side."""
    xs, before = (gains([]), XS), repair.repaired

    def other_run_is_wrong(step, init, xs, ys, grid, found):
        other = jax.tree.map(lambda leaf: leaf + 0.01, found.other)
        return before(step, init, xs, ys, grid, found._replace(refused=found.refused.at[3].set(True), other=other))

    monkeypatch.setattr("parascan.chunked.engine.repaired", other_run_is_wrong)
    solution = ps.rollout(lambda s, x: forgetful(s, x), jnp.ones(3), xs, solver=SOLVER)
    agreed(solution, jax.lax.scan(forgetful, jnp.ones(3), xs))
    assert int(solution.stats.repairs) == CHUNKS - 3


def test_a_chunk_that_was_refused_is_not_judged_by_what_was_allowed_then(monkeypatch):
    """Its states were others then, and what was allowed of them says nothing of those from the new start."""
    xs, before = (gains([]), XS), repair.repaired

    def generous(step, init, xs, ys, grid, found):
        ys = jax.tree.map(lambda leaf: leaf.at[:, 3 * BLOCK : 5 * BLOCK].set(MARK), ys)
        allowed = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1e30), found.allowed)
        refused = found.refused.at[3:5].set(True)
        return before(step, init, xs, ys, grid, found._replace(refused=refused, allowed=allowed))

    monkeypatch.setattr("parascan.chunked.engine.repaired", generous)
    solution = ps.rollout(lambda s, x: forgetful(s, x), jnp.ones(3), xs, solver=SOLVER)
    agreed(solution, jax.lax.scan(forgetful, jnp.ones(3), xs))
    assert int(solution.stats.repairs) == 2
