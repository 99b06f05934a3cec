"""The plan chooses what is faster, says why in a few lines, and can be stored and used again."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from combinations import some
from parascan.planning import Plan, built_in, cache_file, known_machine
from parascan.planning.compared import BESIDE, METHODS
from parascan.planning.encode import encode_solver
from parascan.programs import platform as _platform
from parascan.programs.built_in import here
from parascan.programs.machine import NUMBERS, Link, Links

KEY = jax.random.key(0)


def contracting(size=16, length=20_000):
    weights = 0.4 * jax.random.normal(KEY, (size, size)) / size**0.5
    xs = jax.random.normal(jax.random.key(1), (length, size))
    return lambda s, x: jnp.tanh(weights @ s + x), jnp.zeros(size), xs


def logistic(length=5000):
    return lambda s, _: 3.9 * s * (1 - s), jnp.asarray(0.3), None, length


@pytest.fixture(scope="module")
def known():
    """The diagnosis of the network, which takes longer than the plan."""
    return ps.diagnose(*contracting(), key=KEY)


@pytest.fixture(scope="module")
def quick(known):
    """A plan by rates alone."""
    return ps.plan(*contracting(), measure=False, diagnosis=known)


def test_a_network_that_forgets_runs_in_blocks(quick):
    assert isinstance(quick.solver, ps.Chunked)
    assert quick.verdict == "predictable"
    assert quick.speedup > 1
    assert any("forgets where it started" in reason for reason in quick.reasons)
    solution = ps.rollout(*contracting(), solver=quick)
    plain = ps.rollout(*contracting(), solver=ps.Sequential())
    assert jnp.allclose(solution.states, plain.states, atol=1e-5)
    assert solution.explanation.endswith(f"  why: chosen by the plan: {'; '.join(quick.reasons)}")


def test_every_public_solver_is_among_the_candidates(quick):
    words = [method.words for method in METHODS if method.public]
    words += [told for name, told in BESIDE.items() if name != "WithFallback"]
    assert [each for each in words if not any(each in found.name for found in quick.candidates)] == []
    assert any(isinstance(found.solver, ps.WithFallback) for found in quick.candidates)


def test_what_nothing_foretells_stands_there_with_the_reason(quick):
    unforeseen = [each for each in quick.candidates if each.updates is not None and float(each.updates.low) == 1]
    told = [each for each in unforeseen if "by count" in each.reason]
    assert len(told) >= sum(method.forecast is None for method in METHODS)
    assert {each.standing for each in told} == {"rejected"}
    assert all(isinstance(each.solver, ps.WithFallback) for each in told)
    assert any("no number of updates can win" in each.reason for each in told)
    assert not any("wins with 0 or fewer" in each.reason for each in told)
    assert str(Plan.from_json(quick.to_json())) == str(quick)


@pytest.mark.slow
def test_a_chaotic_system_stays_sequential_and_says_until_when_it_can_be_predicted():
    plan = ps.plan(*logistic(), measure=False)
    assert isinstance(plan.solver, ps.Sequential)
    assert plan.verdict == "unpredictable"
    assert plan.speedup == 1
    assert "largest Lyapunov exponent 0." in plan.reasons[0]
    assert "rounding errors are as large as the states after" in plan.reasons[0]


def test_a_plan_is_printed_in_ten_lines(quick):
    assert len(quick.lines()) <= 10
    assert str(quick) == "\n".join(quick.lines())
    assert "one step after the other" in str(quick)


@pytest.mark.slow
def test_the_same_arguments_give_the_same_plan(quick):
    assert ps.plan(*contracting(), measure=False, key=KEY).to_json() == quick.to_json()


def test_a_plan_survives_json(quick):
    again = Plan.from_json(quick.to_json())
    assert str(again) == str(quick)
    assert again.to_json() == quick.to_json()
    assert eqx_equal(again.solver, quick.solver)
    json.loads(quick.to_json(), parse_constant=pytest.fail)


def eqx_equal(one, other):
    return encode_solver(one) == encode_solver(other)


def test_a_plan_of_another_form_is_refused(quick):
    with pytest.raises(ValueError, match="form 99"):
        Plan.from_json(json.dumps({**json.loads(quick.to_json()), "form": 99}))


@pytest.mark.slow
def test_a_plan_works_inside_jit_vmap_and_grad(quick):
    step, init, xs = contracting()
    inside = jax.jit(lambda init, xs: ps.scan(lambda s, x: (step(s, x),) * 2, init, xs, solver=quick)[1])
    expected = jax.lax.scan(lambda s, x: (step(s, x),) * 2, init, xs)[1]
    assert jnp.allclose(inside(init, xs), expected, atol=1e-5)
    as_argument = jax.jit(lambda plan: ps.rollout(step, init, xs, solver=plan).states)
    assert jnp.allclose(as_argument(quick), expected, atol=1e-5)
    starts = jnp.stack([init, init + 1])
    batched = jax.vmap(lambda init: ps.rollout(step, init, xs, solver=quick).states)(starts)
    assert jnp.allclose(batched[0], expected, atol=1e-5)

    def last(init, solver):
        return jnp.sum(ps.rollout(step, init, xs[:], solver=solver).states[-1])

    assert jnp.allclose(jax.grad(last)(init, quick), jax.grad(last)(init, ps.Sequential()), atol=1e-5)


def test_a_plan_for_another_call_is_refused(quick):
    step, init, xs = contracting()
    with pytest.raises(ValueError, match="given a plan for T, D, dtype"):
        ps.rollout(step, init, xs[:-1], solver=quick)
    assert ps.rollout(step, init, xs[:-1], solver=quick.solver).states.shape == (19_999, 16)


@pytest.mark.parametrize("length", some([0, 1, 50], 0, 50))
@pytest.mark.slow
def test_short_sequences_stay_sequential(length):
    step, init, xs = contracting(3)
    plan = ps.plan(step, init, xs[:length], measure=length > 1)
    assert isinstance(plan.solver, ps.Sequential)
    assert ps.rollout(step, init, xs[:length], solver=plan).states.shape == (length, 3)


def test_what_has_nothing_to_iterate_on_stays_sequential():
    plan = ps.plan(lambda s, _: s + 1, jnp.asarray(0), length=10)
    assert isinstance(plan.solver, ps.Sequential)
    assert "without floating entries" in plan.reasons[0]

    def step(carry, _):
        return (0.5 * carry[0], jnp.where(carry[0] > 0, carry[1] + 1, carry[1]))

    plan = ps.plan(step, (jnp.asarray(1.0), jnp.asarray(0)), length=10)
    assert isinstance(plan.solver, ps.Sequential)
    assert "depends on floating leaves" in plan.reasons[0]


@pytest.mark.slow
def test_a_step_that_must_not_run_in_blocks_is_not_planned_so(known):
    step, init, xs = contracting()

    def talking(state, x):
        jax.debug.callback(lambda: None)
        return step(state, x)

    plan = ps.plan(talking, init, xs, measure=True, diagnosis=known)
    assert isinstance(plan.solver, ps.Sequential)
    assert "calls back into Python" in plan.reasons[0]
    assert plan.rejected == {}


@pytest.mark.slow
def test_measured_plans_time_the_step(known):
    plan = ps.plan(*contracting(), diagnosis=known)
    assert (plan.rates, plan.machine) == ("measured", known_machine("cpu", "float32").origin)
    assert f"measured and {plan.machine} numbers" in str(plan)
    assert all(0 < float(each.seconds.low) <= float(each.seconds.value) for each in plan.candidates)


def test_a_plan_says_which_numbers_it_used(known, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    call = contracting()

    def said(**options):
        plan = ps.plan(*call, measure=False, diagnosis=known, **options)
        assert f"{plan.rates} numbers" in str(plan)
        return plan.rates

    assert said() == here("cpu").origin
    assert said(rates=built_in("cpu")) == "given"
    path = cache_file("cpu", "float32")
    path.parent.mkdir()
    path.write_text(built_in("cpu").known("calibrated", {"turn": 1e-8}).to_json())
    assert said() == "calibrated"
    path.write_text(path.read_text().replace('"form": 4', '"form": 3'))
    assert said() == here("cpu").origin


def test_trees_and_pairs_are_planned(known):
    step, init, xs = contracting()

    def both(carry, x):
        return ({"s": step(carry["s"], x), "n": carry["n"] + 1}, carry["n"])

    plan = ps.plan(both, {"s": init, "n": jnp.asarray(0)}, xs, measure=False, diagnosis=known)
    assert plan.size == 16
    solution = ps.rollout(both, {"s": init, "n": jnp.asarray(0)}, xs, solver=plan)
    assert solution.states["n"].tolist()[-1] == 20_000


def test_a_batch_leaves_fewer_blocks(known):
    one, many = (ps.plan(*contracting(), measure=False, diagnosis=known, batch=batch) for batch in (1, 256))
    assert isinstance(one.solver, ps.Chunked)
    assert not isinstance(many.solver, ps.Chunked) or many.solver.chunks < one.solver.chunks


def test_memory_that_is_not_there_rejects_a_method(quick, known):
    plan = ps.plan(*contracting(), measure=False, diagnosis=known, memory_limit=10_000)
    assert "more than the limit" in plan.rejected["Newton (DEER)"]
    assert "more than the limit" not in quick.rejected["Newton (DEER)"]


FAST_UPDATES = dataclasses.replace(
    built_in("cpu"),
    **{name: 1e-13 for name in NUMBERS if getattr(built_in("cpu"), name) < 1e-4},
    links=Links(*3 * (Link(1e-12, 1e-12),)),
).known("calibrated", {"call": 1e-6, "turn": 1e-5, "row": 1e-7, "pushforward": 1.0})
"""Of a machine on which a step alone is slow and many at once cost next to nothing."""


@pytest.mark.slow
def test_a_budget_decides_whether_a_forecast_is_followed():
    rotation = jnp.array([[0.8, -0.6], [0.6, 0.8]])
    call = (lambda s, x: rotation @ s + x, jnp.ones(2), jnp.ones((5000, 2)))
    found = ps.diagnose(*call, key=KEY)
    plan = ps.plan(*call, measure=False, diagnosis=found, rates=FAST_UPDATES)
    assert isinstance(plan.solver, ps.WithFallback)
    assert plan.solver.budget >= 1
    solution = ps.rollout(*call, solver=plan)
    assert not bool(solution.stats.fell_back)
    assert any("goes on one step after the other" in reason for reason in plan.reasons)
    stingy = ps.plan(*call, measure=False, diagnosis=found, rates=FAST_UPDATES, budget=1e-6)
    assert not isinstance(stingy.solver, ps.WithFallback)
    assert any("the budget of" in reason for reason in stingy.rejected.values())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"diagnosis": 3}, TypeError, "diagnosis: given int"),
        ({"rates": {}}, TypeError, "rates: given dict"),
        ({"batch": 0}, ValueError, "batch: given 0"),
        ({"batch": 1.5}, TypeError, "batch: given 1.5"),
        ({"budget": 0}, ValueError, "budget: given 0"),
        ({"criterion": "merit"}, TypeError, "criterion: given str"),
    ],
)
def test_bad_arguments_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        ps.plan(*contracting(2, 100), measure=False, **options)


def test_a_diagnosis_of_another_call_is_refused(known):
    step, init, xs = contracting(16, 200)
    with pytest.raises(ValueError, match="diagnosis: given one of T, D, dtype"):
        ps.plan(step, init, xs, measure=False, diagnosis=known)


def test_nan_is_refused():
    step, init, xs = contracting(2, 100)
    with pytest.raises(ValueError, match="NaN"):
        ps.plan(step, init.at[0].set(jnp.nan), xs, measure=False)


def test_a_small_system_on_an_accelerator_is_sent_to_the_host(monkeypatch, known):
    step, init, xs = contracting()
    monkeypatch.setattr(_platform, "get_default_device", lambda: SimpleNamespace(platform="gpu"))
    # Kernels that take milliseconds to launch, so that no parallel form can win there.
    gpu = built_in("gpu")
    slow = dataclasses.replace(gpu, row=1e-2, call=1e-1, turn=1e-3, move=1e-3)
    plan = ps.plan(step, init, xs, measure=False, diagnosis=known, rates=slow)
    assert plan.device == "cpu"
    assert isinstance(plan.solver, ps.Sequential)
    assert plan.speedup > 10
    assert any("default_device" in reason for reason in plan.reasons)
