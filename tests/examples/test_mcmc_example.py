"""The example of chains on a small table: the posteriors are what they say, and one whole run draws a picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from examples.mcmc.__main__ import main
from examples.mcmc.problems import EFFECTS, ERRORS, Regression, eight_schools, table
from typer import Typer
from typer.testing import CliRunner


@pytest.fixture
def path(tmp_path):
    draws = np.random.default_rng(0)
    rows = draws.normal(3.0, 2.0, size=(60, 3))
    labels = draws.random(60) < 1 / (1 + np.exp(-(rows[:, 0] - 3)))
    path = tmp_path / "patients.csv"
    np.savetxt(path, np.column_stack([rows, labels]), delimiter=",", header="60,3,no,yes", comments="")
    return path


def test_the_log_density_of_the_regression(path):
    data = table(path)
    density, weights = Regression.of(data), np.asarray([0.1, 1.0, -0.3, 0.2])
    values = (data[:, :3] - data[:, :3].mean(0)) / data[:, :3].std(0)
    chances = 1 / (1 + np.exp(-(weights[0] + values @ weights[1:])))
    likelihood = np.log(np.where(data[:, 3] == 1, chances, 1 - chances)).sum()
    expected = likelihood + scipy.stats.norm.logpdf(weights).sum() - scipy.stats.norm.logpdf(np.zeros(4)).sum()
    assert density(jnp.asarray(weights, jnp.float32)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_the_scale_is_that_of_the_posterior(path):
    """In its coordinates the Hessian at the mode is one."""
    density = Regression.of(table(path))
    mode, scale = density.mode_and_scale()
    np.testing.assert_allclose(jax.grad(density)(mode), 0, atol=1e-3)
    np.testing.assert_allclose(-scale.T @ jax.hessian(density)(mode) @ scale, np.eye(4), atol=1e-3)


def test_the_log_density_of_the_schools():
    """Up to a constant, and with the derivative of tau by its logarithm."""

    def expected(mu, tau, theta):
        prior = scipy.stats.norm.logpdf(mu, 0, 5) + scipy.stats.halfcauchy.logpdf(tau, scale=5) + np.log(tau)
        effects = (
            scipy.stats.norm.logpdf(theta).sum() + scipy.stats.norm.logpdf(EFFECTS, mu + tau * theta, ERRORS).sum()
        )
        return prior + effects

    with jax.enable_x64(True):
        places = [(1.0, 2.0, np.linspace(-1, 1, 8)), (6.0, 9.0, np.ones(8)), (-3.0, 0.2, np.zeros(8))]
        given = [
            eight_schools({"mu": jnp.asarray(m), "log_tau": jnp.log(t), "theta": jnp.asarray(h)}) for m, t, h in places
        ]
    np.testing.assert_allclose(np.diff(given), np.diff([expected(*place) for place in places]), rtol=1e-6)


def test_the_data_are_asked_for_in_words(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="make mcmc-demo"):
        table()


@pytest.mark.slow  # `make mcmc-demo` at a small size, for ten seconds
def test_a_run_draws_a_picture(path, tmp_path):
    app, picture = Typer(), tmp_path / "out" / "mcmc.png"
    app.command()(main)
    found = CliRunner().invoke(app, ["--draws", "160", "--data", str(path), "--out", str(picture)])
    assert found.exit_code == 0, found.output
    assert "0 decisions differ" in found.output
    assert picture.stat().st_size > 10_000
