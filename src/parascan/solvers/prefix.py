"""The leading states that are known exactly, which a method that minimizes the merit must not move."""

import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory
from .update import Iterate


def known_prefix(residual: Trajectory) -> Bool[Array, " T"]:
    """The leading steps without any residual, and the one after them: its state is the prediction from an exact one."""
    steps = jnp.arange(len(residual))
    # Not by a product of all steps before each, which would gather the flags of all devices.
    first = jnp.min(jnp.where(jnp.all(residual == 0, axis=1), len(residual), steps), initial=len(residual))
    return steps <= first


class Settled(Iterate):
    """An iterate whose known states are in place, with its residual and how many predictions are not finite.

    Predictions that are not finite are replaced by those of the iterate that it is made of.

    Attributes:
        known: the steps whose states are exact ``[T]``.
        nonfinite: how many predictions were not finite.
    """

    known: Bool[Array, " T"]
    nonfinite: Array

    @classmethod
    def of(cls, problem: Recurrence, iterate: Iterate) -> "Settled":
        """The iterate with the state after its exact prefix put in place."""
        known = known_prefix(iterate.states - iterate.predictions)
        states = jnp.where(known[:, None], iterate.predictions, iterate.states)
        predictions = problem.predictions(states)
        finite = jnp.all(jnp.isfinite(predictions), axis=1)
        return cls(states, jnp.where(finite[:, None], predictions, iterate.predictions), known, jnp.sum(~finite))

    @property
    def residual(self) -> Trajectory:
        """The residual of the states that are not yet known, zero for the others ``[T D]``."""
        return jnp.where(self.known[:, None], 0.0, self.states - self.predictions)
