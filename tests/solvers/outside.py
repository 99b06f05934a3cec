"""A solver that the package does not know, in one short file: Newton's update, shortened by a fixed factor."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from parascan.linear import linear_recurrence
from parascan.problem.jacobian import full
from parascan.solvers import AbstractIterativeSolver, Iterate


class ShortenedNewton(AbstractIterativeSolver):
    """Newton's update times a factor between 0 and 1."""

    factor: float = 0.5
    causal: ClassVar[bool] = False
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def exact(self) -> bool:
        return False

    def init(self, problem: Any, states: jax.Array) -> None:
        return None

    def step(self, problem: Any, iterate: Iterate, state: None) -> tuple[jax.Array, None]:
        residual = iterate.states - iterate.predictions
        return iterate.states + self.factor * linear_recurrence(full(problem, iterate.states), -residual), None


def made() -> ShortenedNewton:
    return ShortenedNewton()


def ones() -> jax.Array:
    return jnp.ones(2)


def needing(factor: float) -> ShortenedNewton:
    return ShortenedNewton(factor)
