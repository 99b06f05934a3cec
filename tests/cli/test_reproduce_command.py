"""``parascan reproduce``: files, verdicts, interrupts, and what is missing."""

import importlib.util
import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
from output import plain

from parascan.cli import report
from parascan.paper.experiments import registry, table1, table1_published
from parascan.paper.harness.workforce import workforce

reproduce_command = sys.modules["parascan.cli.reproduce_command"]

TINY = table1.Config(
    systems=("lorenz", "sprott_b"), flow_length=150, observer_length=100, exponent_length=200, portion=8
)
SIZES = {"smoke": TINY, "demo": TINY, "desk": TINY}


@pytest.fixture
def tiny(monkeypatch):
    """Table 1 in a second in place of its sizes, measured in this process."""
    small = {name: replace(registry.get(name), sizes=SIZES) for name in ("table1", "fig8")}
    monkeypatch.setattr(registry, "EXPERIMENTS", small)
    monkeypatch.setattr(reproduce_command, "workforce", lambda workers, scheduler=None: workforce(0))


@pytest.mark.slow
def test_reproduce_without_matplotlib_has_its_data_and_says_what_is_missing(invoke, tiny, no_matplotlib, tmp_path):
    found = invoke("reproduce", "table1", "--out", tmp_path)
    assert "no picture" in plain(found)
    assert "pip install '.[plot]' in a clone of parascan" in plain(found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points", "table1.json", "table1.nc"]


def test_reproduce_without_xarray_names_the_extra(invoke, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "xarray" else find(name, *rest)
    )
    found = invoke("reproduce", "table1", "--out", tmp_path)
    assert found.exit_code == 2
    assert "pip install '.[paper]' in a clone of parascan" in plain(found)
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


@pytest.mark.slow
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


@pytest.mark.slow  # three runs; what is interrupted goes on in tests/paper too
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


def broken(case, folder):
    """A measurement that fails."""
    raise ArithmeticError("planted")


@pytest.mark.slow
def test_an_experiment_that_fails_is_named_and_the_others_run(invoke, tiny, tmp_path, monkeypatch):
    failing = replace(registry.EXPERIMENTS["table1"], name="failing", measure=broken)
    monkeypatch.setattr(registry, "EXPERIMENTS", {"failing": failing, "fig8": registry.EXPERIMENTS["fig8"]})
    found = invoke("reproduce", "all", "--size", "smoke", "--out", tmp_path)
    assert found.exit_code == 1
    assert "ArithmeticError: planted" in plain(found)
    assert "failed: failing" in plain(found)
    assert (tmp_path / "fig8.nc").exists()
    assert not (tmp_path / "failing.nc").exists()


def test_the_published_arithmetic_is_refused_where_there_is_none(invoke, tmp_path):
    found = invoke("reproduce", "fig3", "--arithmetic", "published", "--out", tmp_path)
    assert found.exit_code == 2
    assert "given published for fig3, expected library" in plain(found)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_files_of_the_published_arithmetic_lie_beside_the_others(invoke, monkeypatch, tmp_path):
    config = table1_published.Published(table1.Config(systems=("lorenz",), flow_length=150, observer_length=100), 1)
    small = replace(registry.get("table1", "published"), sizes={"smoke": config})
    monkeypatch.setattr(registry, "PUBLISHED", {"table1": small})
    monkeypatch.setattr(reproduce_command, "workforce", lambda workers, scheduler=None: workforce(0))
    found = invoke("reproduce", "all", "--size", "smoke", "--arithmetic", "published", "--out", tmp_path)
    assert found.exit_code == 0, found.output
    assert {path.name for path in tmp_path.iterdir()} >= {"points", "table1-published.json", "table1-published.nc"}
    assert not (tmp_path / "table1.nc").exists()
    assert [path.name for path in (tmp_path / "points").iterdir()] == ["table1_published.measure"]
