"""The training example on small recordings: long sequences from short ones, stopping and going on, one whole run."""

import json

import equinox as eqx
import jax
import numpy as np
import pytest
from examples.train.models import equinox_gru, flax_gru, usual
from examples.train.recordings import lengthen, load
from examples.train.training import Record, Settings, accuracy, loss, train
from typer.testing import CliRunner


def write(folder, part, seed):
    """Two classes: a rising and a falling wave, in recordings of different lengths."""
    draws = np.random.default_rng(seed)
    lines = []
    for index in range(8):
        length = int(draws.integers(5, 12))
        wave = (1 if index % 2 else -1) * np.linspace(-1, 1, length) + 0.1 * draws.standard_normal(length)
        second = draws.standard_normal(length)
        channels = ":".join(",".join(f"{value:.5f}" for value in channel) for channel in (wave, second))
        lines.append(f"{channels}:{'up' if index % 2 else 'down'}")
    header = "@problemName Waves\n@equalLength false\n@classLabel true down up\n@data\n"
    (folder / f"Waves_{part}.ts").write_text(header + "\n".join(lines) + "\n")


@pytest.fixture
def archive(tmp_path):
    write(tmp_path, "TRAIN", 0)
    write(tmp_path, "TEST", 1)
    return tmp_path / "Waves"


def never():
    """Nobody asks to stop."""


def test_long_sequences_are_made_of_whole_recordings_of_one_class():
    recordings = [np.full((length, 1), value) for length, value in ((3, 1.0), (4, 2.0), (5, 3.0))]
    split = lengthen(recordings, np.array([0, 0, 1]), 10, 4, np.random.default_rng(0))
    assert split.xs.shape == (4, 10, 1)
    assert sorted(split.labels) == [0, 0, 1, 1]
    for sequence, label in zip(split.xs[..., 0], split.labels, strict=True):
        assert set(sequence) <= ({1.0, 2.0} if label == 0 else {3.0})
        changes = np.flatnonzero(np.diff(sequence)) + 1
        if len(changes):
            assert changes[0] % (3 if sequence[0] == 1.0 else 4) == 0


def test_recordings_are_scaled_by_those_to_train_on(archive):
    data = load(str(archive), 40, 6, seed=0)
    assert data.train.xs.shape == data.test.xs.shape == (6, 40, 2)
    assert data.classes == ("down", "up")
    assert np.all(np.abs(data.train.xs.mean((0, 1))) < 0.3)
    with pytest.raises(FileNotFoundError, match="data: given 'nowhere', expected a set that aeon brings"):
        load("nowhere", 40, 6, seed=0)


class Stopped(Exception):  # noqa: N818
    """What a test raises in the place of Ctrl-C."""


def test_a_stopped_run_goes_on_as_if_it_had_not_been(archive, tmp_path):
    data, settings = load(str(archive), 30, 6, seed=0), Settings(steps=6, batch=4, look_every=2)
    make = lambda: equinox_gru(None, 2, 4, 2, jax.random.key(0))  # noqa: E731
    look = lambda step, model, value: {"value": value}  # noqa: E731
    *_, (whole, record) = train(make(), data.train, settings, tmp_path / "whole.eqx", never, look)

    seen = []

    def stop():
        seen.append(None)
        if len(seen) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        list(train(make(), data.train, settings, tmp_path / "parts.eqx", stop, look))
    *_, (resumed, later) = train(make(), data.train, settings, tmp_path / "parts.eqx", never, look)
    assert len(seen) == 3
    assert later == record == Record(6, record.losses, record.looks)
    assert [entry["step"] for entry in record.looks] == [1, 2, 4, 6]
    for mine, theirs in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match="given a state made with"):
        list(train(make(), data.train, Settings(steps=6, batch=5), tmp_path / "parts.eqx", never))


@pytest.mark.slow
def test_replacing_the_layer_changes_no_number(archive):
    data = load(str(archive), 30, 6, seed=0)
    ours = equinox_gru(None, 2, 4, 2, jax.random.key(0))
    flax = [flax_gru(parallel, 2, 4, 2, 0) for parallel in (True, False)]
    for first, second in ((ours, usual(ours)), flax):
        values = [float(eqx.filter_jit(loss)(model, data.train.xs, data.train.labels)) for model in (first, second)]
        assert values[0] == pytest.approx(values[1], rel=1e-5)
        assert accuracy(first, data.test) == accuracy(second, data.test)


@pytest.mark.slow
def test_the_whole_example(archive, tmp_path):
    import typer
    from examples.train.__main__ import main

    app = typer.Typer()
    app.command()(main)
    out = tmp_path / "out"
    sizes = ["--length", "120", "--count", "6", "--hidden", "4", "--steps", "3", "--batch", "4"]
    options = ["--data", str(archive), *sizes, "--seeds", "1", "--rounds", "3", "--out", str(out)]
    for _ in range(2):
        result = CliRunner().invoke(app, options)
        assert result.exit_code == 0, result.output
    numbers = json.loads((out / "numbers.json").read_text())
    assert set(numbers["looks"]) == {"contractive", "free"}
    assert numbers["accuracy"]["equinox GRU, parascan"] == numbers["accuracy"]["equinox GRU, lax.scan"]
    assert (out / "contractive_and_free.png").stat().st_size > 10_000
