"""What a diagnosis expects of a method that it is asked about, against what the method takes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.diagnostics.forecast import of_solver
from parascan.diagnostics.forecast.updates import holds

KEY, DEFAULT = jax.random.key(0), ps.StateError()


@pytest.fixture(autouse=True)
def exact_numbers():
    with jax.enable_x64(True):
        yield


def network(length, gain=0.4, size=4):
    """A network with inputs, slow because it keeps most of its state."""
    first, second = jax.random.split(jax.random.key(1))
    weights = gain * jax.random.normal(first, (size, size)) / size**0.5
    step = lambda s, x: 0.95 * s + 0.05 * jnp.tanh(weights @ s + x)  # noqa: E731
    return step, jnp.zeros(size), jax.random.normal(second, (length, size)), None


def lorenz(length):
    """A flow that leaves no method near its solution."""
    system = ps.systems.get("lorenz")
    return system.step, system.initial_state, None, length


def asked(call, solver, criterion=DEFAULT):
    """What is expected as a diagnosis does, and what is taken."""
    step, init, xs, length = call
    steps = len(xs) if length is None else length
    look = of_solver.look_at(step, init, xs, steps, solver)
    expected = of_solver.solver_iterations(look, criterion, float(np.finfo(float).eps), steps)
    return expected, int(ps.rollout(*call, solver=solver, criterion=criterion).stats.iterations)


@pytest.mark.parametrize("solver", exhaustive([(ps.quasi_deer(),), (ps.picard(),), (ps.scale_elk(0.1),)]))
def test_near_the_solution_theory_tells_the_count(solver):
    expected, taken = asked(network(300), solver)
    assert abs(float(expected.value) - taken) <= 2 or holds(float(expected.value), taken)
    assert float(expected.low) <= taken <= float(expected.high)


def test_a_count_within_the_trial_is_measured():
    call = network(60)
    expected, taken = asked(call, ps.picard())
    assert taken < of_solver.UPDATES
    assert abs(float(expected.value) - taken) <= 1
    assert "counted on all 60 steps" in expected.method


def test_the_theory_speaks_where_the_trial_does_not_reach():
    expected, taken = asked(network(400), ps.picard())
    assert taken > of_solver.UPDATES
    assert "rate theorem" in expected.method
    assert abs(float(expected.value) - taken) <= 4


def test_where_iterates_overflow_a_front_is_followed():
    expected, taken = asked(lorenz(400), ps.picard())
    assert "iterates are far from the solution" in expected.method
    assert holds(float(expected.value), taken)
    assert taken > 300  # theory alone, which holds near the solution, says half of that


@pytest.mark.parametrize(("make", "length"), [(network, 600), *exhaustive([(lorenz, 300)])])
def test_a_longer_sequence_than_was_looked_at(make, length, monkeypatch):
    monkeypatch.setattr(of_solver, "MOST_STEPS", 100)
    expected, taken = asked(make(length), ps.picard())
    assert holds(float(expected.value), taken)
    assert float(expected.low) <= taken <= float(expected.high)
    assert float(expected.high) > float(expected.low) + 2


@pytest.mark.parametrize("solver", exhaustive([(ps.LineSearch(ps.quasi_deer()),), (ps.elk(),)]))
def test_a_method_without_transitions_goes_on_as_in_its_trial(solver):
    expected, taken = asked(network(200), solver)
    assert float(expected.low) <= taken <= float(expected.high)


def test_updates_after_a_trial_are_foretold_by_its_last_ones():
    looked = np.ones((5, 40))
    looked[1, :10] = looked[2, :20] = looked[3, :30] = looked[4, :36] = 0
    center, words = of_solver.solver_center(of_solver.SolverLook(looked, None, 1.0, 1.0, 1e-16), 1e-9, 52)
    assert (center.updates, center.situation) == (6.0, of_solver.PROGRESS)  # 16 steps left, 8 in each update
    assert "the last ones 8 steps each" in words


@pytest.mark.slow
def test_a_looser_rule_takes_fewer_updates():
    call = network(300)
    counts = {}
    for tolerance in (1e-3, 1e-12):
        expected, taken = asked(call, ps.picard(), ps.StateError(rtol=tolerance, atol=tolerance))
        counts[tolerance] = float(expected.value)
        assert holds(counts[tolerance], taken)
    assert counts[1e-3] < counts[1e-12]


def test_it_is_said_in_words_and_numbers():
    found = ps.diagnose(*network(100), key=KEY, solver=ps.picard())
    assert "Newton with Identity for the Jacobian is expected to take" in str(found)
    assert "solver" in json.loads(json.dumps(found.to_dict(), allow_nan=False))["iterations"]


@pytest.mark.slow
def test_it_costs_what_is_said():
    call = network(100)
    plain, found = ps.diagnose(*call, key=KEY), ps.diagnose(*call, key=KEY, solver=ps.picard())
    assert "solver" not in plain.iterations
    steps = of_solver.UPDATES + 1
    assert found.cost["evaluations"] == plain.cost["evaluations"] + steps * 100
    assert found.cost["products"] == plain.cost["products"] + of_solver.VECTORS * 100
    assert found.cost["steps"] == plain.cost["steps"] + 200
    newton = ps.diagnose(*call, key=KEY, solver=ps.deer())
    assert newton.iterations["solver"] == newton.iterations["newton"]
    assert newton.cost == plain.cost


@pytest.mark.parametrize(
    "solver",
    [ps.Sequential(), ps.Chunked(chunks=4), ps.GradientDescent(), ps.MultipleShooting(ps.deer(), 4), ps.picard],
)
def test_what_has_no_count_is_refused(solver):
    with pytest.raises(TypeError, match=r"solver: given \w+, expected a causal iterative solver"):
        ps.diagnose(*network(20), key=KEY, solver=solver)
