"""Files appear whole or not at all, and a stored point belongs to one measurement."""

import dataclasses
import json
import os

import numpy as np
import pytest

from parascan.paper.harness import points as _points
from parascan.paper.harness.points import PointStore
from parascan.paper.harness.store import Iterate, IterateFile
from parascan.paper.harness.written_files import write_arrays, write_atomically, write_json


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "data.json"
    write_json(path, {"old": 1})

    def write(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write)
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(path.parent) == ["data.json"]


def test_an_interrupt_before_the_rename_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_arrays(tmp_path / "data.npz", {"x": np.arange(3)})
    assert os.listdir(tmp_path) == []


def test_json_has_null_for_numbers_that_are_not_finite(tmp_path):
    write_json(tmp_path / "x.json", {"a": [float("nan"), float("inf"), 1.5], "b": {"c": -float("inf")}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, None, 1.5], "b": {"c": None}}


def test_an_iterate_is_kept_exactly(tmp_path):
    stored = IterateFile(tmp_path / "row" / "iterate.npz")
    assert stored.load() is None
    states = np.array([[np.pi], [np.nan], [-0.0]])
    stored.save(Iterate(states, 17))
    found = stored.load()
    assert found is not None
    assert found.updates == 17
    assert found.states.tobytes() == states.tobytes()


@dataclasses.dataclass(frozen=True)
class Point:
    """What is measured."""

    length: int
    gain: float = 0.5


@dataclasses.dataclass(frozen=True)
class Other:
    """What has the same settings and another meaning."""

    length: int
    gain: float = 0.5


def measure(point, folder):
    """Nothing."""
    return {}


def test_a_point_comes_back_exactly_and_only_for_itself(tmp_path):
    store, point = PointStore(tmp_path, measure), Point(3)
    assert not store.has(point)
    values = {"count": 3, "share": 1 / 3, "word": "x", "states": np.array([[np.pi], [np.nan], [-0.0]]), "yes": True}
    store.scratch(point).mkdir(parents=True)
    store.save(point, values, {"seconds": 1.5})
    found, about = store.load(point)
    assert {name: found[name] for name in ("count", "share", "word", "yes")} == {
        "count": 3, "share": 1 / 3, "word": "x", "yes": True
    }  # fmt: skip
    assert found["states"].tobytes() == values["states"].tobytes()
    assert about["point"] == {"length": 3, "gain": 0.5}
    assert about["seconds"] == 1.5
    assert "jax" in about["versions"]
    assert not store.scratch(point).exists()
    assert not store.has(Point(4))
    assert not store.has(Other(3))
    assert not store.has(Point(3, gain=np.nextafter(0.5, 1)))


def test_other_code_and_other_versions_have_other_points(tmp_path, monkeypatch):
    known = PointStore(tmp_path, measure).key(Point(3))
    assert PointStore(tmp_path, measure).key(Point(3)) == known
    monkeypatch.setattr(_points, "digest_of", lambda function: "other code")
    assert PointStore(tmp_path, measure).key(Point(3)) != known
    monkeypatch.undo()
    monkeypatch.setattr(_points, "versions", lambda: {"jax": "0"})
    assert PointStore(tmp_path, measure).key(Point(3)) != known
