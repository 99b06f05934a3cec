"""What a kernel is: a pure map of position and noise, and the law of that noise."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ..solution import Tree


class Info(NamedTuple):
    """What a kernel says of one transition.

    Attributes:
        accepted: whether the proposal was taken; true of kernels that take all.
        acceptance: probability with which it is taken.
        divergent: whether the proposal's log density is not a number, or lies far below the position's.
    """

    accepted: Bool[Array, ""]
    acceptance: Float[Array, ""]
    divergent: Bool[Array, ""]


class AbstractKernel(eqx.Module):
    """A Markov kernel in the form ``(position, noise) -> (position, info)``.

    The noise of all transitions is drawn before the chain runs, so that the chain is a recurrence without randomness,
    and two runs with the same key are the same whatever solver runs them.
    """

    @abc.abstractmethod
    def __call__(self, position: Tree, noise: Tree) -> tuple[Tree, Info]:
        """The next position.

        Args:
            position: tree of floating arrays.
            noise: what ``noise`` drew for one transition.
        """

    @abc.abstractmethod
    def noise(self, key: Key[Array, ""], position: Tree) -> Tree:
        """The noise of one transition.

        Args:
            key: random key.
            position: a position, for its shapes and dtypes.
        """


def refuse_other(kernel: object) -> None:
    """Refuse what is no kernel.

    Args:
        kernel: what the user gave.

    Raises:
        TypeError: it is no kernel.
    """
    if not isinstance(kernel, AbstractKernel):
        raise TypeError(f"kernel: given {type(kernel).__name__}, expected a kernel such as ps.mcmc.mala(...).")


class Uniform(NamedTuple):
    """Noise of a kernel that accepts or rejects.

    Attributes:
        normal: standard normal numbers, as many as the position has entries.
        uniform: a number between 0 and 1, which decides.
    """

    normal: Float[Array, " D"]
    uniform: Float[Array, ""]


def draw(key: Key[Array, ""], flat: Float[Array, " D"]) -> Uniform:
    """Noise for a flat position.

    Args:
        key: random key.
        flat: the position.
    """
    first, second = jax.random.split(key)
    return Uniform(jax.random.normal(first, flat.shape, flat.dtype), jax.random.uniform(second, (), flat.dtype))


DIVERGENT = 1000.0
"""Fall of the log density, or rise of the energy, from which a proposal counts as divergent; as in Stan."""


def choose(
    flat: Float[Array, " D"], proposal: Float[Array, " D"], log_ratio: Float[Array, ""], uniform: Float[Array, ""]
) -> tuple[Float[Array, " D"], Info]:
    """The proposal or the position as it is, by the rule of Metropolis and Hastings.

    Args:
        flat: the position.
        proposal: where it may go.
        log_ratio: log of the ratio of Metropolis and Hastings; NaN counts as never.
        uniform: a number between 0 and 1.
    """
    broken = jnp.isnan(log_ratio) | ~jnp.all(jnp.isfinite(proposal))
    log_ratio = jnp.where(broken, -jnp.inf, log_ratio)
    accepted = jnp.log(uniform) < log_ratio
    info = Info(accepted, jnp.exp(jnp.minimum(log_ratio, 0)), log_ratio < -DIVERGENT)
    return jnp.where(accepted, proposal, flat), info
