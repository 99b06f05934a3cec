"""What is accepted of blocks side by side: jumps as small as the entry's own rounding there and then, and no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chunked_runs import inputs, rnn
from remembering import gain_control, latch_with_bursts, relay, seasons

import parascan as ps
from combinations import exhaustive, some
from parascan.chunked import passes
from parascan.chunked.acceptance import COMPARED, SPREAD_UNITS, UNITS, allowances, excess
from parascan.programs.unrounded import exact_entries

NARROW = [jnp.bfloat16, jnp.float16]
F32 = jnp.float32


def same_as_the_plain_loop(problem, near, **options):
    """Each entry is near to that of ``jax.lax.scan``, in units of its own size; and how it ran."""
    step, init, xs = problem
    solution = ps.rollout(step, init, xs, **options)
    expected = jax.lax.scan(step, init, xs)[1]

    def one(a, b):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=near, atol=1e-30)

    jax.tree.map(one, solution.ys, expected)
    return solution


class TestMemories:
    """Answers of the default that were wrong without a word, each with relatives."""

    @pytest.mark.parametrize(("seed", "often"), [(1, 0.01), *exhaustive([(2, 0.03)])])
    def test_a_latch_with_rare_bursts(self, seed, often):
        same_as_the_plain_loop(latch_with_bursts(F32, 131072, seed, often=often), 1e-5)

    @pytest.mark.parametrize(
        ("dtype", "burst", "seed"),
        [(jnp.bfloat16, 30, 1), (jnp.float16, 300, 4), *exhaustive([(jnp.bfloat16, 30, 4), (jnp.float16, 300, 1)])],
    )
    def test_a_latch_with_bursts_in_few_digits(self, dtype, burst, seed):
        problem = latch_with_bursts(dtype, 16384, seed, burst, often=0.03)
        same_as_the_plain_loop(problem, 1e-5, solver=ps.Chunked(chunks=32))

    @pytest.mark.parametrize("dtype", some([F32, *NARROW], F32))
    def test_seasons(self, dtype):
        same_as_the_plain_loop(seasons(dtype, 32768 if dtype == F32 else 8192), 20 * float(jnp.finfo(dtype).eps))

    @pytest.mark.parametrize(("dtype", "quiet"), [(F32, 1e-5), *exhaustive([(F32, 1e-3), (jnp.bfloat16, 1e-2)])])
    def test_gain_control(self, dtype, quiet):
        problem = gain_control(dtype, 32768 if dtype == F32 else 8192, quiet)
        solution = ps.rollout(*problem)
        expected = np.asarray(jax.lax.scan(*problem)[1], float)
        # Outputs near zero are as inexact as the states that they are made of.
        assert np.max(np.abs(np.asarray(solution.ys, float) - expected)) < 60 * float(jnp.finfo(dtype).eps)

    @pytest.mark.parametrize(
        ("dtype", "offset", "apart", "by"),
        [
            (F32, 1e5, 0.08, "where"),
            *exhaustive([(F32, 1e5, 0.08, "sums")]),
            (F32, -1e3, 5e-4, "cond"),
            *exhaustive([(jnp.bfloat16, 8, 0.25, "sums")]),
        ],
    )
    def test_a_small_memory_on_a_large_offset(self, dtype, offset, apart, by):
        problem = relay(dtype, 32768 if dtype == F32 else 8192, offset, apart, by, network=16)
        solution = same_levels(problem, solver=ps.Chunked(chunks=32))
        assert solution.stats.fell_back | (solution.stats.repairs > 0)

    @pytest.mark.parametrize("by", ["where", "cond"])
    def test_a_memory_in_the_last_bit(self, by):
        """A level that is held is not rounded, so that not even one unit of rounding is excused."""
        offset = 1e5
        problem = relay(F32, 32768, offset, float(np.spacing(np.float32(offset))), by, network=16)
        assert same_levels(problem, solver=ps.Chunked(chunks=32)).stats.fell_back


def same_levels(problem, **options):
    step, init, xs = problem
    solution = ps.rollout(step, init, xs, **options)
    np.testing.assert_array_equal(solution.ys[1], jax.lax.scan(step, init, xs)[1][1])
    return solution


@pytest.mark.parametrize("solver", [None, ps.Chunked(chunks=16)])
def test_how_it_ran_is_told(solver):
    predictable = ps.rollout(rnn(F32, 32), jnp.ones(32), inputs(F32, 17984, 32), solver=solver).stats
    assert int(predictable.chunks) >= 16
    assert COMPARED < int(predictable.warm_up) < 100
    assert not predictable.fell_back
    chaotic = ps.rollout(rnn(F32, 32, gain=3.0), jnp.ones(32), inputs(F32, 17984, 32), solver=solver).stats
    assert (int(chaotic.chunks), bool(chaotic.fell_back)) == (0, True)
    short = ps.rollout(rnn(F32, 32), jnp.ones(32), inputs(F32, 100, 32)).stats
    assert (int(short.chunks), int(short.warm_up), bool(short.fell_back)) == (0, 0, False)


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_compared_are_steps_of_the_true_run(reverse, monkeypatch):
    """The states before and after, and the inputs, belong together, and so do those of the run from elsewhere."""
    apart, images = [], []

    def spied_allowances(step, before, true, xs, tolerance):
        images.append(jax.vmap(jax.vmap(lambda s, x: step(s, x)[0]))(before, xs))
        return allowances(step, before, true, xs, tolerance)

    def spied_excess(*runs_and_allowed):
        *runs, _ = runs_and_allowed
        largest = [
            jnp.max(jnp.abs(a - b))
            for run in runs
            for a, b in zip(*map(jax.tree.leaves, (images[-1], run)), strict=True)
        ]
        jax.debug.callback(lambda largest: apart.append(float(largest)), jnp.max(jnp.stack(largest)))
        return excess(*runs_and_allowed)

    monkeypatch.setattr(passes, "allowances", spied_allowances)
    monkeypatch.setattr(passes, "excess", spied_excess)
    step = rnn(F32, 32)
    ps.scan(lambda s, x: step(s, x), jnp.ones(32), inputs(F32, 4096, 32), solver=ps.Chunked(chunks=16), reverse=reverse)
    jax.effects_barrier()
    assert len(apart) == 1
    assert apart[0] < 1e-5


class TestExcess:
    """The rule by itself, on two runs of one block that differ as told."""

    def found(self, step, true, moved, x=None):
        """Excess for states ``[R + 1, D]`` of the true run, and the other run's distance from it ``[R, D]``."""
        true = jnp.asarray(true, F32)[:, None]
        x = jnp.zeros(COMPARED) if x is None else x
        other = true[1:] + jnp.asarray(moved, F32)[:, None]

        @jax.jit
        def judged(step, true, other, x):
            return excess(true[1:], other, allowances(step, true[:-1], true[1:], x))

        return judged(jax.tree_util.Partial(step), true, other, x[:, None]).item()

    def rounded(self, s, x):
        return 0.2 * s, s

    def states(self, *entries):
        return np.tile(entries, (COMPARED + 1, 1))

    def moved(self, units, entry=0, row=-1, size=1.0, entries=1):
        moved = np.zeros((COMPARED, entries))
        moved[row, entry] = units * np.finfo(np.float32).eps * size
        return moved

    @pytest.mark.parametrize("row", [0, 3, -1])
    def test_a_few_units_of_rounding_are_accepted_on_every_row_and_more_are_not(self, row):
        states = self.states(1.0)
        few, more = (self.found(self.rounded, states, self.moved(units, row=row)) for units in (UNITS, UNITS + 2))
        assert few <= 1 < more

    def test_an_entry_is_judged_by_its_own_size(self):
        states = self.states(2.0**20, 1.0)
        assert self.found(self.rounded, states, self.moved(UNITS, 0, size=2.0**20, entries=2)) <= 1
        assert self.found(self.rounded, states, self.moved(UNITS, 1, size=2.0, entries=2)) > 1

    def test_a_row_is_judged_by_its_own_size(self):
        states = self.states(1.0)
        states[1] = 2.0**20
        assert self.found(self.rounded, states, self.moved(UNITS, row=0, size=2.0**20)) <= 1
        assert self.found(self.rounded, states, self.moved(UNITS, row=-1, size=2.0**20)) > 1

    def test_an_entry_near_zero_may_have_the_error_of_what_it_is_a_sum_of(self):
        def step(s, x):
            return jnp.stack([0.5 * s[0] + 0.5, s[0] - s[1]]), s

        states = self.states(1.0, 1e-6)
        moved = self.moved(0.9 * SPREAD_UNITS, 1, entries=2)
        assert self.found(step, states, moved) <= 1
        assert self.found(step, states, 2.5 * moved) > 1

    def test_a_threshold_excuses_nothing(self):
        """On it, the smallest change of a state would make the largest of what follows."""

        def step(s, x):
            return jnp.where(s == 5, 0.5 * s, 0.5 * s + 100), s

        assert self.found(step, self.states(5.0), self.moved(100)) > 1

    def test_what_is_no_number_is_not_accepted_and_equal_infinities_are(self):
        moved = self.moved(0)
        moved[-1] = np.nan
        assert self.found(self.rounded, self.states(1.0), moved) == np.inf
        assert self.found(self.rounded, self.states(-np.inf), self.moved(0)) <= 1
        assert self.found(self.rounded, self.states(0.0), self.moved(1)) == np.inf

    def test_what_is_held_must_agree_to_the_bit(self):
        assert self.found(lambda s, x: (jnp.where(x > 0, 1.0, s), s), self.states(1.0), self.moved(1)) == np.inf


class TestExactEntries:
    @pytest.mark.parametrize(
        ("after", "exact"),
        [
            (lambda s, h, x: jnp.where(x > 0, s, x), True),
            (lambda s, h, x: jnp.where(h > 0, s, x), True),
            (lambda s, h, x: jnp.concatenate([x[None], s[None]])[1], True),
            (lambda s, h, x: jnp.maximum(s, x), True),
            (lambda s, h, x: jnp.sign(s + h), True),
            (lambda s, h, x: jax.lax.cond(x > 0, lambda: -s, lambda: x), True),
            (lambda s, h, x: jax.jit(lambda s: jnp.clip(s, -1, 1))(s), True),
            (lambda s, h, x: 3.0 + 0.1 * jnp.where(s > 3, 1.0, -1.0) * x, True),
            (lambda s, h, x: 3.0 + 0.1 * s, False),
            (lambda s, h, x: 3.0 + 0.1 * jnp.where(s > 3, s, -1.0), False),
            (lambda s, h, x: s.astype(jnp.bfloat16).astype(F32), False),
            (lambda s, h, x: jnp.where(x > 0, s, h), False),
            (lambda s, h, x: s + x, False),
            (lambda s, h, x: jax.lax.cond(x > 0, lambda: s * 2, lambda: x), False),
            (lambda s, h, x: jax.lax.fori_loop(0, 3, lambda _, s: -s, s), False),
        ],
    )
    def test_a_leaf_is_exact_where_nothing_rounds_it(self, after, exact):
        def step(carry, x):
            s, h = carry
            return (after(s, h, x), jnp.tanh(h)), x

        zero = jnp.zeros((), F32)
        assert [bool(each) for each in exact_entries(step, (zero, zero), zero)] == [exact, False]
