"""Langevin kernels: the unadjusted step, and the same step with a correction by accept and reject."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..solution import Tree
from .kernel import Info, Uniform
from .target import AbstractDensityKernel, Flat, LogDensity, checked_step_size


class Langevin(AbstractDensityKernel):
    """A Langevin step, with or without its correction; made by ``mala`` and ``ula``."""

    adjusted: bool = eqx.field(static=True)

    def propose(
        self, flat: Float[Array, " D"], size: Float[Array, ""], noise: Uniform, unravel: Callable[[Array], Tree]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        """A step along the slope with noise, and the log ratio of Metropolis and Hastings."""
        value, slope = self.target.value_and_slope(flat, unravel)
        move = size * slope + jnp.sqrt(2 * size) * noise.normal
        proposal = flat + self.target.along(move)
        after, slope_after = self.target.value_and_slope(proposal, unravel)
        # The way back needs the noise ``(-move - size slope') / sqrt(2 size)`` in place of ``noise.normal``.
        back = (move + size * slope_after) / jnp.sqrt(2 * size)
        return proposal, after - value - 0.5 * (back @ back - noise.normal @ noise.normal)

    def move(
        self, flat: Float[Array, " D"], size: Float[Array, ""], noise: Uniform, unravel: Callable[[Array], Tree]
    ) -> tuple[Float[Array, " D"], Info]:
        """The next position: the proposal whatever its ratio, where there is no correction."""
        if self.adjusted:
            return super().move(flat, size, noise, unravel)
        slope = self.target.value_and_slope(flat, unravel)[1]
        proposal = flat + self.target.along(size * slope + jnp.sqrt(2 * size) * noise.normal)
        return proposal, _all_taken(proposal)

    def gate(self, position: Tree, noise: Uniform) -> tuple[Tree, Float[Array, ""]]:
        """The proposal, and the margin by which it is taken."""
        if not self.adjusted:
            raise TypeError("gate: given ula(...), which takes every proposal, expected a kernel that may refuse one.")
        return super().gate(position, noise)


def _all_taken(proposal: Float[Array, " D"]) -> Info:
    """What is said of a proposal that is always taken."""
    one = jnp.ones((), proposal.dtype)
    return Info(jnp.asarray(True), one, ~jnp.all(jnp.isfinite(proposal)))


def mala(log_density: LogDensity, step_size: Any, scale: Any = None) -> Langevin:
    """The Metropolis-adjusted Langevin algorithm, with invariant density ``exp(log_density)``.

    A proposal ``x + h M grad + sqrt(2 h) L noise`` with ``M = L L^T`` is taken or not by the rule of Metropolis and
    Hastings.

    Args:
        log_density: ``position -> log density``, up to a constant; position any tree of floating arrays.
        step_size: h, above 0; about ``D^(-1/3)`` in coordinates of one size.
        scale: L: deviations ``[D]``, or a matrix ``[D D]`` such as the Cholesky factor of the covariance; one when
            None.

    Raises:
        TypeError: ``log_density`` is no function.
        ValueError: ``step_size`` or ``scale`` of the wrong form.

    Source: Besag 1994; Roberts and Tweedie 1996.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> kernel = ps.mcmc.mala(lambda x: -0.5 * jnp.sum(x**2), 0.5)
        >>> draws = ps.mcmc.sample(kernel, jnp.zeros(2), 1000, key=jax.random.key(0))
        >>> draws.positions.shape
        (1, 1000, 2)
    """
    return Langevin(Flat.of(log_density, scale), checked_step_size(step_size), True)


def ula(log_density: LogDensity, step_size: Any, scale: Any = None) -> Langevin:
    """The unadjusted Langevin algorithm: the proposal of ``mala``, always taken.

    Its invariant density differs from ``exp(log_density)`` by an error of the order of the step size.

    Args:
        log_density: as for ``mala``.
        step_size: h, above 0.
        scale: as for ``mala``.

    Raises:
        TypeError: ``log_density`` is no function.
        ValueError: ``step_size`` or ``scale`` of the wrong form.

    Source: Parisi 1981; Roberts and Tweedie 1996.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> kernel = ps.mcmc.ula(lambda x: -0.5 * jnp.sum(x**2), 0.1)
        >>> bool(ps.mcmc.sample(kernel, jnp.zeros(2), 100, key=jax.random.key(0)).accepted.all())
        True
    """
    return Langevin(Flat.of(log_density, scale), checked_step_size(step_size), False)
