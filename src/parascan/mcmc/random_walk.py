"""The random walk of Metropolis, which two copies that share their noise do not leave together."""

from typing import Any

from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from ..solution import Tree
from .kernel import AbstractKernel, Info, Uniform, choose, draw
from .target import Flat, LogDensity, checked_density, checked_scale, checked_step_size


class RandomWalk(AbstractKernel):
    """A normal proposal around the position; made by ``random_walk``."""

    target: Flat
    step_size: Float[Array, ""]

    def noise(self, key: Key[Array, ""], position: Tree) -> Uniform:
        """Normal numbers, and a uniform one that decides."""
        return draw(key, ravel_pytree(position)[0])

    def __call__(self, position: Tree, noise: Uniform) -> tuple[Tree, Info]:
        """The next position."""
        flat, unravel = ravel_pytree(position)
        proposal = flat + self.target.along(self.step_size.astype(flat.dtype) * noise.normal)
        log_ratio = self.target.log_density(unravel(proposal)) - self.target.log_density(position)
        chosen, info = choose(flat, proposal, log_ratio, noise.uniform)
        return unravel(chosen), info


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

    Example:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> kernel = ps.mcmc.random_walk(lambda x: -0.5 * jnp.sum(x**2), 1.0)
        >>> ps.mcmc.sample(kernel, jnp.zeros(2), 100, key=jax.random.key(0)).positions.shape
        (1, 100, 2)
    """
    return RandomWalk(Flat(checked_density(log_density), checked_scale(scale)), checked_step_size(step_size))
