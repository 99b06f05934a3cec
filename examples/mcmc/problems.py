"""The posteriors of the example: a logistic regression on real data, and the eight schools."""

import importlib.util
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

EFFECTS = np.asarray([28.0, 8, -3, 7, -1, 1, 18, 12])
ERRORS = np.asarray([15.0, 10, 16, 11, 9, 11, 10, 18])
"""Effects of coaching in eight schools, and their standard errors: Rubin 1981, table 1."""

KNOWN = {"mu": (4.4, 3.3), "tau": (3.6, 3.2)}
"""Posterior mean and deviation of the eight schools with the priors below, as in posteriordb (eight_schools)."""


NEWTON_STEPS = 12
"""Steps to the mode of the regression, more than enough."""


def eight_schools(position: dict[str, Array]) -> Float[Array, ""]:
    """Log density of ``mu``, ``log_tau`` and the standardized effects ``theta`` of the eight schools.

    Priors: ``mu`` normal with deviation 5, ``tau`` half Cauchy with scale 5.
    """
    mu, log_tau, theta = position["mu"], position["log_tau"], position["theta"]
    tau = jnp.exp(log_tau)
    residuals = (jnp.asarray(EFFECTS, mu.dtype) - mu - tau * theta) / jnp.asarray(ERRORS, mu.dtype)
    prior = -0.5 * (mu / 5) ** 2 - jnp.log1p((tau / 5) ** 2) + log_tau - 0.5 * jnp.sum(theta**2)
    return prior - 0.5 * jnp.sum(residuals**2)


def table(path: Path | None = None) -> np.ndarray:
    """The breast cancer measurements of scikit-learn, one row a patient, the diagnosis last.

    Args:
        path: of the file; the one in the installed package when None.

    Raises:
        FileNotFoundError: scikit-learn is not installed.
    """
    if path is None:
        found = importlib.util.find_spec("sklearn")
        if found is None or not found.submodule_search_locations:
            raise FileNotFoundError("The data come with scikit-learn, which 'make mcmc-demo' installs.")
        path = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "breast_cancer.csv"
    return np.loadtxt(path, delimiter=",", skiprows=1)


class Regression(eqx.Module):
    """Log density of the weights of a logistic regression, with normal priors of deviation 1.

    Attributes:
        rows: standardized measurements with a column of ones ``[N D]``.
        signs: 1 or -1 for each row.
    """

    rows: Float[Array, "N D"]
    signs: Float[Array, " N"]

    @classmethod
    def of(cls, data: np.ndarray) -> "Regression":
        """From rows whose last entry is the label, 0 or 1."""
        values, labels = data[:, :-1], data[:, -1]
        values = (values - values.mean(0)) / values.std(0)
        rows = np.concatenate([np.ones((len(values), 1)), values], axis=1)
        return cls(jnp.asarray(rows, jnp.float32), jnp.asarray(2 * labels - 1, jnp.float32))

    def __call__(self, weights: Float[Array, " D"]) -> Float[Array, ""]:
        """The log density, up to a constant."""
        return -jnp.sum(jax.nn.softplus(-self.signs * (self.rows @ weights))) - 0.5 * weights @ weights

    def mode_and_scale(self) -> tuple[Float[Array, " D"], Float[Array, "D D"]]:
        """The mode, found by Newton's method, and a factor of the inverse Hessian there: the scale of a kernel."""
        weights = jnp.zeros(self.rows.shape[1], self.rows.dtype)
        for _ in range(NEWTON_STEPS):
            weights = weights - jnp.linalg.solve(jax.hessian(self)(weights), jax.grad(self)(weights))
        factor = jnp.linalg.cholesky(-jax.hessian(self)(weights))
        return weights, jnp.linalg.inv(factor).T
