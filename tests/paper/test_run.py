"""Runs: stored as they come, taken up again without repetition, the same by whomever."""

import os
import pathlib
import select
import subprocess
import sys

import jax
import numpy as np
import pytest
from counting import calls, experiment

from parascan.paper.harness.points import PointStore
from parascan.paper.harness.run import read_dataset, run, write_dataset
from parascan.paper.harness.workforce import perform_on_cluster, workforce

HERE = str(pathlib.Path(__file__).parent)


def finished(found, folder, **options):
    """The dataset of a run in this process."""
    with workforce(0) as hands:
        return run(found, "smoke", folder, hands, **options)


class Stop:
    """Progress that raises after some fresh points, as Ctrl-C would."""

    def __init__(self, after):
        self.after = after

    def __call__(self, report):
        if report.fresh >= self.after:
            raise KeyboardInterrupt


@pytest.fixture
def on_path(monkeypatch):
    """Other processes find the module with the experiment of these tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([HERE, *sys.path]))


def test_a_run_measures_every_point_once_with_64_bits_and_keeps_their_order(tmp_path):
    before = jax.config.jax_enable_x64
    found = experiment(tmp_path / "traces")
    dataset = finished(found, tmp_path / "points")
    with jax.enable_x64(True):
        expected = [float(np.sum(np.sin(np.arange(1000.0)) ** k)) for k in (*range(5), 0)]
    np.testing.assert_allclose(dataset["sum"], expected, rtol=1e-13, atol=1e-12)
    assert list(dataset.word.values) == ["n0", "n1", "n2", "n3", "n4", "n0"]
    assert calls(tmp_path / "traces") == dict.fromkeys(range(5), 1)
    assert jax.config.jax_enable_x64 == before
    assert {"configuration", "versions", "hardware", "size_name"} <= set(dataset.attrs)


def test_a_stopped_run_goes_on_without_repetition_and_ends_with_the_same_bytes(tmp_path):
    found = experiment(tmp_path / "traces")
    write_dataset(finished(found, tmp_path / "whole"), tmp_path / "whole.nc")
    for path in (tmp_path / "traces").iterdir():
        path.unlink()
    with pytest.raises(KeyboardInterrupt):
        finished(found, tmp_path / "parts", progress=Stop(after=2))
    assert len(calls(tmp_path / "traces")) == 2
    reports = []
    write_dataset(finished(found, tmp_path / "parts", progress=reports.append), tmp_path / "parts.nc")
    assert calls(tmp_path / "traces") == dict.fromkeys(range(5), 1)
    assert (reports[0].finished, reports[0].total) == (2, 5)
    assert (tmp_path / "parts.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()
    left = [path.name for path in (tmp_path / "parts").rglob("*") if path.suffix != ".npz"]
    assert left == ["counting.measure"]


@pytest.mark.slow  # processes and a cluster are started, as in tests/sweeping
def test_processes_and_a_cluster_give_the_same_bytes(tmp_path, on_path):
    distributed = pytest.importorskip("distributed")
    found = experiment(tmp_path / "traces", count=4)
    with workforce(2) as hands:
        write_dataset(run(found, "smoke", tmp_path / "processes", hands), tmp_path / "processes.nc")
    pids = {line for path in (tmp_path / "traces").iterdir() for line in path.read_text().split()}
    assert str(os.getpid()) not in pids
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        workforce(1, cluster.scheduler_address) as hands,
    ):
        assert hands.perform is perform_on_cluster
        write_dataset(run(found, "smoke", tmp_path / "cluster", hands), tmp_path / "cluster.nc")
    assert (tmp_path / "cluster.nc").read_bytes() == (tmp_path / "processes.nc").read_bytes()
    # This process has its own number of threads and devices, so it agrees up to rounding.
    here = finished(found, tmp_path / "here")
    other = read_dataset(tmp_path / "processes.nc")
    np.testing.assert_allclose(other["sum"], here["sum"], rtol=1e-13, atol=1e-12)
    assert list(other.word.values) == list(here.word.values)


KILLED = f"""
import sys, pathlib
from counting import experiment
from {run.__module__} import run
from {workforce.__module__} import workforce
if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1])
    with workforce(1) as hands:
        found = experiment(root / "traces", gate=str(root / "gate"))
        run(found, "smoke", root / "points", hands, lambda report: print(report.fresh, flush=True))
"""


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_behind_and_its_points_stay(tmp_path, on_path):
    (tmp_path / "killed.py").write_text(KILLED)
    os.mkfifo(tmp_path / "gate")
    command = [sys.executable, str(tmp_path / "killed.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.strip() == "2" for line in process.stdout)
        # The third point waits at the gate, or is about to; opening it waits for that.
        gate = os.open(tmp_path / "gate", os.O_WRONLY)
        process.kill()
    end = select.poll()
    end.register(gate, select.POLLERR)
    # The gate reports an error as soon as the worker, which reads at its other end, is gone.
    assert end.poll(60_000)
    os.close(gate)
    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "points").rglob("*.npz")}
    assert len(stored) == 2
    found = experiment(tmp_path / "traces", gate=str(tmp_path / "gate"))
    store = PointStore(tmp_path / "points", found.measure)
    known = [store.has(point) for point in found.points(found.sizes["smoke"])]
    assert known == [True, True, False, False, False, True]


def test_a_point_that_fails_is_named_and_the_others_stay(tmp_path):
    found = experiment(tmp_path / "traces", failing=3)
    with pytest.raises(RuntimeError, match=r"number=3.*ArithmeticError: planted"):
        finished(found, tmp_path / "points")
    assert len(list((tmp_path / "points").rglob("*.npz"))) == 4


def test_a_half_written_file_of_a_killed_run_is_swept_away(tmp_path):
    found = experiment(tmp_path / "traces")
    half = tmp_path / "points" / "counting.measure" / ".abc.npz.123.tmp"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    finished(found, tmp_path / "points")
    assert not half.exists()


def test_a_dataset_comes_back_as_it_was_written(tmp_path):
    dataset = finished(experiment(tmp_path / "traces"), tmp_path / "points")
    write_dataset(dataset, tmp_path / "x.nc")
    found = read_dataset(tmp_path / "x.nc")
    assert found.equals(dataset.assign(word=dataset.word.astype(object)))
    assert found.attrs == dataset.attrs


def test_a_scheduler_without_distributed_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"'\.\[cluster\]' in a clone"), workforce(1, "tcp://localhost:1"):
        pass
