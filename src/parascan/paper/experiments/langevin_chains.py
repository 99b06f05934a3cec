"""The chains of figures 3 and 7: noise, first guess and lengths by seed, as the published runs draw them."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import parascan as ps

from ...diagnostics import updates_by_length

PUBLISHED_LENGTH = 10_000
"""The longest T of figures 3 and 7."""

SHORT = "chains shorter than the published 10000 steps, which hardly cross from well to well"
"""Why a run at another size may miss what was published."""

LEAST_LENGTH = 100
"""T from which the growth of the counts is judged: below it three updates are enough for any chain."""


@dataclass(frozen=True)
class Chain:
    """One chain in the two-well potential and the run of Newton's method over it.

    Attributes:
        seed: of noise and guess.
        ends: lengths T at which updates are counted, increasing.
        tolerance: bound on merit/T, in squared units of the state.
    """

    seed: int
    ends: tuple[int, ...]
    tolerance: float

    @property
    def length(self) -> int:
        """The longest T."""
        return self.ends[-1]

    def build(self) -> tuple[ps.systems.System, Float[Array, "T 2"], Float[Array, "T 2"]]:
        """The system, its noise and the first guess, standard normals both.

        The noise is drawn in single precision with the first of three keys, as in the published runs: with seed 7 it
        gives the printed exponent.
        """
        noise, guess, _ = jax.random.split(jax.random.key(self.seed), 3)
        xs = jax.random.normal(noise, (self.length, 2), jnp.float32).astype(float)
        return ps.systems.two_well_langevin(), xs, jax.random.normal(guess, (self.length, 2))

    def updates(self) -> np.ndarray:
        """Updates of Newton's method at every length, -1 where T are too few."""
        system, xs, guess = self.build()
        found = updates_by_length(
            system.step,
            system.initial_state,
            xs,
            ends=self.ends,
            solver=ps.deer(),
            criterion=ps.Merit(self.tolerance),
            guess=guess,
        )
        return np.asarray(found)


def log_density(step: Any, state: Float[Array, " D"]) -> Float[Array, ""]:
    """Logarithm of the density whose negative is the potential, up to a constant.

    Args:
        step: of the chain.
        state: where.
    """
    squares = jnp.sum((state - step.means) ** 2 / step.variances + jnp.log(step.variances), axis=-1)
    return jax.nn.logsumexp(step.log_weights - 0.5 * squares)


def lengths(count: int, longest: int) -> tuple[int, ...]:
    """Lengths from 20 on, evenly spread in their logarithm.

    Args:
        count: how many.
        longest: the last.
    """
    return tuple(sorted({round(float(each)) for each in np.geomspace(20, longest, count)}))


def log_slope(ends: np.ndarray, updates: np.ndarray, least: int) -> float:
    """Power of T with which updates grow, by a straight line through the logarithms.

    Args:
        ends: lengths T [K].
        updates: at these lengths [K].
        least: T from which they count; with fewer than two of them the power is NaN.
    """
    far = ends >= least
    if far.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(ends[far]), np.log(updates[far]), 1)[0])
