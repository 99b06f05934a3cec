"""Every command of ``parascan``: output, files, exit codes."""

import json
import signal
import sys

import jax
import numpy as np
import pytest
from output import plain, result_of

import parascan as ps
from combinations import exhaustive, fewer
from parascan.paper.experiments import table1
from parascan.solvers.nicknames import SOLVERS

run_command = sys.modules["parascan.cli.run_command"]


def test_version_and_help(invoke):
    assert invoke("--version").output.startswith("parascan ")
    for arguments in ((), ("--help",), ("run", "--help"), ("systems", "--help"), ("reproduce", "--help")):
        found = invoke(*arguments)
        assert "Usage" in found.output
        assert found.exit_code == (0 if arguments else 2)
    assert "units of the state" in plain(invoke("run", "--help"))


def test_systems_lists_every_system(invoke):
    found = invoke("systems")
    assert found.exit_code == 0
    for name in ps.systems.names():
        assert name in found.output


def test_systems_as_json(invoke):
    found = result_of(invoke("systems", "--json"), "systems")
    assert [each["name"] for each in found] == list(ps.systems.names())
    lorenz = next(each for each in found if each["name"] == "lorenz")
    assert (lorenz["size"], lorenz["dt"], lorenz["family"]) == (3, 0.01, "flow")
    assert lorenz["exponent_per_time"] == table1.PUBLISHED.ROWS["lorenz"].flow.exponent


@pytest.mark.parametrize(
    "solver", fewer(sorted(set(SOLVERS) - {"gradient_descent"}), "elk", "quasi_elk", "quasi_deer", "picard", "chunked")
)
def test_run_prints_a_summary_for_every_solver(invoke, solver):
    found = invoke("run", "logistic", "--length", 40, "--solver", solver)
    assert found.exit_code == 0, found.output
    assert "successful" in found.output
    assert "per step" in found.output
    assert ("distance from sequential" in found.output) == (solver != "sequential")


def test_descent_on_a_chaotic_map_says_that_it_did_not_end(invoke):
    found = invoke("run", "logistic", "--length", 40, "--solver", "gradient_descent")
    assert found.exit_code == 1
    assert "used up its iterations" in " ".join(found.output.split())


@pytest.mark.parametrize("option", [("--tolerance", 1e-3), ("--max-iterations", 5), ("--criterion", "merit")])
def test_options_about_iterations_are_refused_without_them(invoke, option):
    found = invoke("run", "logistic", "--length", 40, "--solver", "sequential", *option)
    assert found.exit_code == 2
    assert "which does not iterate" in plain(found)
    assert invoke("run", "logistic", "--length", 40, *option).exit_code in (0, 1)


@pytest.mark.slow
def test_run_saves_what_it_computed(invoke, tmp_path):
    path = tmp_path / "deep" / "states.npz"
    found = invoke("run", "lorenz_observer", "--length", 200, "--save", path, "--set", "rho=20")
    assert found.exit_code == 0, found.output
    with jax.enable_x64(True):
        system = ps.systems.get("lorenz_observer", rho=20)
        expected = ps.rollout(system.step, system.initial_state, system.inputs(200)).states
    with np.load(path) as stored:
        assert stored["states"].dtype == np.float64
        assert stored["inputs"].shape == (200, 3)
        assert stored["error"].shape == (200,)
        # The default criterion allows 512 units of rounding of the largest state, which is below 50.
        np.testing.assert_allclose(stored["states"], expected, rtol=0, atol=50 * 512 * np.finfo(float).eps)
        assert json.loads(str(stored["summary"]))["result"] == "successful"
    assert [each.name for each in path.parent.iterdir()] == ["states.npz"]


def test_run_in_single_precision(invoke, tmp_path):
    found = invoke("run", "henon", "--length", 20, "--dtype", "float32", "--save", tmp_path / "x.npz")
    assert found.exit_code == 0, found.output
    with np.load(tmp_path / "x.npz") as stored:
        assert stored["states"].dtype == np.float32


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), *exhaustive([(".svg", b"<?xml"), (".pdf", b"%PDF")])]
)
def test_run_draws(invoke, tmp_path, suffix, start):
    path = tmp_path / f"picture{suffix}"
    found = invoke("run", "henon", "--length", 30, "--plot", path)
    assert found.exit_code == 0, found.output
    assert path.read_bytes().startswith(start)


@pytest.mark.slow
def test_run_reports_the_horizon_of_a_chaotic_system(invoke):
    found = invoke("run", "logistic", "--length", 100)
    assert found.exit_code == 0
    # ln 2 per step from 1e-16 to 1e-6: about 33 steps.
    step = int(plain(found).split("horizon step ")[1].split(":")[0])
    assert 25 <= step <= 40


@pytest.mark.slow
def test_run_fails_with_a_remedy_when_iterations_run_out(invoke):
    found = invoke("run", "lorenz", "--length", 300, "--max-iterations", 2)
    assert found.exit_code == 1
    assert "max_iterations" in found.output
    assert "failed" in found.output


def test_run_reports_a_system_that_leaves_the_finite_numbers(invoke):
    found = invoke("run", "henon", "--length", 50, "--set", "a=50.0", "--solver", "sequential")
    assert found.exit_code == 1
    assert "finite" in found.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("run", "lorentz"), "lorenz"),
        (("run", "lorenz", "--set", "rho"), "NAME=VALUE"),
        (("run", "lorenz", "--set", "row=1"), "rho"),
        (("run", "tanh_rnn"), "gain"),
        (("run", "lorenz", "--length", "0"), "length"),
        (("run", "lorenz", "--solver", "newton"), "deer"),
        (("run", "lorenz", "--tolerance", "-1"), "tol"),
        (("run", "lorenz", "--criterion", "merit", "--tolerance", "0"), "tol"),
        (("run", "lorenz", "--plot", "x.bmp"), ".png"),
        (("run", "lorenz", "--save", "x.csv"), ".npz"),
        (("reproduce", "table1", "--size", "huge"), "demo"),
        (("reproduce", "fig2", "--size", "demo"), "desk"),
        (("reproduce", "table1", "--workers", "0"), "workers"),
        (("reproduce", "table2"), "table1"),
        (("reproduce", "page", "--from", "nowhere"), "nowhere"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_was_expected(invoke, arguments, text):
    found = invoke(*arguments)
    assert found.exit_code == 2, found.output
    assert text in found.output


def test_plot_without_matplotlib_names_the_extra(invoke, no_matplotlib, tmp_path):
    found = invoke("run", "henon", "--length", 10, "--plot", tmp_path / "x.png")
    assert found.exit_code == 2
    assert "pip install '.[plot]' in a clone of parascan" in plain(found)
    assert not list(tmp_path.iterdir())


# One press lets the work in progress reach its next report; a second one does not wait for that.
@pytest.mark.parametrize(
    ("before", "after", "reached", "written"), [(1, 0, [1], []), (2, 0, [], []), (0, 1, [1], ["x.npz"])]
)
def test_ctrl_c_stops_a_run(invoke, tmp_path, monkeypatch, before, after, reached, written):
    perform, started = run_command.perform, []

    def pressed(request, show):
        for _ in range(before):
            signal.raise_signal(signal.SIGINT)
        started.append(1)
        outcome = perform(request, show)
        for _ in range(after):
            signal.raise_signal(signal.SIGINT)
        return outcome

    monkeypatch.setattr(run_command, "perform", pressed)
    handler = signal.getsignal(signal.SIGINT)
    found = invoke("run", "henon", "--length", 10, "--save", tmp_path / "x.npz")
    assert found.exit_code == 130
    assert "interrupted" in found.output
    assert started == reached
    assert [path.name for path in tmp_path.iterdir()] == written
    assert signal.getsignal(signal.SIGINT) is handler


def test_run_interrupted_exits_with_130_and_writes_nothing(invoke, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "perform", interrupted)
    found = invoke("run", "henon", "--length", 10, "--save", tmp_path / "x.npz")
    assert found.exit_code == 130
    assert "interrupted" in found.output
    assert not list(tmp_path.iterdir())
