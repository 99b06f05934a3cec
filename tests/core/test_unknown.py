"""What an analysis of a step cannot make out is unknown: it costs speed and never raises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

import parascan as ps
from combinations import some
from parascan.problem.signature import resolve
from parascan.programs import batching as program
from parascan.programs import noisy, work
from parascan.programs.sparsity import Program
from parascan.programs.structure import classify, dependency_pattern
from parascan.programs.unknown import unknown_is
from parascan.programs.work import operations
from parascan.solvers import chunked_call

LENGTH = 16384
BLOCKS = ps.Chunked(chunks=16)
XS = np.random.default_rng(0).normal(size=(LENGTH, 3)).astype(np.float32)


def halving(name, *, batches=True, differentiates=True):
    """An operation that JAX has never heard of, with or without the rules that one may have."""
    halve = Primitive(name)
    halve.def_impl(lambda x: x / 2)
    halve.def_abstract_eval(lambda x: x)
    mlir.register_lowering(halve, mlir.lower_fun(lambda x: x / 2, multiple_results=False))
    if batches:
        batching.primitive_batchers[halve] = lambda args, dims: (halve.bind(*args), dims[0])
    if differentiates:
        ad.deflinear2(halve, lambda cotangent, x: [halve.bind(cotangent)])
    return halve


WHOLE, ALONE = halving("halve"), halving("halve_alone", batches=False)
ONE_WAY = halving("halve_one_way", differentiates=False)


def stepping(operation):
    def step(s, x):
        s = operation.bind(jnp.tanh(s)) + x
        return s, s

    return step


def failing(*_, **__):
    raise KeyError("num_consts")


@pytest.fixture(params=some(["dependency", "work", "rules", "rounding"], "dependency"))
def broken(request, monkeypatch):
    """One analysis that fails wherever it is asked."""
    owner, name = {
        "dependency": (Program, "follow"),
        "work": (work, "programs_of"),
        "rules": (program, "_lazily"),
        "rounding": (noisy.Noisy, "run"),
    }[request.param]
    monkeypatch.setattr(owner, name, failing)
    return request.param


def test_the_rule_answers_for_whatever_fails():
    assert unknown_is(lambda x: -x)(failing)(3) == -3
    assert unknown_is(failing)(lambda x: x)(3) == 3


@pytest.mark.parametrize("operation", [WHOLE, ALONE, ONE_WAY], ids=str)
def test_an_operation_of_the_users_own_is_run_by_default(operation):
    step = stepping(operation)
    expected = jax.lax.scan(step, jnp.zeros(3), XS)
    for solver in (None, BLOCKS):
        if solver is BLOCKS and operation is ALONE:
            with pytest.raises(ValueError, match="cannot be run for several chunks at once"):
                ps.scan(step, jnp.zeros(3), XS, solver=solver)
            continue
        carry, ys = ps.scan(step, jnp.zeros(3), XS, solver=solver)
        np.testing.assert_allclose(ys, expected[1], atol=1e-5)
        np.testing.assert_allclose(carry, expected[0], atol=1e-5)


def test_an_operation_that_cannot_be_batched_is_run_step_by_step_and_says_why():
    reason = chunked_call.why_not(resolve(stepping(ALONE), jnp.zeros(3), XS, None, scan_form=True), BLOCKS)
    assert "cannot be run for several chunks" in reason


@pytest.mark.parametrize("operation", [ALONE, ONE_WAY], ids=str)
def test_a_plan_for_what_cannot_be_linearized_is_sequential(operation):
    plan = ps.plan(stepping(operation), jnp.zeros(3), XS[:500], measure=False)
    assert isinstance(plan.solver, ps.Sequential)
    assert "has no derivative" in plan.reasons[0]


@pytest.mark.slow
def test_an_operation_of_the_users_own_is_solved_for_planned_and_diagnosed():
    step, xs = stepping(WHOLE), XS[:300]
    expected = jax.lax.scan(step, jnp.zeros(3), xs)[1]
    for solver in (ps.deer(), ps.quasi_deer()):
        solution = ps.rollout(step, jnp.zeros(3), xs, solver=solver)
        np.testing.assert_allclose(solution.ys, expected, atol=1e-5)
    assert ps.plan(step, jnp.zeros(3), xs, measure=False).verdict == "predictable"
    assert ps.certify(step, jnp.zeros(3), xs, expected).certified
    pattern = dependency_pattern(lambda s: step(s, jnp.zeros(3))[0], jax.ShapeDtypeStruct((3,), jnp.float32))
    assert classify(pattern).kind == "dense"


@pytest.mark.slow
def test_a_broken_analysis_costs_no_answer(broken):
    def step(s, x):
        s = jnp.tanh(0.5 * s + 0.1 * jnp.sum(s) + x)
        return s, s

    expected = jax.lax.scan(step, jnp.zeros(3), XS)[1]
    for solver in (None, BLOCKS):
        if solver is BLOCKS and broken == "work":
            with pytest.raises(ValueError, match="its program could not be analyzed"):
                ps.scan(step, jnp.zeros(3), XS, solver=solver)
            continue
        np.testing.assert_allclose(ps.scan(step, jnp.zeros(3), XS, solver=solver)[1], expected, atol=1e-5)
    xs, expected = XS[:300], expected[:300]
    for solver in (ps.deer(), ps.MultipleShooting(ps.deer(), 10)):
        solution = ps.rollout(step, jnp.zeros(3), xs, solver=solver)
        np.testing.assert_allclose(solution.states, expected, atol=1e-5)
    gradient = jax.grad(lambda w: jnp.sum(ps.scan(step, w, xs, solver=ps.deer())[1]))(jnp.zeros(3))
    wanted = jax.grad(lambda w: jnp.sum(jax.lax.scan(step, w, xs)[1]))(jnp.zeros(3))
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4)
    if broken == "rounding":
        assert ps.certify(step, jnp.zeros(3), xs, expected).certified
    else:
        assert ps.plan(step, jnp.zeros(3), xs, measure=False).length == 300


def test_unknown_work_is_none(monkeypatch):
    monkeypatch.setattr(work, "programs_of", failing)
    assert operations(jax.make_jaxpr(jnp.tanh)(jnp.ones(3))) == 0
    assert not work.costly(jnp.tanh, jnp.ones(3))
