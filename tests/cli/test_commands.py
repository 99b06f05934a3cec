"""Every command of ``parascan``: output, files, exit codes."""

import importlib.util
import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import parascan as ps
from parascan import report
from parascan.cli import app
from parascan.paper import registry, table1
from parascan.paper._workforce import workforce

reproduce_command = sys.modules["parascan.cli.reproduce"]
run_command = sys.modules["parascan.cli.run"]

TINY = table1.Config(
    systems=("lorenz", "sprott_b"), flow_length=150, observer_length=100, exponent_length=200, portion=8
)
SIZES = {"smoke": TINY, "demo": TINY, "desk": TINY}


@pytest.fixture
def invoke():
    """Runs a command and returns its result; the process stays at its own precision."""
    before = jax.config.jax_enable_x64

    def run(*arguments):
        return CliRunner().invoke(app, [str(each) for each in arguments])

    yield run
    assert jax.config.jax_enable_x64 == before


@pytest.fixture
def tiny(monkeypatch):
    """Table 1 in a second in place of its sizes, measured in this process."""
    small = {name: replace(registry.get(name), sizes=SIZES) for name in ("table1", "fig8")}
    monkeypatch.setattr(registry, "EXPERIMENTS", small)
    monkeypatch.setattr(reproduce_command, "workforce", lambda workers, scheduler=None: workforce(0))


def plain(result):
    """Output without line breaks and frames, which depend on the width of the terminal."""
    return " ".join(result.output.replace("│", " ").split())


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
    found = json.loads(invoke("systems", "--json").stdout)
    assert [each["name"] for each in found] == list(ps.systems.names())
    lorenz = next(each for each in found if each["name"] == "lorenz")
    assert (lorenz["size"], lorenz["dt"], lorenz["family"]) == (3, 0.01, "flow")
    assert lorenz["exponent_per_time"] == table1.PUBLISHED.ROWS["lorenz"].flow.exponent


@pytest.mark.parametrize("solver", list(run_command.SolverName))
def test_run_prints_a_summary_for_every_solver(invoke, solver):
    found = invoke("run", "logistic", "--length", 40, "--solver", solver)
    assert found.exit_code == 0, found.output
    assert "successful" in found.output
    assert "per step" in found.output
    assert ("distance from sequential" in found.output) == (solver != "sequential")


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


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_run_draws(invoke, tmp_path, suffix, start):
    path = tmp_path / f"picture{suffix}"
    found = invoke("run", "henon", "--length", 30, "--plot", path)
    assert found.exit_code == 0, found.output
    assert path.read_bytes().startswith(start)


def test_run_reports_the_horizon_of_a_chaotic_system(invoke):
    found = invoke("run", "logistic", "--length", 100)
    assert found.exit_code == 0
    # ln 2 per step from 1e-16 to 1e-6: about 33 steps.
    step = int(plain(found).split("horizon step ")[1].split(":")[0])
    assert 25 <= step <= 40


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


@pytest.fixture
def no_matplotlib(monkeypatch):
    """The process as it is where matplotlib is not installed."""
    find = importlib.util.find_spec

    def found(name, *rest):
        return None if name == "matplotlib" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", found)


def test_plot_without_matplotlib_names_the_extra(invoke, no_matplotlib, tmp_path):
    found = invoke("run", "henon", "--length", 10, "--plot", tmp_path / "x.png")
    assert found.exit_code == 2
    assert "pip install 'parascan[plot]'" in plain(found)
    assert not list(tmp_path.iterdir())


def test_reproduce_without_matplotlib_has_its_data_and_says_what_is_missing(invoke, tiny, no_matplotlib, tmp_path):
    found = invoke("reproduce", "table1", "--out", tmp_path)
    assert "no picture" in plain(found)
    assert "pip install 'parascan[plot]'" in plain(found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points", "table1.json", "table1.nc"]


def test_reproduce_without_xarray_names_the_extra(invoke, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "xarray" else find(name, *rest)
    )
    found = invoke("reproduce", "table1", "--out", tmp_path)
    assert found.exit_code == 2
    assert "pip install 'parascan[paper]'" in plain(found)
    assert not list(tmp_path.iterdir())


def test_an_unreachable_scheduler_is_wrong_usage(invoke, monkeypatch, tmp_path):
    @contextmanager
    def unreachable(workers, scheduler=None):
        raise OSError("nobody answers")
        yield

    monkeypatch.setattr(reproduce_command, "workforce", unreachable)
    found = invoke("reproduce", "table1", "--size", "smoke", "--out", tmp_path, "--scheduler", "tcp://nowhere:1")
    assert found.exit_code == 2
    assert "nobody answers" in plain(found)


def test_nothing_imports_an_optional_package_before_it_is_needed():
    code = "import sys, parascan.cli; print(*({'matplotlib', 'xarray', 'distributed'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []


def test_all_writes_data_pictures_and_verdicts_and_shares_points(invoke, tiny, tmp_path):
    found = invoke("reproduce", "all", "--size", "smoke", "--out", tmp_path)
    # Exponents over 200 steps are far from the published ones: a claim fails, and the exit code says so.
    assert found.exit_code == 1, found.output
    assert "MISSED" in found.output
    assert "met" in found.output
    assert "claims missed in: table1" in plain(found)
    for name in ("table1", "fig8"):
        content = json.loads((tmp_path / f"{name}.json").read_text())
        assert {claim["verdict"] for claim in content["claims"]} >= {"met"}
        assert json.loads(content["configuration"])["flow_length"] == 150
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}.svg").read_bytes().startswith(b"<?xml")
    assert len(list((tmp_path / "points").rglob("*.npz"))) == 4
    docs = tmp_path / "docs"
    page = invoke("reproduce", "page", "--from", tmp_path, "--to", docs)
    assert page.exit_code == 0, page.output
    text = (docs / "paper.md").read_text()
    for words in ("Figure 8", "![", "| quantity |", "missed", "What differs from the paper", "Lorenz observer"):
        assert words in text
    pictures = [line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert len(pictures) == 2
    assert all((docs / picture).exists() for picture in pictures)


def test_reproduce_interrupted_says_how_to_go_on_and_ends_with_the_same_dataset(invoke, tiny, tmp_path, monkeypatch):
    whole = invoke("reproduce", "table1", "--out", tmp_path / "whole")
    show, fresh = report.show, []

    def interrupting(bar, task, at):
        show(bar, task, at)
        if at.fresh:
            fresh.append(at.fresh)
        if at.fresh == 2 and len(fresh) <= 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(report, "show", interrupting)
    out = tmp_path / "parts"
    found = invoke("reproduce", "table1", "--out", out)
    assert found.exit_code == 130
    assert f"parascan reproduce table1 --size desk --out {out}" in plain(found)
    assert len(list(out.rglob("*.npz"))) == 2
    monkeypatch.setattr(report, "show", show)
    again = invoke("reproduce", "table1", "--out", out)
    assert again.exit_code == whole.exit_code
    assert (out / "table1.nc").read_bytes() == (tmp_path / "whole" / "table1.nc").read_bytes()


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
