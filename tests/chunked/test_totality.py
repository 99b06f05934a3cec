"""Steps that must not be run off their own trajectory, or for several chunks at once, and those that may."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chunked_runs import close, inputs, ran_in_chunks

import parascan as ps
from combinations import exhaustive
from parascan.programs.totality import partial_reason

T, D = 5000, 3


def until_it_converges(s, x):
    """Solves y^3 + y = s + x by Newton, from where it is; from elsewhere it may take for ever."""

    def improve(state):
        y, _ = state
        new = y - (y**3 + y - s - x) / (3 * y**2 + 1)
        return new, jnp.max(jnp.abs(new - y))

    y, _ = jax.lax.while_loop(lambda state: state[1] > 1e-5, improve, (s, jnp.ones(())))
    return y, y


def until_it_is_small(s, x):
    s = jax.lax.while_loop(lambda s: jnp.max(jnp.abs(s)) > 1, lambda s: s / 2, s + x)
    return s, s


def as_often_as_the_state_says(s, x):
    s = jax.lax.fori_loop(0, jnp.int32(s[0] > 0) + 1, lambda _, s: 0.5 * s, s + x)
    return s, s


def for_ever_off_the_trajectory(s, x):
    """On its own trajectory the first entry is one, and the loop does not turn."""
    s = jax.lax.while_loop(lambda s: s[0] != 1, lambda s: s.at[0].add(0.0), s)
    s = jnp.tanh(s + x).at[0].set(1.0)
    return s, s


def checked(s, x):
    s = eqx.error_if(jnp.tanh(s + x), jnp.any(jnp.abs(s) > 1e3), "never")
    return s, s


def called_back(s, x):
    y = jax.pure_callback(np.tanh, jax.ShapeDtypeStruct(s.shape, s.dtype), s)
    return 0.5 * y + x, y


def called_back_in_a_branch(s, x):
    s = jax.lax.cond(x[0] > 9, lambda s: called_back(s, x)[0], jnp.tanh, s + x)
    return s, s


def rarely_costly(s, x):
    def costly(s):
        return jax.lax.fori_loop(0, 2000, lambda _, s: jnp.tanh(s + 0.01), s)

    s = jax.lax.cond(x[0] > 3.3, costly, lambda s: 0.5 * s, s + x)
    return s, s


def costly_in_one_of_three(s, x):
    def costly(s):
        weights = jnp.eye(D * 40) * 0.5
        return jnp.tanh(weights @ jnp.tile(s, 40))[:D]

    s = jax.lax.switch(jnp.int32(x[1] > 3), [jnp.tanh, costly, jnp.sin], s + x)
    return s, s


LOOPS = [until_it_converges, until_it_is_small, as_often_as_the_state_says, for_ever_off_the_trajectory]
CALLS = [checked, called_back, called_back_in_a_branch]


def a_costly_branch_in_a_loop(s, x):
    def inner(_, s):
        return jax.lax.cond(s[0] > 3, lambda s: jax.lax.fori_loop(0, 500, lambda _, s: jnp.tanh(s), s), jnp.tanh, s)

    s = jax.lax.fori_loop(0, 20, inner, s + x)
    return s, s


def a_costly_branch_as_often_as_the_input_says(s, x):
    def inner(_, s):
        return jax.lax.cond(s[0] > 3, lambda s: jax.lax.fori_loop(0, 50, lambda _, s: jnp.tanh(s), s), jnp.tanh, s)

    s = jax.lax.fori_loop(0, (5 + jnp.abs(x[0])).astype(int), inner, s + x)
    return s, s


BRANCHES = [
    rarely_costly,
    costly_in_one_of_three,
    a_costly_branch_in_a_loop,
    a_costly_branch_as_often_as_the_input_says,
]


def as_often_as_the_input_says(s, x):
    s = jax.lax.fori_loop(0, jnp.int32(x[0] > 0) + 1, lambda _, s: 0.5 * s, s + x)
    return s, s


def as_often_as_a_weight_says(count, s, x):
    s = jax.lax.fori_loop(0, count, lambda _, s: 0.5 * s, s + x)
    return s, s


def two_branches_alike(s, x):
    s = jax.lax.cond(s[0] > 0, lambda s: 0.5 * jnp.tanh(s), lambda s: 0.5 * jnp.sin(s), s + x)
    return s, s


def a_costly_branch_of_weights(weight, s, x):
    s = jax.lax.cond(weight > 0, lambda s: jax.lax.fori_loop(0, 50, lambda _, s: jnp.tanh(s), s), jnp.tanh, s + x)
    return s, s


TOTAL = [
    as_often_as_the_input_says,
    jax.tree_util.Partial(as_often_as_a_weight_says, jnp.int32(2)),
    two_branches_alike,
    jax.tree_util.Partial(a_costly_branch_of_weights, jnp.float32(1)),
]


def reason(step):
    program = jax.make_jaxpr(step)(jnp.zeros(D), jnp.zeros(D))
    return partial_reason(program, 1)


@pytest.mark.parametrize(("steps", "said"), [(LOOPS, "loop"), (CALLS, "Python"), (BRANCHES, "costly branch")])
def test_a_step_that_is_not_total_is_named(steps, said):
    assert [said in str(reason(step)) for step in steps] == [True] * len(steps)


def test_total_steps_are_left_alone():
    assert [reason(step) for step in TOTAL] == [None] * len(TOTAL)


@pytest.mark.parametrize("step", LOOPS + CALLS + BRANCHES)
def test_the_default_takes_its_own_trajectory_alone(step):
    """Each of these ended in an error, or never, or took every branch in every block."""
    # A network beside it makes the whole worth cutting.
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(64, 64)) * 0.05, jnp.float32)

    def both(carry, x):
        s, h = carry
        s, y = step(s, x)
        h = jnp.tanh(weights @ h + x[0])
        return (s, h), (y, h[0])

    init, xs = (jnp.ones(D), jnp.zeros(64)), inputs("float32", T, D)
    explained = str(ps.explain(both, init, xs))
    assert "one step after the other" in explained
    assert "few and small" not in explained
    close(ps.scan(both, init, xs), jax.lax.scan(both, init, xs), "float32", units=0)


@pytest.mark.parametrize("step", [TOTAL[0], *exhaustive([(TOTAL[1],)]), TOTAL[2]])
def test_total_steps_run_in_blocks_with_the_same_answers(step):
    xs = inputs("float32", 2048, D)
    assert ran_in_chunks(step, jnp.ones(D), xs)
    close(ps.scan(step, jnp.ones(D), xs, solver=ps.Chunked(chunks=8)), jax.lax.scan(step, jnp.ones(D), xs), "float32")


def test_a_plan_for_such_a_step_is_the_plain_loop():
    plan = ps.plan(until_it_converges, jnp.ones(D), inputs("float32", T, D))
    assert isinstance(plan.solver, ps.Sequential)
    assert "loop" in str(plan)


def test_what_is_alike_in_all_chunks_stays_so():
    """A counter of an inner loop is no array of chunks: what it ends, or indexes, would become one as well."""
    table = jnp.arange(6.0)

    def step(s, x):
        def inner(state):
            index, s = state
            return index + 1, 0.5 * s + table[index]

        last, s = jax.lax.while_loop(lambda state: state[0] < 4, inner, (jnp.int32(0), s + x))
        return s, (s, last)

    from parascan.programs.batching import over_chunks

    chunks = over_chunks(step, (True, True), jnp.zeros(D), jnp.zeros(D))
    program = str(jax.make_jaxpr(chunks)(jnp.zeros((D, 7)), jnp.zeros((D, 7))))
    assert "gather" not in program.replace("dynamic_slice", "") or "i32[7]" not in program
    xs = inputs("float32", 2048, D)
    close(ps.scan(step, jnp.ones(D), xs, solver=ps.Chunked(chunks=8)), jax.lax.scan(step, jnp.ones(D), xs), "float32")
