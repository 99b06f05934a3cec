"""Log densities with known answers, and kernels on them."""

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

COVARIANCE = np.asarray([[1.0, 0.6, 0.0], [0.6, 2.0, 0.3], [0.0, 0.3, 0.5]])
FACTOR = np.linalg.cholesky(COVARIANCE)


def normal(x):
    """A correlated normal density of three numbers, mean zero."""
    return -0.5 * x @ jnp.asarray(np.linalg.inv(COVARIANCE), x.dtype) @ x


def curved(x):
    """A density along a bent valley."""
    return -0.5 * (x[0] ** 2 / 4 + (x[1] + 0.3 * x[0] ** 2 - 1) ** 2 + x[2] ** 2)


def logistic(x):
    """The posterior of a logistic regression with three weights on made data."""
    rows = np.random.default_rng(0).normal(size=(40, 3))
    labels = np.random.default_rng(1).random(40) < 1 / (1 + np.exp(-rows @ np.asarray([1.0, -1.0, 0.5])))
    scores = jnp.asarray(rows, x.dtype) @ x
    return jnp.sum(jnp.where(labels, -jax.nn.softplus(-scores), -jax.nn.softplus(scores))) - 0.5 * x @ x


def sweep(position, noise):
    """Two normal numbers with correlation 0.9, each drawn given the other."""
    first = 0.9 * position[1] + 0.19**0.5 * noise[0]
    return jnp.stack([first, 0.9 * first + 0.19**0.5 * noise[1]])


def gibbs(dtype):
    return ps.mcmc.gibbs(sweep, lambda key: jax.random.normal(key, (2,), dtype))


TARGETS = {"normal": normal, "curved": curved, "logistic": logistic}
KERNELS = {
    "mala": lambda density: ps.mcmc.mala(density, 0.2),
    "whitened mala": lambda density: ps.mcmc.mala(density, 0.1, FACTOR),
    "hmc": lambda density: ps.mcmc.hmc(density, 0.3, 3, np.sqrt(np.diag(COVARIANCE))),
    "ula": lambda density: ps.mcmc.ula(density, 0.1),
    "random walk": lambda density: ps.mcmc.random_walk(density, 0.8),
}
