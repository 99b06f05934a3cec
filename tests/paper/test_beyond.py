"""What goes beyond the paper: small systems with known answers, and claims that planted numbers break."""

import dataclasses

import jax
import numpy as np
import pytest

import parascan as ps
from parascan.diagnostics.forecast.updates import holds
from parascan.paper.experiments import flows, forecasts, methods, optimizers
from parascan.paper.experiments.flow_observers import best_choice, choices, exponents, finite_flow
from parascan.paper.experiments.forecast_cases import draw
from parascan.paper.figures.panels import medians
from parascan.paper.harness.claims import Verdict


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def run(experiment, config, tmp_path):
    """The dataset of a configuration."""
    return experiment.gather(config, [experiment.measure(point, tmp_path) for point in experiment.points(config)])


def verdicts(claims):
    """Verdicts in the order of the claims."""
    return [claim.verdict for claim in claims]


@pytest.mark.slow
def test_methods_count_what_a_rollout_counts_and_keep_causality(tmp_path):
    config = dataclasses.replace(methods.SIZES["smoke"], methods=("newton",), blocks=(8,), gains=2)
    dataset = run(methods.EXPERIMENT, config, tmp_path)
    of_system, of_guess, _ = jax.random.split(jax.random.key(0), 3)
    system = ps.systems.tanh_rnn(gain=0.5, size=config.size, key=of_system)
    solution = ps.rollout(
        system.step, system.initial_state, system.inputs(config.length), solver=ps.deer(),
        criterion=ps.Merit(1e-10), guess=ps.guesses.Uniform(of_guess, -1.0, 1.0),
    )  # fmt: skip
    assert dataset.updates.sel(solver="newton").values[0, 0] == int(solution.stats.iterations)
    assert dataset.exponent[0, 0, 0] < -0.3
    assert dataset.updates.sel(solver="newton").max() <= config.length
    assert dataset.block_updates.sel(block=8).max() <= config.block_length // 8
    assert methods.EXPERIMENT.figure(dataset).axes
    dataset["updates"][0] = 10 * config.length
    assert verdicts(methods.claims(dataset))[0] is Verdict.missed


def test_methods_has_every_iterative_solver_of_the_library():
    made = [make(jax.random.key(0)) for make in methods.METHODS.values()]
    solvers = {type(each) for each in made}
    assert solvers == {ps.Newton, ps.LevenbergMarquardt, ps.LineSearch, ps.Hybrid, ps.GradientDescent}
    linearizations = {type(each.linearization) for each in made if hasattr(each, "linearization")}
    assert linearizations == {ps.Full, ps.Diagonal, ps.StochasticDiagonal, ps.Identity, ps.Zero}


@pytest.mark.slow
def test_optimizers_take_more_updates_than_newton_and_a_claim_breaks_where_they_do_not(tmp_path):
    chosen = (optimizers.NEWTON, optimizers.LINE_SEARCH)
    config = dataclasses.replace(optimizers.SIZES["smoke"], optimizers=chosen, gains=2)
    dataset = run(optimizers.EXPERIMENT, config, tmp_path)
    newton, descent = dataset.updates.values[:, 0]
    assert np.all(newton < descent)
    assert np.isfinite(descent[0])
    assert dataset.exponent.values[0, 0] < -0.3
    assert optimizers.EXPERIMENT.figure(dataset).axes
    dataset["updates"][0] = 1e6
    assert verdicts(optimizers.claims(dataset))[1] is Verdict.missed


def test_optimizers_keep_the_rate_that_ends_first_and_infinity_where_none_does():
    config = dataclasses.replace(optimizers.SIZES["smoke"], optimizers=("sgd",), gains=3)
    planted = [
        ([20, 90, 5], [True, True, False]),
        ([50, 40, 6], [True, True, False]),
        ([60, 70, 7], [True, True, False]),
    ]
    values = [
        {"updates": np.array(updates), "solved": np.array(solved), "exponent": np.zeros(3)}
        for updates, solved in planted
    ]
    dataset = optimizers.gather(config, values)
    assert dataset.updates.values[0, 0].tolist() == [20, 40, np.inf]
    assert dataset.rate.values[0, 0, :2].tolist() == [0.1, 0.25]
    assert np.isnan(dataset.rate.values[0, 0, 2])


@pytest.mark.parametrize("name", [name for name in optimizers.RATES if name != optimizers.NEWTON])
def test_every_optimizer_is_one_that_descent_takes(name):
    assert ps.GradientDescent(optimizers.optimizer(name, 0.1)).optimizer is not None


def test_choices_are_all_sets_of_one_or_two_coordinates():
    assert choices(3).sum(axis=1).tolist() == [0, 1, 1, 1, 2, 2, 2]
    assert choices(2).sum(axis=1).tolist() == [0, 1, 1]
    assert len(choices(6)) == 1 + 6 + 15


@pytest.mark.slow
def test_conditional_exponents_of_lorenz_are_those_in_closed_form():
    system, before, states = finite_flow("lorenz", 1500)
    found = np.asarray(exponents(system, before, states, jax.random.key(0)))
    named = {tuple(np.flatnonzero(each)): value for each, value in zip(choices(3), found, strict=True)}
    euler = lambda rate: np.log(1 - 0.01 * rate) / 0.01  # noqa: E731
    assert named[(1,)] == pytest.approx(euler(8 / 3), rel=0.02)
    assert named[(1, 2)] == pytest.approx(euler(10), rel=1e-3)
    assert named[(0, 2)] == pytest.approx(euler(1), rel=1e-3)
    assert named[()] > 0.5


def flow_dataset(**changes):
    """Two flows as they should be, with changes."""
    row = {
        "name": "lorenz", "chosen": "1", "dt": 0.01, "size": 3, "single": np.r_[-1.4, -2.7, 0.2, np.full(7, np.nan)],
        "exponent_flow": 1.0, "exponent_observer": -2.7, "forecast_flow": 900.0, "forecast_observer": 3.0,
        "updates_flow": 800.0, "updates_observer": 3.0,
    }  # fmt: skip
    values = [{**row, **changes}, {**row, "name": "other", **changes}]
    return flows.gather(flows.Config(("lorenz", "other"), 1000, 100), values)


def test_claims_on_flows_hold_and_break():
    assert set(verdicts(flows.claims(flow_dataset()))) == {Verdict.met}
    assert flows.EXPERIMENT.figure(flow_dataset()).axes
    broken = {
        0: {"single": np.full(10, -1.0)}, 1: {"exponent_observer": 0.3}, 2: {"updates_observer": 900.0},
        3: {"updates_observer": 200.0}, 4: {"updates_flow": 20.0}, 5: {"forecast_flow": 5.0},
    }  # fmt: skip
    for place, change in broken.items():
        if place == 5:
            change["forecast_observer"] = 50.0
        assert verdicts(flows.claims(flow_dataset(**change)))[place] is Verdict.missed, place


@pytest.mark.parametrize(("name", "verdict"), [("abc", Verdict.explained), ("other", Verdict.missed)])
def test_the_one_flow_that_no_observer_follows_is_explained(name, verdict):
    dataset = flow_dataset().assign_coords(flow=["lorenz", name])
    dataset["exponent"][1, 1] = 0.0
    assert flows.claims(dataset)[1].verdict is verdict
    assert all(claim.verdict is not Verdict.missed for claim in flows.claims(dataset)) == (name == "abc")


def test_a_flow_that_no_step_keeps_finite_is_left_out():
    lost = {**{f"{name}_{kind}": np.nan for name in ("exponent", "forecast", "updates") for kind in flows.KINDS}}
    dataset = flow_dataset()
    dataset["dt"][1] = np.nan
    for name in ("exponent", "forecast", "updates"):
        dataset[name][1] = lost[f"{name}_flow"]
    assert set(verdicts(flows.claims(dataset))) == {Verdict.met}


@pytest.mark.slow
def test_forecast_cases_are_fixed_and_differ():
    for kind in ("flow", "metropolis"):
        step, init, xs, length = draw(kind, 30, 0)
        again = draw(kind, 30, 0)
        assert length == 30
        assert np.array_equal(init, again[1])
        assert xs is None or len(xs) == 30
        assert np.all(np.isfinite(step(init, None if xs is None else xs[0])))
        other = draw(kind, 30, 1)
        leaves, others = jax.tree.leaves((step, init, xs)), jax.tree.leaves(other[:3])
        assert any(not np.array_equal(a, b) for a, b in zip(leaves, others, strict=True))


def test_a_forecast_holds_within_a_factor_or_two_updates():
    expected, taken = np.array([1.0, 10.0, 16.0, 100.0, 151.0]), np.array([3.0, 15.0, 10.0, 150.0, 100.0])
    assert holds(expected, taken).tolist() == [True, True, False, True, False]


def forecast_dataset(**changes):
    """Right forecasts, with changes."""
    rows = {
        "forecast": 10.0,
        "low": 8.0,
        "high": 14.0,
        "exponent": -0.1,
        "predictable": 1.0,
        "updates": 11.0,
        **changes,
    }
    config = forecasts.Config(("network", "metropolis"), (100,), 3)
    return forecasts.gather(config, [{name: np.full(3, value) for name, value in rows.items()}] * 2)


def test_claims_on_forecasts_hold_and_break():
    assert set(verdicts(forecasts.claims(forecast_dataset()))) == {Verdict.met}
    assert forecasts.EXPERIMENT.figure(forecast_dataset()).axes
    assert verdicts(forecasts.claims(forecast_dataset(forecast=90.0)))[0] is Verdict.missed
    assert verdicts(forecasts.claims(forecast_dataset(high=9.0)))[1] is Verdict.missed
    assert verdicts(forecasts.claims(forecast_dataset(updates=60.0)))[2] is Verdict.missed
    assert verdicts(forecasts.claims(forecast_dataset(updates=-1.0)))[3] is Verdict.missed


def test_medians_are_of_points_of_similar_exponents():
    places, middle = medians(np.array([3.0, 1.0, 2.0, 4.0]), np.array([30.0, 10.0, 20.0, np.inf]), bins=2)
    assert places.tolist() == [1.5, 3.5]
    assert middle.tolist() == [15.0, np.inf]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [flows.EXPERIMENT, forecasts.EXPERIMENT], ids=lambda each: each.name)
def test_diagnosed_experiments_run_at_smoke_size(experiment, tmp_path):
    dataset = run(experiment, experiment.sizes["smoke"], tmp_path)
    assert Verdict.missed not in verdicts(experiment.claims(dataset))
    assert experiment.figure(dataset).axes


def test_the_best_observer_is_never_the_flow_itself():
    """The most negative exponent of the observers, whatever that of the flow, which comes first, and of failed ones."""
    assert best_choice(np.array([-9.0, 0.1, -2.0, np.nan, -1.0])) == 2
