"""The example of diffusion on a small table: one whole run draws a picture, and the network learns."""

import gzip

import jax
import numpy as np
import pytest
from examples.diffusion.__main__ import main, mixture
from examples.diffusion.network import PIXELS, digits, trained
from typer import Typer
from typer.testing import CliRunner


@pytest.fixture
def path(tmp_path):
    """A table like that of the digits: two shades, and noise."""
    draws = np.random.default_rng(0)
    rows = np.clip(np.where(np.arange(40)[:, None] % 2, 3.0, 12.0) + draws.normal(size=(40, PIXELS)), 0, 16).round()
    path = tmp_path / "digits.csv.gz"
    with gzip.open(path, "wt") as file:
        np.savetxt(file, np.column_stack([rows, np.zeros(40)]), delimiter=",", fmt="%d")
    return path


@pytest.mark.slow
def test_the_network_learns(path):
    data = digits(path)
    assert data.shape == (40, PIXELS)
    assert np.abs(data).max() <= 1
    losses = trained(data, 60, jax.random.key(0))[1]
    assert float(losses[-10:].mean()) < 0.5 * float(losses[0])


def test_the_data_are_asked_for_in_words(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="make diffusion-demo"):
        digits()


@pytest.mark.slow  # certificates of batches are compiled for each solver
def test_a_run_draws_a_picture(path, tmp_path):
    app, picture = Typer(), tmp_path / "out" / "diffusion.png"
    app.command()(main)
    given = ["--training", "20", "--count", "1", "--data", str(path), "--out", str(picture)]
    found = CliRunner().invoke(app, given)
    assert found.exit_code == 0, found.output
    assert "evaluations in sequence" in found.output
    assert picture.stat().st_size > 10_000


@pytest.mark.slow  # the same
def test_bounds_of_the_mixture_hold(capsys):
    mixture(64, 50)
    assert capsys.readouterr().out.replace("\n", " ").count("0 beyond their bound") == 3
