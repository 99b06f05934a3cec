"""``warm_up``: step size and scale adapted along short chains, one step after the other, and then frozen."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from ..problem.arguments import as_integer, check_counts
from ..solution import Tree
from .kernel import AbstractKernel
from .sample import starts_of

SHRINKAGE, DELAY, POWER = 0.05, 10.0, 0.75
"""Constants of dual averaging: gamma, t0 and kappa of Hoffman and Gelman 2014, section 3.2."""

PRIOR = 5.0
"""Draws that the unit deviation counts for among those seen, as in Stan."""


class WarmUp(eqx.Module):
    """What a warm-up found.

    Attributes:
        kernel: with the step size and the scale that were found.
        positions: the last of each chain ``[chain, ...]``.
        step_size: that was found.
        scale: deviations ``[D]`` or a Cholesky factor ``[D D]`` that was found.
        acceptance: mean probability of acceptance over the last half.
    """

    kernel: AbstractKernel
    positions: Tree
    step_size: Float[Array, ""]
    scale: Float[Array, "..."]
    acceptance: Float[Array, ""]


def warm_up(
    make: Callable[..., AbstractKernel],
    positions: Tree,
    draws: int,
    *,
    key: Key[Array, ""],
    chains: int | None = None,
    target: float = 0.8,
    step_size: float = 0.1,
    dense: bool = False,
) -> WarmUp:
    """A kernel whose step size and scale suit the target density.

    The chains run together, one step after the other, since what is adapted depends on all draws before. In the first
    half deviations (or the covariance) are estimated and the step size follows; in the second half the scale is fixed
    and the step size is found anew, by dual averaging.

    Args:
        make: ``(step_size, scale) -> kernel``, such as ``lambda h, scale: ps.mcmc.mala(log_density, h, scale)``.
        positions: where the chains start: a position, or one for each chain with a leading axis where ``chains`` is
            given.
        draws: of each chain, 20 or more.
        key: random key.
        chains: how many run together, whose draws are taken together; None for a single one, whose start has no leading
            axis.
        target: probability of acceptance to aim at: about 0.57 for MALA, 0.8 for HMC.
        step_size: to begin with.
        dense: whether the scale is a Cholesky factor of the covariance, and not deviations.

    Raises:
        TypeError: ``draws`` or ``chains`` is no integer.
        ValueError: fewer than 20 draws, a target that is not between 0 and 1, or positions of the wrong form.

    Source: dual averaging, Nesterov 2009, as in Hoffman and Gelman 2014.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> density = lambda x: -0.5 * jnp.sum((x / jnp.array([1.0, 10.0])) ** 2)
        >>> make = lambda h, scale: ps.mcmc.mala(density, h, scale)
        >>> found = ps.mcmc.warm_up(make, jnp.zeros(2), 500, key=jax.random.key(0), target=0.57)
        >>> bool(found.scale[1] > 3 * found.scale[0])
        True
    """
    draws = as_integer(draws)
    check_counts(draws=draws)
    if draws < 20:
        raise ValueError(f"draws: given {draws}, expected 20 or more.")
    if not 0 < target < 1:
        raise ValueError(f"target: given {target}, expected a probability between 0 and 1.")
    positions = starts_of(positions, chains)
    return _adapt(make, positions, draws, key, target, jnp.asarray(step_size), dense)


@eqx.filter_jit
def _adapt(
    make: Callable[..., AbstractKernel],
    positions: Tree,
    draws: int,
    key: Key[Array, ""],
    target: float,
    step_size: Float[Array, ""],
    dense: bool,
) -> WarmUp:
    """Two phases: scale and step size together, then the step size for the last scale."""
    one = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], positions))[0]
    keys, half = jax.random.split(key, draws), draws // 2
    seen = Moments.empty(one, dense)
    begun = positions, StepSize.start(jnp.log(step_size.astype(one.dtype))), seen
    (positions, found, seen), _ = jax.lax.scan(partial(_transition, make, target, None), begun, keys[:half])
    scale = seen.scale()
    begun = positions, StepSize.start(found.mean), seen
    (positions, found, _), accepted = jax.lax.scan(partial(_transition, make, target, scale), begun, keys[half:])
    step_size = jnp.exp(found.mean)
    return WarmUp(make(step_size, scale), positions, step_size, scale, accepted[len(accepted) // 2 :].mean())


def _transition(
    make: Callable[..., AbstractKernel],
    target: float,
    scale: Array | None,
    state: "tuple[Tree, StepSize, Moments]",
    key: Key[Array, ""],
) -> "tuple[tuple[Tree, StepSize, Moments], Array]":
    """One draw of all chains, and what it teaches; with a scale given, the step size alone."""
    positions, size, seen = state
    kernel = make(jnp.exp(size.log), seen.scale() if scale is None else scale)
    chains = jax.tree.leaves(positions)[0].shape[0]
    noise = jax.vmap(kernel.noise)(jax.random.split(key, chains), positions)
    positions, info = jax.vmap(lambda position, noise: kernel(position, noise))(positions, noise)
    if scale is None:
        seen = seen.with_draws(jax.vmap(lambda position: ravel_pytree(position)[0])(positions))
    accepted = info.acceptance.mean().astype(size.log.dtype)
    return (positions, size.after(target - accepted), seen), accepted


class StepSize(NamedTuple):
    """Dual averaging of the logarithm of a step size.

    Attributes:
        turn: draws so far.
        error: weighted mean of the shortfalls of the acceptance.
        log: logarithm of the step size to use next.
        mean: weighted mean of these, which is what is found.
        center: that the logarithm is drawn to.
    """

    turn: Array
    error: Array
    log: Array
    mean: Array
    center: Array

    @classmethod
    def start(cls, log: Array) -> "StepSize":
        """Before the first draw, from the logarithm of a step size."""
        zero = jnp.zeros_like(log)
        return cls(zero, zero, log, log, log + jnp.log(10.0).astype(log.dtype))

    def after(self, shortfall: Array) -> "StepSize":
        """After a draw whose acceptance was short of the target by so much."""
        turn = self.turn + 1
        error = self.error + (shortfall - self.error) / (turn + DELAY)
        log = self.center - error * jnp.sqrt(turn) / SHRINKAGE
        weight = turn**-POWER
        return StepSize(turn, error, log, weight * log + (1 - weight) * self.mean, self.center)


class Moments(NamedTuple):
    """Number, mean, and squared deviations of the draws seen, one entry a coordinate or a matrix.

    Source: Welford 1962, in the form of Chan et al. 1983 for several draws at once.
    """

    number: Array
    mean: Array
    spread: Array

    @classmethod
    def empty(cls, flat: Array, dense: bool) -> "Moments":
        """Before the first draw."""
        shape = (flat.size, flat.size) if dense else flat.shape
        return cls(jnp.zeros((), flat.dtype), jnp.zeros_like(flat), jnp.zeros(shape, flat.dtype))

    def with_draws(self, flat: Float[Array, "chain D"]) -> "Moments":
        """With further draws."""
        new, total = flat.shape[0], self.number + flat.shape[0]
        mean = flat.mean(0)
        change, rest = mean - self.mean, flat - mean
        weight = self.number * new / total
        if self.spread.ndim == 2:
            spread = self.spread + rest.T @ rest + weight * jnp.outer(change, change)
        else:
            spread = self.spread + jnp.sum(rest**2, axis=0) + weight * change**2
        return Moments(total, self.mean + change * new / total, spread)

    def scale(self) -> Array:
        """Deviations, or a Cholesky factor of the covariance, as if a few draws of unit deviation had been seen too."""
        unit = jnp.eye(len(self.mean), dtype=self.mean.dtype) if self.spread.ndim == 2 else jnp.ones_like(self.mean)
        covariance = (self.spread + PRIOR * unit) / (self.number + PRIOR)
        return jnp.linalg.cholesky(covariance) if self.spread.ndim == 2 else jnp.sqrt(covariance)
