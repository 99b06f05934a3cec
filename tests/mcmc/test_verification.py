"""Posteriors are right as a whole: Geweke's joint test of a Gibbs sampler, and calibration over simulated data.

Both draw parameters from the prior and data given these. What a kernel makes of them must be of the same joint law.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from examples.mcmc.problems import ERRORS

import parascan as ps

ROWS = 5
"""Numbers that are observed, of a mean and a precision of which neither is known."""


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def quantile_of_gamma(shape, uniform):
    """By bisection of the regularized incomplete gamma function, in logarithms; ``shape`` is a constant."""
    low, high = jnp.full_like(uniform, -40.0), jnp.full_like(uniform, 10.0)

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        below = jax.scipy.special.gammainc(shape, jnp.exp(middle)) < uniform
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    return jnp.exp(jax.lax.fori_loop(0, 60, halve, (low, high))[0])


def law(key):
    """Noise of a sweep: of the mean, of the precision, and of the data."""
    keys = jax.random.split(key, 3)
    return {
        "normal": jax.random.normal(keys[0]),
        "uniform": jax.random.uniform(keys[1]),
        "data": jax.random.normal(keys[2], (ROWS,)),
    }


def sweep_of(fault):
    """Mean, precision and data in turn; the precision's prior is a gamma law of shape 3, the mean's is normal."""

    def sweep(position, noise):
        precision, data = position["precision"], position["data"]
        spread = 1 / (1 + ROWS * precision)
        if fault == "spread":
            spread = 1 / (ROWS * precision)
        mean = spread * precision * data.sum() + jnp.sqrt(spread) * noise["normal"]
        shape = 3 + (ROWS - 1 if fault == "shape" else ROWS) / 2
        # The quantile function sees the uniform number that a faulty sampler has drawn its mean from already.
        uniform = jax.scipy.stats.norm.cdf(noise["normal"]) if fault == "key" else noise["uniform"]
        rate = 1 + 0.5 * jnp.sum((data - mean) ** 2)
        precision = quantile_of_gamma(shape, uniform) / rate
        data = mean + noise["data"] / jnp.sqrt(precision)
        return {"mean": mean, "precision": precision, "data": data}

    return sweep


def geweke(fault, draws=25_000):
    """The smallest p-value of the moments of mean and precision, prior against a chain that redraws the data.

    Source: Geweke 2004, with batch means for the variance of the chain's averages.
    """
    start = {"mean": jnp.zeros(()), "precision": jnp.asarray(3.0), "data": jnp.zeros(ROWS)}
    kernel = ps.mcmc.gibbs(sweep_of(fault), law)
    chain = ps.mcmc.sample(kernel, start, draws, key=jax.random.key(0), solver=ps.Sequential()).positions
    mean, precision = (np.asarray(chain[name])[0, 100:] for name in ("mean", "precision"))
    # Of a standard normal mean and a precision whose law is gamma with shape 3, independent of each other.
    expected = [(mean, 0.0), (mean**2, 1.0), (precision, 3.0), (precision**2, 12.0), (mean**2 * precision, 3.0)]
    found = []
    for values, moment in expected:
        batches = values[: len(values) // 50 * 50].reshape(50, -1).mean(1)
        found.append(scipy.stats.ttest_1samp(batches, moment).pvalue)
    return min(found) * len(found)


def test_geweke_finds_a_right_gibbs_sampler_right():
    assert geweke(None) > 1e-2


@pytest.mark.parametrize("fault", [pytest.param(each, marks=pytest.mark.slow) for each in ("spread", "shape", "key")])
def test_geweke_sees_a_planted_fault(fault):
    """A prior left out, a shape that is off by a half, and noise that is used twice."""
    assert geweke(fault) < 1e-4


def calibration(make, prior, data_of, quantities, key, worlds, draws, start):
    """The smallest p-value of the ranks of true parameters among draws given their data, of each quantity.

    Source: Talts et al. 2018, with thinned draws.
    """

    def world(key):
        keys = jax.random.split(key, 3)
        truth = prior(keys[0])
        kernel = make(data_of(truth, keys[1]))
        chain = ps.mcmc.sample(kernel, start(truth), draws, key=keys[2], solver=ps.Sequential()).positions
        thinned = jax.tree.map(lambda leaf: leaf[0, draws // 4 :: 20], chain)
        return jnp.stack([jnp.sum(each(thinned) < each(truth)) for each in quantities])

    ranks = np.asarray(jax.jit(jax.vmap(world))(jax.random.split(key, worlds)))
    most = len(range(draws // 4, draws, 20))
    edges = np.linspace(-0.5, most + 0.5, 9)
    counts = np.diff(np.ceil(edges))
    found = [
        scipy.stats.chisquare(np.histogram(row, edges)[0], worlds * counts / counts.sum()).pvalue for row in ranks.T
    ]
    return min(found) * len(found)


SIGMA = 0.7


def conjugate(fault):
    """Calibration of HMC on a normal mean in the plane with a standard normal prior and three observations each."""

    def make(data):
        def log_density(mean):
            prior = 0.0 if fault == "prior" else -0.5 * jnp.sum(mean**2)
            return prior - 0.5 * jnp.sum((data - mean) ** 2) / (SIGMA**2 * (2.5 if fault == "variance" else 1.0))

        return ps.mcmc.hmc(log_density, 0.35, 4)

    prior = lambda key: jax.random.normal(key, (2,))  # noqa: E731
    data_of = lambda mean, key: mean + SIGMA * jax.random.normal(key, (3, 2))  # noqa: E731
    quantities = [lambda x: x[..., 0], lambda x: x[..., 1], lambda x: jnp.sum(x**2, axis=-1)]
    # Starts must not know the truth.
    start = jnp.zeros_like
    return calibration(make, prior, data_of, quantities, jax.random.key(1), 1500, 640, start)


def test_posteriors_of_a_conjugate_normal_are_calibrated():
    assert conjugate(None) > 1e-2


@pytest.mark.parametrize("fault", [pytest.param(each, marks=pytest.mark.slow) for each in ("variance", "prior")])
def test_calibration_sees_a_planted_fault(fault):
    assert conjugate(fault) < 1e-4


@pytest.mark.slow  # 600 posteriors of ten dimensions
@pytest.mark.parametrize("fault", [None, "jacobian"])
def test_posteriors_of_eight_schools_are_calibrated(fault):
    """In the standardized form; the planted fault forgets the derivative of tau by its logarithm."""
    errors = jnp.asarray(ERRORS)

    def make(effects):
        def log_density(x):
            tau = jnp.exp(x["log_tau"])
            prior = -0.5 * (x["mu"] / 5) ** 2 - jnp.log1p((tau / 5) ** 2) - 0.5 * jnp.sum(x["theta"] ** 2)
            prior = prior if fault else prior + x["log_tau"]
            return prior - 0.5 * jnp.sum(((effects - x["mu"] - tau * x["theta"]) / errors) ** 2)

        scale = jnp.asarray([1.2, 4.0, *[1.0] * 8])  # log_tau, mu, theta: the order of a tree's leaves
        return ps.mcmc.hmc(log_density, 0.22, 12, scale)

    def prior(key):
        keys = jax.random.split(key, 3)
        tau = 5 * jnp.abs(jax.random.cauchy(keys[1]))
        mu, theta = 5 * jax.random.normal(keys[0]), jax.random.normal(keys[2], (8,))
        return {"mu": mu, "log_tau": jnp.log(tau), "theta": theta}

    def data_of(truth, key):
        effects = truth["mu"] + jnp.exp(truth["log_tau"]) * truth["theta"]
        return effects + errors * jax.random.normal(key, (8,))

    def start(truth):
        return {"mu": jnp.zeros(()), "log_tau": jnp.ones(()), "theta": jnp.zeros(8)}

    quantities = [lambda x: x["mu"], lambda x: x["log_tau"], lambda x: x["theta"][..., 0]]
    found = calibration(make, prior, data_of, quantities, jax.random.key(2), 600, 2400, start)
    assert (found < 1e-4) if fault else (found > 1e-2)
