"""A log density on trees of arrays as one on flat vectors, in coordinates that a scale makes alike; kernels on it."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from ..problem.arguments import as_arrays
from ..solution import Tree
from .kernel import AbstractKernel, Info, Uniform, choose, draw

LogDensity = Callable[[Any], Any]
"""``position -> log density``, up to a constant."""


class Flat(eqx.Module):
    """A log density and a scale ``L``, in which ``x = L z`` has entries of about one size.

    Attributes:
        log_density: ``position -> log density``.
        scale: L: deviations ``[D]``, a matrix ``[D D]`` such as the Cholesky factor of a covariance, or None for one.
    """

    log_density: LogDensity
    scale: Float[Array, "..."] | None

    @classmethod
    def of(cls, log_density: Any, scale: Any) -> "Flat":
        """From what the user gave.

        Raises:
            TypeError: ``log_density`` is no function.
            ValueError: ``scale`` of the wrong form.
        """
        return cls(checked_density(log_density), checked_scale(scale))

    def value_and_slope(
        self, flat: Float[Array, " D"], unravel: Callable[[Array], Tree]
    ) -> tuple[Float[Array, ""], Float[Array, " D"]]:
        """The log density, and its slope ``L^T grad`` in the coordinates z.

        Args:
            flat: a position.
            unravel: makes a tree of it.
        """
        value, slope = jax.value_and_grad(lambda flat: self.log_density(unravel(flat)))(flat)
        return value, self.along(slope, transposed=True)

    def along(self, vector: Float[Array, " D"], *, transposed: bool = False) -> Float[Array, " D"]:
        """``L v``, or ``L^T v``.

        Args:
            vector: v.
            transposed: whether by the transpose of L.
        """
        if self.scale is None:
            return vector
        scale = jnp.asarray(self.scale, vector.dtype)
        if scale.ndim < 2:
            return scale * vector
        return (scale.T if transposed else scale) @ vector


class AbstractDensityKernel(AbstractKernel):
    """A kernel that moves a position by normal numbers and a step size, and may decide by a uniform number.

    Attributes:
        target: the density.
        step_size: a positive number.
    """

    target: Flat
    step_size: Float[Array, ""]

    @abc.abstractmethod
    def propose(
        self, flat: Float[Array, " D"], size: Float[Array, ""], noise: Uniform, unravel: Callable[[Array], Tree]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        """Where the position may go, and the log of the ratio of Metropolis and Hastings.

        Args:
            flat: the position.
            size: the step size, in the position's dtype.
            noise: of the transition.
            unravel: makes a tree of a flat position.
        """

    def move(
        self, flat: Float[Array, " D"], size: Float[Array, ""], noise: Uniform, unravel: Callable[[Array], Tree]
    ) -> tuple[Float[Array, " D"], Info]:
        """The next position, and what is said of the transition; arguments as for ``propose``."""
        return choose(flat, *self.propose(flat, size, noise, unravel), noise.uniform)

    def gate(self, position: Tree, noise: Uniform) -> tuple[Tree, Float[Array, ""]]:
        """The proposal, and the margin by which it is taken: what ``ps.mcmc.Gate`` linearizes.

        Args:
            position: tree of floating arrays.
            noise: of the transition.

        Returns:
            A tree like the position, and the log ratio over the log of the uniform number: positive where the proposal
            is taken.

        Raises:
            TypeError: the kernel takes every proposal.
        """
        flat, unravel = ravel_pytree(position)
        proposal, log_ratio = self.propose(flat, self.step_size.astype(flat.dtype), noise, unravel)
        broken = jnp.isnan(log_ratio) | ~jnp.all(jnp.isfinite(proposal))
        return unravel(proposal), jnp.where(broken, -jnp.inf, log_ratio - jnp.log(noise.uniform))

    def noise(self, key: Key[Array, ""], position: Tree) -> Uniform:
        """Normal numbers, as many as the position has entries, and a uniform one."""
        return draw(key, ravel_pytree(position)[0])

    def __call__(self, position: Tree, noise: Uniform) -> tuple[Tree, Info]:
        """The next position."""
        flat, unravel = ravel_pytree(position)
        after, info = self.move(flat, self.step_size.astype(flat.dtype), noise, unravel)
        return unravel(after), info


def checked_scale(scale: Any) -> Float[Array, "..."] | None:
    """A scale as an array.

    Args:
        scale: what the user gave.

    Raises:
        ValueError: it is neither a number, a vector nor a square matrix, or not finite.
    """
    if scale is None:
        return None
    scale = as_arrays("scale", scale)
    if scale.ndim > 2 or (scale.ndim == 2 and scale.shape[0] != scale.shape[1]):
        raise ValueError(f"scale: given an array of shape {list(scale.shape)}, expected [], [D] or [D, D].")
    if not isinstance(scale, Tracer) and not np.isfinite(np.asarray(scale)).all():
        raise ValueError("scale: given entries that are not finite, expected finite ones.")
    return scale


def checked_density(log_density: Any) -> LogDensity:
    """A log density that can be called.

    Args:
        log_density: what the user gave.

    Raises:
        TypeError: it cannot be called.
    """
    if not callable(log_density):
        raise TypeError(f"log_density: given {type(log_density).__name__}, expected a function of a position.")
    return log_density


def checked_step_size(step_size: Any) -> Float[Array, ""]:
    """A step size as an array.

    Args:
        step_size: what the user gave.

    Raises:
        ValueError: it is no positive number.
    """
    value = as_arrays("step_size", step_size)
    if jnp.ndim(value) or (not isinstance(value, Tracer) and not 0 < float(value) < float("inf")):
        raise ValueError(f"step_size: given {step_size}, expected a positive number.")
    return value
