"""Kernels keep their density: exact draws stay exact draws, and a fault that is planted does not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from targets import COVARIANCE, FACTOR, KERNELS, gibbs, normal

import parascan as ps
from parascan.mcmc import kernel as kernels
from parascan.mcmc import langevin_kernels as langevin

COUNT, STEPS = 20_000, 5


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def after(kernel, start, key, steps=STEPS):
    """Exact draws after some transitions."""

    def one(start, key):
        each = jax.random.split(key, steps)
        return jax.lax.scan(lambda x, key: (kernel(x, kernel.noise(key, x))[0], None), start, each)[0]

    return np.asarray(jax.jit(jax.vmap(one))(start, jax.random.split(key, len(start))))


def p_value(draws, factor):
    """The smallest p-value of the coordinates and of their squares' sum, by Kolmogorov and Smirnov, for three looks."""
    white = np.linalg.solve(factor, draws.T)
    found = [scipy.stats.kstest(row, "norm").pvalue for row in white]
    found.append(scipy.stats.kstest((white**2).sum(0), "chi2", args=(len(white),)).pvalue)
    return min(found) * len(found)


def exact(key, factor=FACTOR):
    return jax.random.normal(key, (COUNT, len(factor))) @ jnp.asarray(factor).T


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "ula"])
def test_exact_draws_stay_exact(name):
    assert p_value(after(KERNELS[name](normal), exact(jax.random.key(0)), jax.random.key(1)), FACTOR) > 1e-3


def test_a_gibbs_sweep_keeps_its_density():
    factor = np.linalg.cholesky([[1.0, 0.9], [0.9, 1.0]])
    assert p_value(after(gibbs(jnp.float64), exact(jax.random.key(0), factor), jax.random.key(1)), factor) > 1e-3


def test_the_unadjusted_step_does_not():
    """The test can tell: a step size of 0.4 changes the density by a few percent."""
    assert p_value(after(ps.mcmc.ula(normal, 0.4), exact(jax.random.key(0)), jax.random.key(1)), FACTOR) < 1e-6


class NoCorrection(eqx.Module):
    """MALA that forgets that its proposal is not symmetric."""

    inner: eqx.Module

    def noise(self, key, x):
        return self.inner.noise(key, x)

    def __call__(self, x, noise):
        proposal = langevin.Langevin(self.inner.target, self.inner.step_size, False)(x, noise)[0]
        return kernels.choose(x, proposal, normal(proposal) - normal(x), noise.uniform)


class Flipped(NoCorrection):
    """MALA that takes what it should refuse."""

    def __call__(self, x, noise):
        info = self.inner(x, noise)[1]
        proposal = langevin.Langevin(self.inner.target, self.inner.step_size, False)(x, noise)[0]
        return jnp.where(info.accepted, x, proposal), info


class Reused(NoCorrection):
    """MALA whose decision is drawn from its proposal's noise."""

    def __call__(self, x, noise):
        return self.inner(x, noise._replace(uniform=jax.scipy.stats.norm.cdf(noise.normal[0])))


@pytest.mark.parametrize("fault", [NoCorrection, Flipped, Reused])
def test_a_planted_fault_is_seen(fault):
    kernel = fault(ps.mcmc.mala(normal, 0.4))
    assert p_value(after(kernel, exact(jax.random.key(0)), jax.random.key(1)), FACTOR) < 1e-6


@pytest.mark.slow
def test_step_for_step_as_written_down_anew():
    """MALA and HMC against NumPy, from their formulas, in the coordinates x and with a dense scale."""
    inverse, scale = np.linalg.inv(COVARIANCE), np.asarray([[1.0, 0.0, 0.0], [0.4, 0.8, 0.0], [0.1, -0.3, 1.5]])
    mass = scale @ scale.T
    key, x = jax.random.key(5), np.asarray([0.3, -0.2, 0.9])

    def log_density(x):
        return -0.5 * x @ inverse @ x

    def proposal_density(to, start, h):
        change = to - start + h * mass @ inverse @ start
        return -change @ np.linalg.solve(mass, change) / (4 * h)

    mala, leap = ps.mcmc.mala(normal, 0.3, scale), ps.mcmc.hmc(normal, 0.4, 3, scale)
    taken = 0
    for each in jax.random.split(key, 50):
        noise = mala.noise(each, jnp.asarray(x))
        xi, u = np.asarray(noise.normal), float(noise.uniform)
        y = x - 0.3 * mass @ inverse @ x + np.sqrt(0.6) * scale @ xi
        ratio = log_density(y) - log_density(x) + proposal_density(x, y, 0.3) - proposal_density(y, x, 0.3)
        expected = y if np.log(u) < ratio else x
        given, info = mala(jnp.asarray(x), noise)
        np.testing.assert_allclose(given, expected, rtol=1e-10)
        np.testing.assert_allclose(info.acceptance, min(1, np.exp(ratio)), rtol=1e-8)
        momentum, place = np.linalg.solve(scale.T, xi), x.copy()
        start = 0.5 * momentum @ mass @ momentum - log_density(x)
        for _ in range(3):
            momentum = momentum - 0.2 * inverse @ place
            place = place + 0.4 * mass @ momentum
            momentum = momentum - 0.2 * inverse @ place
        ratio = start - (0.5 * momentum @ mass @ momentum - log_density(place))
        given, info = leap(jnp.asarray(x), noise)
        np.testing.assert_allclose(given, place if np.log(u) < ratio else x, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(info.acceptance, min(1, np.exp(ratio)), rtol=1e-8)
        taken += expected is y
        x = expected
    assert 5 < taken < 50
