"""The default solver gives the answer of ``jax.lax.scan``, whether the system forgets its start or not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chunked_runs import BLOCKS, close, inputs, mesh, ran_in_chunks, rnn

import parascan as ps
from combinations import fewer, one_of_each, product, single, some
from parascan.chunked import coupling_rows, passes


@pytest.mark.parametrize(
    ("T", "reverse", "dtype"),
    fewer(
        one_of_each(product([2048, 2051, 2063], [False, True], ["float32", "float64"])),
        "2063-False-float32",
        "2048-False-float32",
    ),
    indirect=["dtype"],
)
def test_a_system_that_forgets_is_run_in_blocks(T, reverse, dtype):
    step, s0, xs = rnn(dtype), jnp.ones(3, dtype), inputs(dtype, T)
    close(ps.scan(step, s0, xs, reverse=reverse, solver=BLOCKS), jax.lax.scan(step, s0, xs, reverse=reverse), dtype)
    assert ran_in_chunks(lambda s, x: (step(s, x)[0],) * 2, s0, xs)


@pytest.mark.parametrize(
    ("length", "reverse", "dtype"),
    fewer(one_of_each(product([512, 515], [False, True], ["float32", "float64"])), "512-False-float32"),
    indirect=["dtype"],
)
def test_a_chaotic_system_is_run_step_by_step(length, reverse, dtype):
    def step(s, x):
        s = 4 * s * (1 - s)
        return s, s

    s0 = jnp.asarray([0.3], dtype)
    given = ps.scan(step, s0, length=length, reverse=reverse, solver=BLOCKS)[1]
    expected = jax.lax.scan(step, s0, length=length, reverse=reverse)[1]
    first = slice(-20, None) if reverse else slice(20)
    np.testing.assert_array_equal(given[first], expected[first])
    assert given.shape == expected.shape
    assert not ran_in_chunks(step, s0, jnp.zeros(length))


@pytest.mark.parametrize("seed", some(range(4), 0))
def test_the_first_junction_is_enough_where_all_chunks_forget_alike(seed, monkeypatch):
    """Chunks without a copy are no nearer to the truth than those with one, so rows are added until all are there."""
    W = jnp.asarray(np.random.default_rng(seed).normal(size=(48, 48)) / 14, jnp.float32)

    def step(s, x):
        s = jnp.tanh(W @ s + x)
        return s, s

    monkeypatch.setattr(passes, "NEARLY", 0.0)
    xs = 0.5 * inputs("float32", 16384, D=48, seed=seed)
    assert ran_in_chunks(step, jnp.full(48, 0.1, jnp.float32), xs, chunks=16)


def two_wells(dtype, middle):
    """Two wells, a unit from the middle on either side; the trajectory is kicked out of the upper one at once."""

    def step(s, x):
        u = s - middle
        s = s + 0.2 * (u - u**3) + x
        return s, s

    s0, kick = jnp.asarray(0.5, dtype), jnp.zeros(4096, dtype).at[3].set(-3.0)
    expected = jax.lax.scan(step, s0, kick)
    assert float(expected[1][-1]) < middle - 0.9
    return step, s0, kick, expected


# The kicked block takes its time at first, for which it is not to be given up.
PATIENT = ps.Chunked(chunks=8, trial_steps=64)


@single
def test_wells_in_which_twins_part_are_run_step_by_step(dtype):
    """A twin that is mirrored falls into the other well."""
    step, s0, kick, expected = two_wells(dtype, 0.0)
    rollout = ps.rollout(step, s0, kick, solver=PATIENT)
    close(rollout.ys, expected[1], dtype)
    assert (int(rollout.stats.chunks), bool(rollout.stats.fell_back)) == (0, True)


@single
def test_twins_that_meet_in_the_wrong_place_are_found_out(dtype, monkeypatch):
    """All foreign starts and their twins, mirrored or not, fall into one well; the true trajectory is in the other."""
    step, s0, kick, expected = two_wells(dtype, -0.8)
    close(ps.scan(step, s0, kick, solver=PATIENT), expected, dtype)
    monkeypatch.setattr(passes, "excess", lambda true, *_: jnp.zeros(jax.tree.leaves(true)[0].shape[1], jnp.float32))
    wrong = ps.scan(lambda s, x: step(s, x), s0, kick, solver=PATIENT)[1]
    assert float(wrong[-1]) > 0.1


@pytest.mark.parametrize(
    ("leaves", "seed", "dtype"), one_of_each(product([1, 2], range(4), ["float32", "float64"])), indirect=["dtype"]
)
def test_regimes_that_differ_in_a_difference_of_entries_are_seen(leaves, seed, dtype):
    """Copies with all entries moved alike would stay in the regime of their chunk, and the judge find out too late."""

    def step(s, x):
        old = jnp.stack(s) if leaves == 2 else s
        new = jnp.tanh(8 * old[::-1] - 7 * old + x)
        return (tuple(new) if leaves == 2 else new), new

    init = (jnp.zeros((), dtype),) * 2 if leaves == 2 else jnp.zeros(2, dtype)
    xs = inputs(dtype, 4096, D=2, seed=seed)
    assert not jax.jit(lambda init, xs: coupling_rows(jax.tree_util.Partial(step), init, xs, 4096, 8)[0])(init, xs)


@single
def test_a_later_meeting_is_mended_by_a_second_pass(dtype):
    """Where one block forgets more slowly than those with a twin, its end is right after another pass."""
    slow = jnp.full(960, 0.2, dtype).at[125:160].set(1.0)

    def step(s, x):
        s = x * s + jnp.sin(s) * 0.1 + 1
        return s, s

    s0 = jnp.asarray(0.0, dtype)
    expected = jax.lax.scan(step, s0, slow)
    close(ps.scan(step, s0, slow, solver=ps.Chunked(chunks=16)), expected, dtype)


@pytest.mark.parametrize("T", some([0, 1, 7, 8, 9, 31, 32, 33, 40, 255, 256, 263], 0, 1, 7, 8, 9, 31, 255, 263))
def test_short_sequences(T):
    """Chunks have 32 steps at least; where so many were asked for that they would have fewer, this is refused."""
    step, s0, xs = rnn("float32"), jnp.ones(3), inputs("float32", T)
    expected = jax.lax.scan(step, s0, xs)
    close(ps.scan(step, s0, xs), expected, "float32")
    for blocks in (1, 8):
        solver = ps.Chunked(chunks=blocks)
        if 0 < T < 32 * blocks:
            with pytest.raises(ValueError, match=rf"given Chunked\(chunks={blocks}\), but it is short"):
                ps.scan(step, s0, xs, solver=solver)
        else:
            close(ps.scan(step, s0, xs, solver=solver), expected, "float32")


def test_any_carry(getkey):
    """Several leaves, of several dtypes, shapes and kinds; a counter and a key among them."""
    cell = eqx.nn.LSTMCell(2, 4, key=getkey())

    def step(carry, x):
        key, draw = jax.random.split(carry["key"])
        noise = 0.1 * jax.random.normal(draw, (2,))
        h, c = cell(x + noise, carry["hc"])
        z = 0.5 * jnp.exp(1j * 0.3) * carry["z"] + jnp.sum(h)
        carry = {"hc": (h, c), "z": z, "n": carry["n"] + 1, "key": key, "half": carry["half"] / 2}
        return carry, {"h": h, "n": carry["n"], "odd": carry["n"] % 2 == 1, "none": None}

    init = {
        "hc": (jnp.zeros(4), jnp.ones(4)),
        "z": jnp.zeros((2, 1), complex),
        "n": jnp.int32(3),
        "key": getkey(),
        "half": jnp.ones((), jnp.bfloat16),
    }
    xs = inputs("float32", 520, 2)
    close(ps.scan(step, init, xs, solver=BLOCKS), jax.lax.scan(step, init, xs), "float32", units=2**18)


def test_a_part_of_the_carry_without_entries():
    def step(carry, x):
        state = 0.5 * carry["state"] + x
        return {"state": state, "empty": carry["empty"]}, state

    init, xs = {"state": jnp.ones(3), "empty": jnp.zeros(0)}, inputs("float32", 2048)
    close(ps.scan(step, init, xs, solver=BLOCKS), jax.lax.scan(step, init, xs), "float32")
    assert ran_in_chunks(step, init, xs)


@pytest.mark.parametrize("reverse", some([False, True], True))
def test_inputs_and_outputs_without_entries(reverse):
    def step(s, x):
        s = jnp.tanh(0.5 * s + x["full"])
        return s, (s, jnp.zeros((0, 3)), x["empty"])

    xs = {"full": inputs("float32", 2048), "empty": jnp.zeros((2048, 0))}
    expected = jax.lax.scan(step, jnp.ones(3), xs, reverse=reverse)
    close(ps.scan(step, jnp.ones(3), xs, solver=BLOCKS, reverse=reverse), expected, "float32")
    assert ran_in_chunks(step, jnp.ones(3), xs)


def test_rollout_says_what_ran_and_keeps_the_states():
    step, s0, xs = rnn("float32", 32), jnp.ones(32), inputs("float32", 16_000, 32)
    solution = ps.rollout(step, s0, xs)
    assert isinstance(solution.solver, ps.Chunked)
    assert solution.result == ps.Result.successful
    states = jax.lax.scan(lambda s, x: (step(s, x)[0],) * 2, s0, xs)[1]
    close(solution.states, states, "float32")
    assert isinstance(ps.rollout(step, s0, xs[:4000]).solver, ps.Sequential)


@pytest.mark.parametrize("spoiled", [True, False])
def test_states_that_leave_the_finite_numbers_are_not_run_again(spoiled, monkeypatch):
    """The second run of the blocks would judge no better: after the first one follows the plain loop."""
    judged = []
    excess = passes.excess

    def counted(*args):
        jax.debug.callback(lambda: judged.append(1))
        return excess(*args)

    monkeypatch.setattr(passes, "excess", counted)
    xs = inputs("float32", 2048)
    # Late in a block, where twins have met long before.
    xs = xs.at[300 * 4 + 50].set(jnp.nan) if spoiled else xs
    step = rnn("float32")
    rollout = ps.rollout(lambda s, x: step(s, x), jnp.ones(3), xs, solver=BLOCKS, throw=False)
    jax.effects_barrier()
    assert (len(judged), bool(jnp.isnan(rollout.ys[0][-1]).all())) == (1, spoiled)
    assert not rollout.stats.fell_back
    assert (int(rollout.stats.repairs) > 0) == spoiled


def test_nan_in_the_inputs_comes_out_where_lax_scan_has_it():
    step, s0 = rnn("float32"), jnp.ones(3)
    xs = inputs("float32", 512).at[100].set(jnp.nan)
    given, expected = ps.scan(step, s0, xs, solver=BLOCKS)[1][0], jax.lax.scan(step, s0, xs)[1][0]
    np.testing.assert_array_equal(jnp.isnan(given), jnp.isnan(expected))
    np.testing.assert_allclose(given[:100], expected[:100], rtol=1e-5)


class TestRefusals:
    def test_wrong_arguments(self):
        with pytest.raises(TypeError, match=r"chunks: given 1\.5"):
            ps.Chunked(chunks=1.5)
        with pytest.raises(ValueError, match="chunks: given 0"):
            ps.Chunked(chunks=0)
        with pytest.raises(TypeError, match="mesh: given int"):
            ps.Chunked(mesh=3)
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]).reshape(2, 2), ("a", "b"))
        with pytest.raises(ValueError, match="mesh: given axes"):
            ps.Chunked(mesh=mesh)

    def test_a_step_with_side_effects_is_run_in_order(self):
        seen = []

        def step(s, x):
            jax.debug.callback(lambda x: seen.append(int(x)), x, ordered=True)
            return 0.5 * s + x, s

        with pytest.raises(ValueError, match=r"solver: given Chunked\(chunks=8\), but it has side effects"):
            ps.scan(step, jnp.float32(0), jnp.arange(512.0), solver=BLOCKS)
        jax.block_until_ready(ps.scan(step, jnp.float32(0), jnp.arange(512.0)))
        jax.effects_barrier()
        assert seen == list(range(512))

    def test_keys_that_differ_in_a_batch(self):
        def step(s, key):
            return 0.5 * s + jax.random.normal(key), s

        keys = jax.random.split(jax.random.key(0, impl="rbg"), 512)
        with pytest.raises(ValueError, match=r"Chunked\(chunks=8\), but its random numbers depend on the batch"):
            ps.rollout(step, jnp.float32(0), keys, solver=BLOCKS)
        solution = ps.rollout(step, jnp.float32(0), keys)
        assert isinstance(solution.solver, ps.Sequential)
        loop = jax.jit(lambda keys: jax.lax.scan(step, jnp.float32(0), keys)[1])
        np.testing.assert_array_equal(ps.scan(step, jnp.float32(0), keys)[1], loop(keys))

    def test_a_discrete_leaf_that_depends_on_the_state(self):
        def step(carry, x):
            s, count = carry
            return (0.5 * s + x, count + (s > 0)), count

        init = (jnp.float32(0), jnp.int32(0))
        xs = inputs("float32", 9000, 1)[:, 0]
        given, expected = ps.scan(step, init, xs), jax.lax.scan(step, init, xs)
        np.testing.assert_array_equal(given[1], expected[1])

    def test_inside_shard_map(self):
        step, xs = rnn("float32"), inputs("float32", 9000)
        spec = jax.sharding.PartitionSpec("time")

        def run(scan):
            return jax.shard_map(
                lambda x: scan(step, jnp.ones(3), x[0])[1][0][None],
                mesh=mesh(2),
                in_specs=spec,
                out_specs=spec,
                check_vma=False,
            )(jnp.stack([xs, xs]))

        close(run(ps.scan), run(jax.lax.scan), "float32")
