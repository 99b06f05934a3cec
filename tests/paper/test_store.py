"""Files appear whole or not at all, and a stored row belongs to one configuration."""

import json
import os

import numpy as np
import pytest

from parascan.paper import _provenance
from parascan.paper._files import write_arrays, write_atomically, write_json
from parascan.paper._store import Iterate, Slot


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


def test_a_slot_returns_what_it_stored_and_only_for_its_configuration(tmp_path):
    slot, other = Slot(tmp_path, "row", {"T": 10}), Slot(tmp_path, "row", {"T": 11})
    assert slot.load() is None
    slot.save({"value": 1 / 3}, {"states": np.arange(4.0)}, {"where": "here"})
    assert slot.load() == {"value": 1 / 3}
    assert other.load() is None
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npz"]


def test_an_iterate_is_kept_exactly_until_the_row_is_finished(tmp_path):
    slot = Slot(tmp_path, "row", {"T": 3})
    assert slot.load_iterate() is None
    states = np.array([[np.pi], [np.nan], [-0.0]])
    slot.save_iterate(Iterate(states, 17))
    found = slot.load_iterate()
    assert found is not None
    assert found.updates == 17
    assert found.states.tobytes() == states.tobytes()
    slot.save({}, {}, {})
    assert slot.load_iterate() is None


def test_the_digest_tells_other_code_apart(tmp_path, monkeypatch):
    (tmp_path / "paper").mkdir()
    (tmp_path / "core.py").write_text("x = 1")
    monkeypatch.setattr(_provenance, "__file__", str(tmp_path / "paper" / "_provenance.py"))
    digest = _provenance.source_digest.__wrapped__
    first = digest()
    assert digest() == first
    (tmp_path / "core.py").write_text("x = 2")
    assert digest() != first
    (tmp_path / "core.py").rename(tmp_path / "other.py")
    assert digest() != first
