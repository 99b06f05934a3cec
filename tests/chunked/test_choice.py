"""How many chunks a call gets where nothing is measured."""

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from parascan.chunked import adjoint_pays, choose_chunks
from parascan.chunked.chunk_count import choose_patience, followed
from parascan.programs import built_in
from parascan.programs.built_in import here
from parascan.programs.cost import Kind, kind_of, largest_batch, step_seconds
from parascan.programs.suitability import unrewarding
from parascan.programs.work import counted, operations

STEP = 2000.0


@pytest.fixture(autouse=True)
def this_machine(monkeypatch):
    """What the default knows of the machine, whichever one this is: what comes with the library."""
    monkeypatch.setattr(built_in, "detected", dict)
    built_in.of_platform.cache_clear()
    yield
    built_in.of_platform.cache_clear()


def chosen(length, size, batch=1, work=STEP):
    return choose_chunks(length, size, work, batch, platform="cpu")


def test_whole_vectors_or_none():
    """The divisors of 12500 are 20, 25 and 50, which leave vectors half empty; those of 10000 include 40."""
    assert chosen(12_500, 32) == 0
    assert chosen(10_000, 32) == 40
    assert chosen(7919, 32) == 0


def test_blocks_are_longer_where_a_start_is_forgotten_later():
    """In double precision after twice the steps: chunks as for single precision would find no time for it."""
    for size, work in ((8, 200.0), (16, STEP), (64, 40_000.0)):
        single, double = (choose_chunks(17_984, size, work, platform="cpu", double=flag) for flag in (False, True))
        assert double == 32
        assert single >= 64
    assert choose_chunks(10_000, 64, 40_000.0, platform="cpu", double=True) == 16
    assert choose_chunks(17_984, 64, 40_000.0, platform="gpu", double=True) > 32


def test_a_copy_of_the_outputs_is_worth_whole_vectors_in_long_blocks():
    """No number of chunks above 32 and up to 64 divides 10^5 but 40 and 50, and none divides a prime."""

    def with_copy(length, copy):
        return choose_chunks(length, 16, 3000.0, platform="cpu", copy=copy)

    assert [with_copy(100_000, copy) for copy in (0.05, 0.5, None)] == [64, 32, 32]
    assert with_copy(20_000, 0.05) == 32
    assert [with_copy(100_003, copy) for copy in (0.05, 0.5, None)] == [64, 0, 0]
    assert choose_chunks(100_003, 16, 3000.0, devices=2, platform="cpu", copy=0.05) == 0


@pytest.mark.parametrize(("length", "size", "copy", "chunks"), [(11_130, 18, 0.057, 16), (89_198, 16, 0.284, 32)])
def test_a_copy_costs_what_it_takes_and_no_more(length, size, copy, chunks):
    """LSTMs of 9 and 8 units in double precision were run one step after the other, at half the speed."""
    given = {"platform": "cpu", "double": True, "kind": Kind.OTHER}
    assert choose_chunks(length, size, 1000.0, copy=copy, **given) == chunks
    assert choose_chunks(length, size, 1000.0, copy=0.6, **given) == 0


def test_few_blocks_on_each_of_many_devices_count_together():
    assert choose_chunks(17_984, 64, 40_000.0, platform="cpu") == 64
    assert choose_chunks(17_984, 64, 40_000.0, devices=8, platform="cpu") == 8


def test_chunks_of_large_states_share_the_cache():
    """Twice as many as fill a vector where there is one sequence, and no more of a whole batch."""
    assert chosen(65_536, 100) == 32
    assert [chosen(65_536, 100, batch) * batch for batch in (2, 4, 8, 16)] == [32, 32, 32, 0]
    assert [chosen(65_536, 24, batch) * batch for batch in (2, 4, 8, 16)] == [64, 128, 128, 128]


@pytest.mark.parametrize("units", [40, 64, 96])
def test_networks_that_are_fast_alone_take_many_chunks_or_none(units):
    """Sixteen chunks of a network whose weights fit the nearest cache were slower than one step after the other."""
    work = 2 * units**2 + 10 * units
    assert chosen(16 * 701, units, work=work) == 0
    assert chosen(32 * 700, units, work=work) == 32
    assert chosen(16 * 701, 128, work=34_000) == 16


def test_a_gain_that_is_small_is_not_spent_on_forgetting():
    many, few = (choose_patience(1200, 32, work, platform="cpu").most for work in (30_000, 9000))
    assert (many, choose_patience(1200, 32, 9000, platform="gpu").most) == (400, 400)
    assert 0 < few < 200


def test_the_trial_of_a_chaotic_system_takes_a_small_part_of_its_time():
    """In rows of eight pairs of copies, which take the time of some 10 steps, and of 32 chunks on an accelerator."""
    for block in (200, 2000, 20_000):
        trial = choose_patience(block, 32, 34_000, platform="cpu").trial
        assert trial > 8
        assert trial * 10 < 0.03 * 32 * block
    assert choose_patience(2000, 32, 34_000, platform="gpu").trial == 1280


@pytest.mark.parametrize(("units", "length"), [(4, 40_000), (16, 20_000), (64, 10_500), (128, 2600)])
def test_sequences_of_a_millisecond_are_left_alone(units, length):
    """The parallel form costs some 30 to 50 microseconds at least, which is to stay below a twentieth."""
    W = jnp.zeros((units, units))
    closed = jax.make_jaxpr(lambda s, x: jnp.tanh(W @ s + x))(jnp.zeros(units), jnp.zeros(units))
    assert "its steps are few and small" in unrewarding(closed, length // 2, units)
    assert unrewarding(closed, length, units) is None


def rewarding(step, length, size=2, dtype=jnp.float32, batch=1):
    closed = jax.make_jaxpr(lambda s, x: (step(s, x),) * 2)(jnp.zeros(size, dtype), jnp.zeros(size, dtype))
    return unrewarding(closed, length, size, batch=batch)


def test_small_steps_are_few_by_what_they_wait_for():
    """A tanh alone waits some ten nanoseconds, whatever the number of entries; a sum hardly any."""
    assert rewarding(lambda s, x: jnp.tanh(s + x), 60_000) is None
    assert "its steps are few and small" in rewarding(lambda s, x: jnp.tanh(s + x), 30_000)
    assert "its steps are few and small" in rewarding(lambda s, x: 0.9 * s + x, 120_000)
    assert rewarding(lambda s, x: jnp.tanh(s + x), 40_000, size=1) is None
    assert "its steps are few and small" in rewarding(lambda s, x: jnp.tanh(s + x), 20_000, size=1)


def test_what_inputs_alone_decide_is_not_waited_for():
    """A function of the input is computed ahead, while steps wait for one another; one of the state is not."""
    of_input, of_state = (
        counted(jax.make_jaxpr(lambda s, x, step=step: (step(s, x),) * 2)(0.0, 0.0), 1, carried=[0])
        for step in (lambda s, x: s + jnp.tanh(x), lambda s, x: jnp.tanh(s) + x)
    )
    assert (of_input.vectorized, of_state.vectorized) == (0, 1)
    assert of_input.vectorized_entries == of_state.vectorized_entries == 1
    assert step_seconds(of_input, here("cpu")) < 0.5 * step_seconds(of_state, here("cpu"))


def test_small_steps_that_gain_nothing_are_left_alone():
    """What is moved into chunks and out again, and functions that are called for each entry anyway."""
    assert "it computes little" in rewarding(lambda s, x: 0.9 * s + x, 1_000_000)
    with jax.enable_x64(True):
        called = rewarding(lambda s, x: jnp.sin(jnp.sin(s) + x), 200_000, dtype=jnp.float64)
        assert "it computes little" in called
        assert rewarding(lambda s, x: jnp.tanh(jnp.tanh(s) + x), 200_000, dtype=jnp.float64) is None


def test_a_linear_system_of_few_entries_is_left_alone():
    """To move its inputs and states takes as long as its products; a function of them outlasts both."""
    for size in (5, 8, 12):
        weights = jnp.ones((size, size))
        assert "it computes little" in rewarding(lambda s, x, w=weights: w @ s + x, 200_000, size=size)
        assert rewarding(lambda s, x, w=weights: jnp.tanh(w @ s + x), 200_000, size=size) is None
    weights = jnp.ones((16, 16))
    assert rewarding(lambda s, x: weights @ s + x, 200_000, size=16) is None


def test_products_in_a_batch_are_calls_of_a_library():
    """A step of a small network takes ten times as long in a batch of two as alone, and chunks of it hardly longer."""
    weights = jnp.ones((8, 8))
    network, linear = (lambda s, x: jnp.tanh(weights @ s + x)), (lambda s, x: weights @ s + x)
    assert "its steps are few and small" in rewarding(network, 16_000, size=8)
    assert rewarding(network, 16_000, size=8, batch=2) is None
    assert "it computes little" in rewarding(linear, 200_000, size=8)
    assert rewarding(linear, 200_000, size=8, batch=2) is None
    elementwise = rewarding(lambda s, x: jnp.tanh(0.5 * s + x), 16_000, size=8, batch=2)
    assert elementwise == rewarding(lambda s, x: jnp.tanh(0.5 * s + x), 16_000, size=8)


def test_gradients_by_inputs_alone_go_back_in_chunks_in_a_small_batch():
    weights = jnp.ones((32, 32))
    closed = jax.make_jaxpr(lambda s, x: (jnp.tanh(weights @ s + x),) * 2)(jnp.zeros(32), jnp.zeros(32))
    work = counted(closed, 32)
    assert [adjoint_pays(32, work, batch, weights=False) for batch in (1, 2, 4, 6)] == [False, True, True, False]
    assert all(adjoint_pays(32, work, batch) for batch in (1, 2, 4, 6))


def test_a_power_may_be_a_few_products():
    """XLA makes products of a power whose exponent it knows: 16 nanoseconds of a step with five of them."""
    assert rewarding(lambda s, x: jnp.power(jnp.power(s, 4.0) + x, 2.5), 100_000) is not None


def test_small_steps_take_few_chunks():
    """Their rows cost little to set out, and long chunks leave room for a long memory, which few copies look for."""
    assert chosen(100_000, 2, work=30.0) == 400
    assert choose_chunks(100_000, 2, 30.0, platform="cpu", kind=Kind.SMALL) == 32
    assert choose_chunks(10_240, 1, 30.0, platform="cpu", kind=Kind.SMALL) == 32
    small, large = (choose_patience(3125, 32, 30.0, platform="cpu", kind=kind) for kind in (Kind.SMALL, Kind.OTHER))
    assert (small.gap, large.gap, small.most) == (16, 8, 3125 // 3)


def test_a_few_pairs_of_copies_stand_for_a_whole_batch():
    """On an accelerator, where a row takes as long whatever its width, copies run beside all chunks."""
    assert [followed(32, batch) for batch in (1, 2, 8, 16)] == [8, 4, 1, 1]
    assert followed(4, 1) == 4
    assert choose_patience(2000, 32, 34_000, platform="gpu").gap is None


def test_gates_are_not_near():
    """One product of middling size is at its fastest alone; a cell with gates, of as many operations, is not."""
    W = jnp.zeros((24, 24))
    single = jax.make_jaxpr(lambda s, x: jnp.tanh(W @ s + x))
    gated = jax.make_jaxpr(lambda s, x: jax.nn.sigmoid(W @ x) * s + jax.nn.sigmoid(W @ s) * jnp.tanh(W @ s + x))
    s = jnp.zeros(24)
    assert (kind_of(gated(s, s), 24), operations(gated(s, s)) > 2500) == (Kind.OTHER, True)
    W = jnp.zeros((48, 48))
    assert kind_of(single(jnp.zeros(48), jnp.zeros(48)), 48) is Kind.NEAR


def test_a_batch_of_small_steps_is_parallel_already():
    """Sequences of a batch wait together: a tanh of one number gains up to a batch of four or so; a sum nothing."""
    few, many = (jax.make_jaxpr(lambda s, x: jnp.tanh(s + x))(jnp.zeros(size), jnp.zeros(size)) for size in (1, 8))
    most = largest_batch(few, 1, 100_000)
    assert (2 <= most <= 8, largest_batch(many, 8, 100_000)) == (True, 0 if most < 8 else 1)
    chunks = [
        choose_chunks(100_000, 1, 30.0, batch, platform="cpu", kind=Kind.SMALL, largest_batch=most)
        for batch in (1, most, most + 1)
    ]
    assert (chunks[0], chunks[1] > 0, chunks[2]) == (32, True, 0)
    product = jax.make_jaxpr(lambda s, x: jnp.tanh(jnp.eye(2) @ s + x))(jnp.zeros(2), jnp.zeros(2))
    assert largest_batch(product, 2, 100_000) > 10**6


def test_a_derivative_has_its_own_recurrence_where_the_way_back_is_slow():
    """Networks of every width, with gates or without; not steps of a few numbers, nor a batch that fills a vector."""

    def pays(units, inputs, batch=1):
        work = counted(network_of(units, inputs), units)
        return adjoint_pays(units, work, batch)

    assert [pays(units, 8) for units in (8, 16, 64, 128)] == [True] * 4
    assert not pays(2, 2)
    assert not pays(16, 8, batch=16)
    assert adjoint_pays(64, 64 * 400.0, 1)
    assert not adjoint_pays(64, 64 * 400.0, 8)


def network_of(units, inputs):
    """The program of a tanh network."""
    own, given = jnp.ones((units, units)), jnp.ones((units, inputs))
    return jax.make_jaxpr(lambda s, x: (jnp.tanh(own @ s + given @ x),) * 2)(jnp.ones(units), jnp.ones(inputs))


WEIGHTS = jnp.eye(64) / 2
WITH_A_TIME = {
    "filter": (lambda s, x, n: jnp.stack([1.2 * s[0] - 0.5 * s[1] + x * jnp.cos(0.01 * n), s[0]]), 2),
    "pendulum": (lambda s, x, n: s + 0.02 * jnp.stack([s[1], jnp.cos(0.1 * n) - jnp.sin(s[0]) - s[1]]), 2),
    "network": (lambda s, x, n: jnp.tanh(WEIGHTS @ s + jnp.sin(0.1 * n)), 64),
}


@pytest.mark.parametrize("name", WITH_A_TIME)
def test_a_counter_in_the_carry_is_no_work_that_a_step_waits_for(name):
    step, size = WITH_A_TIME[name]
    xs, times = jnp.ones(100_000), jnp.arange(100_000)
    given = ps.explain(lambda s, both: step(s, *both), jnp.zeros(size), (xs, times))
    counted_here = ps.explain(lambda c, x: (step(c[0], x, c[1]), c[1] + 1), (jnp.zeros(size), 0), xs)
    assert counted_here.way == given.way
