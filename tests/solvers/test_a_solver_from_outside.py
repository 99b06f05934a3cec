"""A solver is one file that nothing in the package has to know: it runs, is limited, explained, planned and named."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from outside import ShortenedNewton
from typer.testing import CliRunner

import parascan as ps
from parascan.cli import app

XS = 0.1 * jax.random.normal(jax.random.key(0), (400, 3))
INIT = jnp.zeros(3)


def step(state, x):
    return jnp.tanh(0.5 * state + x)


def test_it_evaluates_alone_on_chunks_and_behind_a_fallback():
    expected = ps.rollout(step, INIT, XS, solver=ps.Sequential()).states
    for solver in (
        ShortenedNewton(),
        ps.MultipleShooting(ShortenedNewton(), 20),
        ps.WithFallback(ShortenedNewton(), budget=2),
    ):
        np.testing.assert_allclose(ps.rollout(step, INIT, XS, solver=solver).states, expected, atol=1e-5)


def test_it_can_be_differentiated():
    def loss(init, solver):
        return jnp.sum(ps.rollout(step, init, XS, solver=solver).states ** 2)

    found, expected = (
        jax.jit(jax.grad(lambda init, s=s: loss(init, s)))(INIT) for s in (ShortenedNewton(), ps.Sequential())
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)


def test_a_memory_limit_holds_for_it():
    with pytest.raises(ValueError, match=r"memory_limit: given 1 kB, but ShortenedNewton on 400 steps"):
        ps.rollout(step, INIT, XS, solver=ShortenedNewton(), memory_limit=1000)


def test_it_is_explained():
    found = ps.explain(step, INIT, XS, solver=ShortenedNewton(), max_iterations=30)
    assert (found.method, found.budget) == ("ShortenedNewton", 30)


@pytest.mark.slow
def test_the_command_line_runs_it(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent)
    found = CliRunner().invoke(app, ["run", "lorenz_observer", "--length", "300", "--solver", "outside:made"])
    assert found.exit_code == 0, found.output
    assert "successful" in found.output


@pytest.mark.parametrize(
    ("name", "text"),
    [("ones", "expected a solver"), ("needing", "function without arguments"), ("nothing", "can be imported")],
)
def test_what_makes_no_solver_is_refused(name, text, monkeypatch):
    monkeypatch.chdir(Path(__file__).parent)
    found = CliRunner().invoke(app, ["run", "henon", "--length", "30", "--solver", f"outside:{name}"])
    assert found.exit_code == 2
    assert text in " ".join(found.output.replace("\u2502", " ").split())


@pytest.mark.slow
def test_the_planner_compares_it_by_a_pilot():
    plan = ps.plan(step, INIT, XS, measure=False, solvers=[ShortenedNewton()])
    found = next(each for each in plan.candidates if each.name == "ShortenedNewton")
    assert found.updates.method == "counted on the first 400 steps"
    iterations = ps.rollout(step, INIT, XS, solver=ShortenedNewton()).stats.iterations
    assert float(found.updates.value) == float(iterations)


def test_what_is_no_method_is_refused_by_the_planner():
    with pytest.raises(TypeError, match="solvers: given Sequential, expected solvers that iterate"):
        ps.plan(step, INIT, XS, measure=False, solvers=[ps.Sequential()])
    with pytest.raises(TypeError, match="solvers: given LevenbergMarquardt, expected a list"):
        ps.plan(step, INIT, XS, measure=False, solvers=ps.elk())


def test_no_step_is_planned_as_none():
    plan = ps.plan(step, INIT, XS[:0], measure=False)
    assert isinstance(plan.solver, ps.Sequential)
    assert "there is no step to take" in str(plan)
