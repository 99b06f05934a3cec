"""What ``explain`` says beforehand is what a call then does; and nothing is run for it."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps

WEIGHTS = (np.random.default_rng(0).standard_normal((16, 16)) * 0.4 / 4).astype("float32")
LONG, SHORT = jnp.ones((40_000, 16)), jnp.ones((500, 16))
INIT = jnp.zeros(16)


def step(carry, x):
    carry = jnp.tanh(WEIGHTS @ carry + x)
    return carry, carry


def runs_chunks(call, *args):
    """Whether a call's program holds the chunks of the default, by what it leaves in ``solution.solver``."""
    return isinstance(jax.eval_shape(call, *args).solver, ps.Chunked)


def test_the_default_on_a_long_sequence():
    found = ps.explain(step, INIT, LONG)
    assert found.way == "chunks"
    assert found.chunks * found.steps_per_chunk + found.remaining == found.length == len(LONG)
    assert 0 < found.trial_steps <= found.longest_warm_up < found.steps_per_chunk
    assert 0 < found.trial_share < 0.05
    assert isinstance(found.solver, ps.Chunked)
    # Both times of the decision are named, and they are in the order that leads to chunks.
    whole, enough = (float(each) for each in re.findall(r"([\d.]+) ms", found.reason))
    assert whole >= enough > 0
    text = str(found)
    for number in (found.chunks, found.steps_per_chunk, found.longest_warm_up, found.trial_steps):
        assert str(number) in text
    assert runs_chunks(lambda xs: ps.rollout(step, INIT, xs), LONG)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"xs": SHORT}, "few and small"),
        ({"xs": LONG, "unroll": 4}, "unroll=4 asks for the plain loop"),
        ({"xs": LONG, "solver": ps.Sequential()}, "asked for by solver=Sequential"),
        ({"xs": LONG[:0]}, "few and small|no step to take"),
    ],
)
def test_one_step_after_the_other_with_its_reason(options, reason):
    found = ps.explain(step, INIT, **options)
    assert found.way == "one step after the other"
    assert found.chunks == found.steps_per_chunk == found.longest_warm_up == 0
    assert isinstance(found.solver, ps.Sequential)
    assert any(each in found.reason for each in reason.split("|"))
    assert found.reason in str(found)


def test_reasons_of_the_step_itself():
    def prints(carry, x):
        jax.debug.callback(lambda _: None, x[0])
        return step(carry, x)

    assert "side effects" in ps.explain(prints, INIT, LONG).reason
    assert "no floating leaf" in ps.explain(lambda n, _: (n + 1, n), jnp.asarray(0), length=100_000).reason


def test_a_batch_is_judged_as_the_call_under_vmap_is():
    one, many = (ps.explain(step, INIT, LONG, batch=count) for count in (4, 64))
    assert one.way == "chunks"
    assert many.way == "one step after the other"
    most = int(re.search(r"a batch of 64 .* tried in one of (\d+) at most", many.reason)[1])
    assert 4 <= most < 64
    assert [ps.explain(step, INIT, LONG, batch=each).way for each in (most, most + 1)] == [one.way, many.way]
    assert ps.explain(step, INIT, LONG, batch=4).chunks < ps.explain(step, INIT, LONG).chunks
    with pytest.raises(ValueError, match="batch: given 0, expected one or more"):
        ps.explain(step, INIT, LONG, batch=0)
    with pytest.raises(TypeError, match=r"batch: given 1.5, expected an integer"):
        ps.explain(step, INIT, LONG, batch=1.5)


def test_chunks_and_trial_of_ones_own():
    found = ps.explain(step, INIT, LONG, solver=ps.Chunked(chunks=40, trial_steps=100))
    assert (found.chunks, found.steps_per_chunk, found.trial_steps) == (40, 1000, 100)
    assert found.reason == "asked for by chunks=40"
    assert found.trial_share > ps.explain(step, INIT, LONG, solver=ps.Chunked(chunks=40)).trial_share
    spread = ps.explain(step, INIT, LONG, solver=ps.Chunked(chunks=10), mesh=jax.make_mesh((4,), ("time",)))
    assert spread.chunks == 40


def test_iterations_with_their_budget_criterion_and_memory():
    found = ps.explain(step, INIT, LONG, solver=ps.deer(), criterion=ps.Merit(1e-6), max_iterations=7)
    assert (found.way, found.method, found.budget) == ("iterations", "Newton", 7)
    assert "Merit" in found.criterion
    assert f"at most {found.budget} iterations" in str(found)
    assert found.memory > LONG.nbytes
    blocks = ps.explain(step, INIT, LONG, solver=ps.MultipleShooting(ps.deer(), 100))
    assert blocks.budget == 400
    assert blocks.memory < ps.explain(step, INIT, LONG, solver=ps.deer()).memory
    assert ps.explain(step, INIT, LONG, solver=ps.WithFallback(ps.deer(), budget=5)).budget == 5
    assert ps.explain(step, INIT, LONG[:0], solver=ps.deer()).way == "one step after the other"


@pytest.mark.slow
def test_a_plan_is_explained_as_the_solver_that_it_chose():
    plan = ps.plan(lambda s, _: 0.5 * s + 1, jnp.zeros(3), length=10)
    found = ps.explain(lambda s, _: 0.5 * s + 1, jnp.zeros(3), length=10, solver=plan)
    assert found.way == "one step after the other"
    assert found.reason == f"chosen by the plan: {'; '.join(plan.reasons)}"
    with pytest.raises(ValueError, match="solver: given a plan for"):
        ps.explain(step, INIT, SHORT, solver=plan)


def test_without_outputs_the_memory_is_that_of_the_states():
    found = ps.explain(lambda s, x: step(s, x)[0], INIT, LONG)
    assert found.memory >= LONG.nbytes
    options = {"solver": ps.Sequential(), "memory_limit": ps.explain(step, INIT, LONG, solver=ps.Sequential()).memory}
    jax.eval_shape(lambda xs: ps.rollout(lambda s, x: step(s, x)[0], INIT, xs, **options), LONG)


def test_the_memory_is_what_a_limit_is_held_against():
    for solver in (None, ps.Sequential(), ps.deer()):
        memory = ps.explain(step, INIT, LONG, solver=solver).memory
        ps.explain(step, INIT, LONG, solver=solver, memory_limit=memory)
        jax.eval_shape(lambda xs, s=solver, m=memory: ps.scan(step, INIT, xs, solver=s, memory_limit=m), LONG)
        with pytest.raises(ValueError, match="memory_limit: given"):
            jax.eval_shape(lambda xs, s=solver, m=memory: ps.scan(step, INIT, xs, solver=s, memory_limit=m - 1), LONG)


def test_it_refuses_what_the_call_refuses_and_takes_what_it_takes():
    with pytest.raises(ValueError, match="criterion: given together with the default solver"):
        ps.explain(step, INIT, LONG, criterion=ps.Merit())
    with pytest.raises(ValueError, match=r"Chunked\(chunks=600\), but"):
        ps.explain(step, INIT, SHORT, solver=ps.Chunked(chunks=600))
    with pytest.raises(ValueError, match="numbers of steps"):
        ps.explain(step, INIT, SHORT, 3)
    scan = list(inspect.signature(ps.scan).parameters)
    assert list(inspect.signature(ps.explain).parameters) == [name for name in scan if name != "throw"] + ["batch"]
    assert ps.explain(lambda s, x: step(s, x)[0], INIT, LONG).way == "chunks"


def test_the_step_is_traced_but_never_run():
    runs = []

    def counted(carry, x):
        jax.debug.callback(lambda: runs.append(1))
        return {"s": step(carry["s"], x)[0], "n": carry["n"] + 1}, None

    init = {"s": INIT, "n": jnp.asarray(0)}
    for solver in (None, ps.deer(), ps.Sequential()):
        ps.explain(counted, init, SHORT, solver=solver)
    jax.effects_barrier()
    assert runs == []
