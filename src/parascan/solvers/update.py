"""One update of a trajectory: what it starts from, and Newton's."""

import equinox as eqx

from ..linear import AbstractTransition, linear_recurrence
from ..solution import Trajectory


class Iterate(eqx.Module):
    """A trajectory and its one-step predictions ``f_t(s_{t-1})``, computed once for everybody."""

    states: Trajectory
    images: Trajectory


def newton_update(transition: AbstractTransition, iterate: Iterate) -> Trajectory:
    """The solution of the recurrence that is linearized at a trajectory.

    Args:
        transition: the linearization.
        iterate: the trajectory.
    """
    residual = iterate.states - iterate.images
    return iterate.images + (linear_recurrence(transition, -residual) + residual)
