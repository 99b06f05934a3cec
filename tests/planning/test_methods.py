"""Every public solver is in the conformance suite, in docs/choosing.md, and in the map by count; its JSON form."""

import inspect
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import pytest

import parascan as ps
from parascan.planning.compared import BESIDE, METHODS
from parascan.planning.encode import decode_solver, encode_solver
from parascan.planning.propose import GAIN, most_updates
from parascan.problem.flat_recurrence import Recurrence
from parascan.programs.built_in import built_in
from parascan.solvers import AbstractSolver
from parascan.solvers.evaluation_cost import iterative_seconds, sequential_seconds, step_cost, workload_of

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))
from conformance.members import SOLVERS  # noqa: E402


def is_solver(value):
    if inspect.isclass(value):
        return issubclass(value, AbstractSolver)
    return inspect.isfunction(value) and value.__module__.startswith("parascan.solvers")


PUBLIC = [name for name in dir(ps) if not name.startswith("_") and is_solver(getattr(ps, name))]
WORDS = {name: method.words for method in METHODS for name in method.public} | BESIDE


def test_the_public_solvers_are_those_that_the_planner_lists():
    assert {"deer", "Anderson", "Chunked", "scale_elk", "Hybrid"} <= set(PUBLIC)
    assert set(WORDS) == set(PUBLIC)
    assert sum(len(method.public) for method in METHODS) + len(BESIDE) == len(WORDS)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_solver_is_in_conformance_and_choosing_and_map(name):
    made = [build() for build in SOLVERS.values()]
    public = getattr(ps, name)
    assert any(isinstance(each, public) for each in made) if inspect.isclass(public) else name in SOLVERS
    assert f"{name}(" in (ROOT / "docs" / "choosing.md").read_text()
    if name not in ("Sequential", "Chunked", "WithFallback"):
        assert f"| {WORDS[name]} |" in (ROOT / "docs" / "planning.md").read_text()


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.words)
def test_one_update_more_than_the_most_is_no_gain(method, platform):
    problem = Recurrence(lambda s, x: jnp.tanh(0.5 * s + x), jnp.zeros(4), jnp.zeros((4000, 4)), 4000)
    workload, machine = workload_of(problem, platform), built_in(platform)
    step, solver = step_cost(workload, machine), method.make()
    most = most_updates(workload, step, machine, solver)
    allowed = GAIN * sequential_seconds(workload, step, machine)
    assert iterative_seconds(workload, step, machine, solver, most + 1) > allowed or most == 4000
    if most:
        assert iterative_seconds(workload, step, machine, solver, most) <= allowed * (1 + 1e-9)


@pytest.mark.parametrize("end", ["low", "value", "high"])
def test_a_forecast_that_is_no_number_foretells_nothing(end):
    known = {"low": 1.0, "value": 2.0, "high": 3.0}
    iterations = {"jacobi": SimpleNamespace(**known)}, {"jacobi": SimpleNamespace(**known | {end: float("nan")})}
    jacobi = next(method for method in METHODS if method.forecast == "jacobi")
    assert [jacobi.foretold_by(SimpleNamespace(iterations=each)) for each in iterations] == ["jacobi", None]


@pytest.mark.parametrize(
    "solver",
    [
        ps.Sequential(),
        ps.Chunked(16, trial_steps=7),
        ps.WithFallback(ps.MultipleShooting(ps.quasi_deer(), 5, 2), budget=3),
        ps.elk(),
        ps.scale_elk(0.25),
        ps.Hybrid(ps.GradientDescent(), ps.deer()),
    ],
)
def test_solvers_survive_json(solver):
    assert encode_solver(decode_solver(json.loads(json.dumps(encode_solver(solver))))) == encode_solver(solver)


def test_solvers_without_a_form_are_refused():
    with pytest.raises(TypeError, match=r"Surrogate\.step"):
        encode_solver(ps.Newton(ps.Surrogate(lambda s, x: s)))
    with pytest.raises(ValueError, match="kind 'Unknown'"):
        decode_solver({"kind": "Unknown"})
