"""The random walk of Metropolis, which two copies that share their noise do not leave together."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from ..solution import Tree
from .kernel import Uniform
from .target import AbstractDensityKernel, Flat, LogDensity, checked_step_size


class RandomWalk(AbstractDensityKernel):
    """A normal proposal around the position; made by ``random_walk``."""

    def propose(
        self, flat: Float[Array, " D"], size: Float[Array, ""], noise: Uniform, unravel: Callable[[Array], Tree]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        """A place around the position, and the log ratio of the densities."""
        proposal = flat + self.target.along(size * noise.normal)
        return proposal, self.target.log_density(unravel(proposal)) - self.target.log_density(unravel(flat))


def random_walk(log_density: LogDensity, step_size: Any, scale: Any = None) -> RandomWalk:
    """The random walk of Metropolis, with invariant density ``exp(log_density)``.

    Where two copies accept the same move, their distance stays as it is: nothing but a rejection by one of the two
    changes it. So this chain is run step by step, and ``foretell`` says so.

    Args:
        log_density: ``position -> log density``, up to a constant; position any tree of floating arrays.
        step_size: deviation of the proposal, above 0; about ``2.4 D^(-1/2)`` in coordinates of one size.
        scale: L: deviations ``[D]``, or a matrix ``[D D]`` such as the Cholesky factor of the covariance; one when
            None.

    Raises:
        TypeError: ``log_density`` is no function.
        ValueError: ``step_size`` or ``scale`` of the wrong form.

    Source: Metropolis et al. 1953.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> kernel = ps.mcmc.random_walk(lambda x: -0.5 * jnp.sum(x**2), 1.0)
        >>> ps.mcmc.sample(kernel, jnp.zeros(2), 100, key=jax.random.key(0)).positions.shape
        (1, 100, 2)
    """
    return RandomWalk(Flat.of(log_density, scale), checked_step_size(step_size))
