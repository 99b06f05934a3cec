"""Gibbs sampling: a sweep of the user's over conditional distributions, with its noise drawn beforehand."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ..solution import Tree
from .kernel import AbstractKernel, Info


class Gibbs(AbstractKernel):
    """A sweep that is always taken; made by ``gibbs``."""

    sweep: Callable[[Any, Any], Any]
    law: Callable[[Key[Array, ""]], Any]

    def noise(self, key: Key[Array, ""], position: Tree) -> Tree:
        """What the user's law draws."""
        return self.law(key)

    def __call__(self, position: Tree, noise: Tree) -> tuple[Tree, Info]:
        """The position after the sweep."""
        after = self.sweep(position, noise)
        leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(after)]
        dtype = jnp.result_type(*jax.tree.leaves(after))
        return after, Info(jnp.asarray(True), jnp.ones((), dtype), ~jnp.all(jnp.stack(leaves)))


def gibbs(sweep: Callable[[Any, Any], Any], law: Callable[[Key[Array, ""]], Any]) -> Gibbs:
    """A Gibbs sampler from a sweep over the conditionals.

    Args:
        sweep: ``(position, noise) -> position``, which draws each part given the others: by its quantile function from
            a uniform number, or by shifting and scaling a normal one.
        law: ``key -> noise``, the noise of one sweep.

    Raises:
        TypeError: an argument is no function.

    Source: Geman and Geman 1984.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> def sweep(position, noise):  # two normal numbers with correlation 0.9
        ...     x = 0.9 * position[1] + 0.19**0.5 * noise[0]
        ...     return jnp.stack([x, 0.9 * x + 0.19**0.5 * noise[1]])
        >>> kernel = ps.mcmc.gibbs(sweep, lambda key: jax.random.normal(key, (2,)))
        >>> ps.mcmc.sample(kernel, jnp.zeros(2), 500, key=jax.random.key(0)).positions.shape
        (1, 500, 2)
    """
    for name, function in (("sweep", sweep), ("law", law)):
        if not callable(function):
            raise TypeError(f"{name}: given {type(function).__name__}, expected a function.")
    return Gibbs(sweep, law)
