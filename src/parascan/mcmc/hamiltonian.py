"""Hamiltonian Monte Carlo with a fixed number of leapfrog steps."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from ..problem.arguments import as_integer, check_counts
from ..solution import Tree
from .kernel import Uniform
from .target import AbstractDensityKernel, Flat, LogDensity, checked_step_size


class Hamiltonian(AbstractDensityKernel):
    """Leapfrog steps from a fresh momentum, taken or not; made by ``hmc``."""

    steps: int = eqx.field(static=True)

    def propose(
        self, flat: Float[Array, " D"], size: Float[Array, ""], noise: Uniform, unravel: Callable[[Array], Tree]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        """The place after the leapfrog steps, and the fall of the energy."""
        value, slope = self.target.value_and_slope(flat, unravel)

        def leap(_: Any, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            place, momentum, _, slope = state
            momentum = momentum + 0.5 * size * slope
            place = place + size * self.target.along(momentum)
            value, slope = self.target.value_and_slope(place, unravel)
            return place, momentum + 0.5 * size * slope, value, slope

        start = flat, noise.normal, value, slope
        place, momentum, after, _ = jax.lax.fori_loop(0, self.steps, leap, start)
        return place, after - value - 0.5 * (momentum @ momentum - noise.normal @ noise.normal)


def hmc(log_density: LogDensity, step_size: Any, steps: int, scale: Any = None) -> Hamiltonian:
    """Hamiltonian Monte Carlo, with invariant density ``exp(log_density)``.

    Args:
        log_density: ``position -> log density``, up to a constant; position any tree of floating arrays.
        step_size: of a leapfrog step, above 0; about ``D^(-1/4)`` in coordinates of one size.
        steps: leapfrog steps of a transition, one or more.
        scale: L, so that ``L L^T`` is the inverse mass matrix: deviations ``[D]``, or a matrix ``[D D]`` such as the
            Cholesky factor of the covariance; one when None.

    Raises:
        TypeError: ``log_density`` is no function, or ``steps`` no integer.
        ValueError: ``step_size``, ``steps`` or ``scale`` of the wrong form.

    Source: Duane et al. 1987; Neal 2011.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> kernel = ps.mcmc.hmc(lambda x: -0.5 * jnp.sum(x**2), 0.5, steps=4)
        >>> draws = ps.mcmc.sample(kernel, jnp.zeros(2), 1000, key=jax.random.key(0))
        >>> bool(draws.acceptance.mean() > 0.8)
        True
    """
    steps = as_integer(steps)
    check_counts(steps=steps)
    target = Flat.of(log_density, scale)
    return Hamiltonian(target, checked_step_size(step_size), steps)
