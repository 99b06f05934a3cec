"""The forecast of iterations: pilots count what a rollout counts, and what follows from them behaves as theory says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some
from parascan.adjoint.implicit import Implicit
from parascan.diagnostics import Estimate
from parascan.diagnostics.forecast import prefixes
from parascan.diagnostics.forecast.continuation import power_of_length
from parascan.diagnostics.forecast.fitted import calibration
from parascan.diagnostics.forecast.margins import ANY, growth, margin, trend
from parascan.diagnostics.forecast.newton_pilot import NewtonPilot, newton_pilot
from parascan.diagnostics.forecast.prefixes import UNMET, Prefixes, prefix_counts
from parascan.diagnostics.forecast.updates import (
    Behavior,
    expected_iterations,
    jacobi_iterations,
    jacobi_on_blocks,
    newton_iterations,
    newton_on_blocks,
    picard_iterations,
    quasi_newton_iterations,
)
from parascan.solvers.iterate import iterate
from parascan.solvers.request import Request

LOG_MU = Estimate(*(jnp.asarray(each) for each in (-4.0, -8.0, 0.0)), "given")
WITHOUT_RULE = ("gradient_descent", "newton_blocks_of_32")
"""Gradient descent is not forecast for the rule, and Newton on blocks is as Newton's count, which names it."""

SETTLED = NewtonPilot(np.array([100, 200, 400]), np.array([5, 5, 5]), 2000)
GROWING = NewtonPilot(np.array([25, 50, 100]), np.array([10, 20, 40]), 4000)


def behavior(**changes):
    """A system that forgets."""
    return Behavior(10_000, -0.1, 0.0, 25.0, 1.0, LOG_MU, 3.0)._replace(**changes)


def interval(estimate):
    """Low, value, high."""
    return [float(each) for each in (estimate.low, estimate.value, estimate.high)]


@pytest.mark.parametrize("name", some(["newton", "quasi_newton"], "newton"))
@pytest.mark.slow
def test_prefixes_count_what_rollouts_of_their_length_count(name):
    solver = {"newton": ps.deer(), "quasi_newton": ps.quasi_deer()}[name]
    criteria = (ps.StateError(), ps.Merit(1e-8))
    system = ps.systems.get("tanh_rnn", gain=1.3, size=4, key=jax.random.key(3))
    xs = system.inputs(60)
    guess = jnp.broadcast_to(system.initial_state, (60, 4))
    counts = prefix_counts(problem_of(system, xs), guess, solver, criteria, Prefixes((17, 60)), 60)
    for criterion, of_criterion in zip(criteria, counts, strict=True):
        solution = ps.rollout(system.step, system.initial_state, xs, solver=solver, criterion=criterion)
        assert int(of_criterion[1]) == int(solution.stats.iterations)
        assert 1 <= int(of_criterion[0]) <= int(of_criterion[1])


def test_a_run_ends_when_every_prefix_has_met_its_criterion():
    """And not before: the criterion of the loop itself never ends it."""
    system = ps.systems.get("tanh_rnn", gain=1.3, size=4, key=jax.random.key(3))
    problem = problem_of(system, system.inputs(60))
    guess = jnp.broadcast_to(system.initial_state, (60, 4))
    watch = prefixes._Counting(ps.deer(), (ps.StateError(),), Prefixes((17, 60)))
    request = Request(ps.deer(), prefixes.Unlimited(), start=guess, repair=guess, budget=60, watch=watch)
    last = Implicit().find(problem, request, iterate)
    assert int(last.stats.iterations) == int(last.seen.counts.max()) < 60


def test_a_prefix_that_too_few_updates_reach_is_unmet():
    system = ps.systems.get("logistic")
    problem = problem_of(system, None, 40)
    guess = jnp.broadcast_to(system.initial_state, (40, 1))
    counts = prefix_counts(problem, guess, ps.deer(), (ps.StateError(),), Prefixes((2, 40)), 4)[0]
    assert int(counts[0]) <= 2
    assert int(counts[1]) == UNMET


def problem_of(system, xs, length=None):
    """The recurrence of a system."""
    from parascan.problem.flat_recurrence import ScanProblem
    from parascan.problem.signature import resolve

    signature = resolve(system.step, system.initial_state, xs, length, scan_form=False)
    return ScanProblem.of(signature, reverse=False).recurrence


def test_a_pilot_keeps_to_its_budget():
    system = ps.systems.get("logistic")
    for budget in (1, 600):
        found = newton_pilot(system.step, system.initial_state, None, 10_000, ps.StateError(), budget)
        assert found.steps <= budget
        assert found.length <= budget


def test_what_the_pilot_reaches_is_measured():
    for length, count in ((100, 40), (50, 20), (25, 10)):
        assert interval(newton_iterations(GROWING, 0.1, length)) == [count] * 3
    assert newton_iterations(GROWING, 0.1, 100).level == 1
    assert newton_iterations(GROWING, 0.1, 101).level == calibration().level


@pytest.mark.parametrize("exponent", [-0.2, 0.0, 0.2])
@pytest.mark.parametrize("pilot", [SETTLED, GROWING], ids=["settled", "growing"])
def test_newton_grows_with_length_and_never_beyond_it(pilot, exponent):
    lengths = [pilot.length + 1, 1000, 3000, 10_000, 10**6]
    found = [interval(newton_iterations(pilot, exponent, length)) for length in lengths]
    for low, value, high in found:
        assert 1 <= low <= value <= high
    for column in zip(*found, strict=True):
        assert list(column) == sorted(column)
    assert all(high <= length for (_, _, high), length in zip(found, lengths, strict=True))


def test_an_open_exponent_leaves_the_count_open():
    # The pilots see rest, and what comes later may be a spike: the interval reaches to T or near it.
    sure = newton_iterations(SETTLED, -0.05, 10_000, (-0.06, -0.04))
    still_open = newton_iterations(SETTLED, -0.05, 10_000, (-0.2, 0.1))
    growing = newton_iterations(GROWING, -0.001, 10_000, (-0.02, 0.02))
    assert float(still_open.high) > 3 * float(sure.high)
    assert float(growing.high) > 0.5 * 10_000


def test_every_count_names_its_stopping_rule():
    rule = str(ps.StateError())
    known = behavior(rule=rule)
    for pilot in (SETTLED, GROWING, NewtonPilot(np.array([10_000]), np.array([3]), 0)):
        for name, each in expected_iterations(known, pilot, 32).items():
            assert each.method.endswith(f"under {rule}") or name in WITHOUT_RULE


def test_what_a_diagnosis_lists_is_what_each_forecast_says():
    known = behavior(exponent_low=-0.12, exponent_high=-0.08)
    found = expected_iterations(known, SETTLED, 16)
    newton = newton_iterations(SETTLED, -0.1, 10_000, (-0.12, -0.08))
    assert interval(found["newton"]) == interval(newton)
    assert interval(found["quasi_newton"]) == interval(quasi_newton_iterations(known, newton))
    assert interval(found["jacobi_blocks_of_16"]) == interval(jacobi_on_blocks(known, 16))


@pytest.mark.parametrize(
    ("exponent", "ends", "word"),
    [
        (-0.1, (-0.12, -0.08), "forgets"),
        (-0.1, (-0.12, -0.0009), "open"),
        (-0.1, (-0.12, 0.01), "open"),
        (0.1, (0.08, 0.12), "grows"),
        (-0.1, (np.nan, np.nan), "forgets"),
        (-np.inf, (-np.inf, -np.inf), "forgets"),
        (0.0, (np.nan, np.nan), "open"),
    ],
)
def test_a_trend_is_sure_only_where_the_whole_interval_is(exponent, ends, word):
    assert trend(exponent, ends, 10_000) == word


@pytest.mark.parametrize(
    ("counts", "word"), [((5, 5, 5, 5), "settled"), ((5, 8, 9, 10), "slowing"), ((5, 10, 20, 40), "rising")]
)
def test_growth_is_that_of_the_last_doublings(counts, word):
    assert growth(NewtonPilot(np.array([50, 100, 200, 400]), np.array(counts), 0)) == word


def test_a_situation_without_margins_has_those_of_all():
    assert margin("newton", "never seen") == calibration().margins["newton"][ANY]


def test_counts_that_settle_on_a_system_that_forgets_stay():
    assert power_of_length(SETTLED, -0.2) < 0.2
    assert float(newton_iterations(SETTLED, -0.2, 30_000).value) <= 10
    assert power_of_length(GROWING, 0.2) > 0.8


def test_a_pilot_that_saw_nothing_expects_as_many_iterations_as_steps():
    nothing = NewtonPilot(np.array([], int), np.array([], int), 10)
    assert interval(newton_iterations(nothing, -1.0, 500)) == [1, 500, 500]


def test_jacobi_takes_the_memory_horizon_and_all_steps_without_one():
    short, long = (float(jacobi_iterations(behavior(exponent=each)).value) for each in (-0.2, -0.1))
    assert long == pytest.approx(2 * short, rel=0.02)
    assert long == pytest.approx(250 * np.exp(margin("jacobi", "forgets").median), rel=0.02)
    for exponent in (0.0, 0.3):
        assert float(jacobi_iterations(behavior(exponent=exponent)).value) == 10_000


def test_picard_follows_its_error_bound():
    few, many = (float(picard_iterations(behavior(drift=each, log_drop=20.0)).value) for each in (1e-5, 1e-1))
    assert few < many <= 10_000
    assert float(picard_iterations(behavior(drift=float("nan"))).value) <= 10_000


def test_quasi_newton_lies_between_newton_and_jacobi():
    newton = newton_iterations(SETTLED, -0.1, 10_000)
    found, jacobi = quasi_newton_iterations(behavior(), newton), jacobi_iterations(behavior())
    assert float(newton.value) <= float(found.value) <= float(jacobi.high)


def test_blocks_take_no_more_iterations_than_there_are_blocks():
    newton = newton_iterations(GROWING, 0.2, 10_000)
    assert float(newton_on_blocks(newton, 10_000, 100).high) <= 100
    assert float(newton_on_blocks(newton, 10_000, 1).value) <= 10_000
    assert float(jacobi_on_blocks(behavior(exponent=0.1), 32).value) == 313
    assert float(jacobi_on_blocks(behavior(), 64).value) < float(jacobi_on_blocks(behavior(), 8).value)


def test_the_stored_calibration_is_whole():
    stored = calibration()
    assert len(stored.power) == 5
    assert set(stored.margins) == {"newton", "quasi_newton", "picard", "jacobi", "solver"}
    for each in (*stored.offsets.values(), *(each for known in stored.margins.values() for each in known.values())):
        assert each.low <= each.median <= each.high
    assert all(ANY in known for known in stored.margins.values())
