"""One update of a trajectory: what it starts from, and Newton's."""

import equinox as eqx

from ..linear import AbstractTransition, linear_recurrence
from ..programs.device_axis import DeviceAxis
from ..solution import Trajectory
from .old_arguments import old_attribute


class Iterate(eqx.Module):
    """A trajectory and its one-step predictions, computed once for everybody.

    Attributes:
        states: ``s_1 .. s_T``, ``[T D]``.
        predictions: ``f_t(s_{t-1})``, what the step makes of the state before each ``[T D]``.
    """

    states: Trajectory
    predictions: Trajectory
    images = old_attribute("images", "predictions")


def newton_update(transition: AbstractTransition, iterate: Iterate, devices: DeviceAxis | None = None) -> Trajectory:
    """Newton's update: the solution of the recurrence that is linearized at a trajectory.

    Args:
        transition: the linearization.
        iterate: the trajectory.
        devices: that the trajectory is cut over along time.
    """
    residual = iterate.states - iterate.predictions
    return iterate.predictions + (linear_recurrence(transition, -residual, mesh=devices) + residual)
