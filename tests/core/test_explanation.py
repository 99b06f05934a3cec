"""``solution.explanation`` says which way a call took, for every solver, and stands in the way of no transformation."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive, some
from parascan.solution import Reason

WEIGHTS = (np.random.default_rng(0).standard_normal((16, 16)) * 0.4 / 4).astype("float32")
LONG, SHORT = jnp.ones((40_000, 16)), jnp.ones((60, 16))
INIT = jnp.zeros(16)


def step(s, x):
    return jnp.tanh(WEIGHTS @ s + x)


def logistic(s, _):
    return 3.9 * s * (1 - s)


def test_chunks_with_their_numbers_and_the_reason_of_explain():
    found = ps.rollout(step, INIT, LONG)
    way, why = found.explanation.splitlines()
    assert way == f"{int(found.stats.chunks)} chunks side by side, warm-up of {int(found.stats.warm_up)} steps"
    assert why == f"  why: {ps.explain(step, INIT, LONG).reason}"
    assert str(found) == f"successful\n{found.explanation}"


def test_chunks_that_were_given_up():
    found = ps.rollout(logistic, jnp.asarray(0.3), length=300_000)
    before, _, after = found.explanation.splitlines()[0].partition(", in which they did not forget their starts, ")
    assert before == f"chunks given up after {int(found.stats.warm_up)} steps of warm-up"
    assert after.startswith("then one step after the other")


@pytest.mark.parametrize(
    ("solver", "way"),
    [
        (ps.Sequential(), "one step after the other"),
        (ps.deer(), r"Newton: iterations \d+, residual \S+, estimated error \S+"),
        (ps.jacobi(), r"Newton with Zero for the Jacobian: iterations \d+, .*"),
        (ps.MultipleShooting(ps.deer(), 20), r"Newton on the boundaries of chunks of 20 steps: iterations \d+, .*"),
        *exhaustive([(ps.quasi_elk(), r"LevenbergMarquardt with Diagonal for the Jacobian: .*")]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_was_asked_for(solver, way):
    lines = ps.rollout(step, INIT, SHORT, solver=solver).explanation.splitlines()
    assert re.fullmatch(way, lines[0])
    assert lines[1] == f"  why: asked for by solver={type(solver).__name__}"


def test_a_method_that_was_given_up():
    solver = ps.WithFallback(ps.deer(), budget=3)
    lines = ps.rollout(logistic, jnp.asarray(0.3), length=200, solver=solver).explanation.splitlines()
    assert lines[0].startswith("Newton, or else one step after the other: iterations 3")
    assert lines[1].startswith("given up after that, then one step after the other")


@pytest.mark.slow
@pytest.mark.parametrize("throw", some([True, False], False))
def test_a_plan_gives_its_own_reasons(throw):
    plan = ps.plan(logistic, jnp.asarray(0.3), length=500, measure=False)
    found = ps.rollout(logistic, jnp.asarray(0.3), length=500, solver=plan, throw=throw)
    assert found.explanation.endswith(f"  why: chosen by the plan: {'; '.join(plan.reasons)}")
    assert "exponent" in found.explanation


def test_in_an_empty_call_there_is_nothing_to_explain():
    for solver in (None, ps.deer(), ps.Sequential()):
        assert ps.rollout(step, INIT, SHORT[:0], solver=solver).explanation.endswith("there is no step to take")


@pytest.mark.parametrize("solver", [None, ps.Sequential(), *exhaustive([(ps.deer(),)])], ids=str)
def test_under_a_transformation_it_can_be_asked_for(solver):
    told = []

    @jax.jit
    @jax.vmap
    def call(init):
        found = ps.rollout(step, init, SHORT, solver=solver)
        told.append(found.explanation)
        return found

    found = call(jnp.stack([INIT, INIT + 1]))
    assert "nothing has run yet" in told[0]
    assert "why: " in told[0]
    assert "nothing has run yet" not in found.explanation
    assert ps.rollout(step, INIT, SHORT, solver=solver).explanation.splitlines()[-1] in found.explanation
    jax.grad(lambda init: jnp.sum(ps.rollout(step, init, SHORT, solver=solver).states))(INIT)


def test_the_numbers_of_a_batch_are_a_range():
    starts = jnp.asarray([0.3, 0.0])  # zero is a fixed point
    found = jax.vmap(lambda s: ps.rollout(logistic, s, length=100, solver=ps.deer()))(starts)
    least, most = (int(each) for each in re.search(r"iterations (\d+) to (\d+)", found.explanation).groups())
    assert (least, most) == (int(found.stats.iterations.min()), int(found.stats.iterations.max()))


def test_a_reason_makes_no_two_solutions_different_trees():
    def other(s, x):
        return jnp.sin(jnp.tanh(WEIGHTS @ s + x))

    def call(of_first):
        return jax.lax.cond(
            of_first, lambda: ps.rollout(step, INIT, SHORT), lambda: ps.rollout(other, INIT, SHORT)
        ).carry

    np.testing.assert_allclose(call(True), ps.rollout(step, INIT, SHORT).carry)
    first, second = ps.rollout(step, INIT, SHORT), ps.rollout(other, INIT, SHORT)
    assert first.reason.text != second.reason.text
    assert jax.tree.structure(first) == jax.tree.structure(second)
    traces = []
    taken = jax.jit(lambda solution: traces.append(1) or solution.carry)
    taken(first), taken(second)
    assert len(traces) == 1
    assert Reason("a") != "a"
