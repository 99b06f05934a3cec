"""What a call asks of a solver, beside the problem itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from ..adjoint.implicit import AbstractAdjoint, Implicit
from ..programs.device_axis import DeviceAxis
from ..solution import Trajectory
from .criterion import AbstractCriterion, StateError
from .guesses import AbstractGuess, RepeatInitial
from .watch import AbstractWatch


class Request(NamedTuple):
    """Everything about a call but its step, carry and inputs; a solver that calls another hands it a changed copy.

    The platform is part of it so that a program that was traced for one platform is not used on another.

    Attributes:
        solver: the one asked for.
        criterion: when iterations stop.
        guess: rule of the first trajectory.
        adjoint: how derivatives are taken.
        length: T, None where the inputs tell.
        max_iterations: most updates, None for the solver's own bound.
        reverse: whether time runs from the last input to the first.
        unroll: steps per turn of a loop over steps.
        history: whether to keep a record of every iterate.
        memory_limit: most bytes to hold beside the inputs, or None.
        batch: sequences that are known to run at once.
        certify: whether to bound the error of the states, or the tolerance of that bound.
        adjoint_given: whether ``adjoint`` was given rather than the default.
        made_for: T, D and dtype of the plan that chose the solver, or None.
        platform: where the call runs.
        devices: that the sequence is cut over along time; None for one device.
        keep_states: whether the states are wanted, beside the carry and the outputs.
        start: first trajectory ``[T D]``; filled in by the solver, as are all that follow.
        repair: what states that are not finite are put back to ``[T D]``.
        predictions: one-step predictions of the first trajectory ``[T D]`` where they are known.
        unit: unit of rounding of each entry ``[D]``; that of the states' dtype when None.
        budget: the most updates; a traced number where the loop has no fixed end.
        watch: looks at every iterate and ends the iterations in the place of the criterion, or None.
    """

    solver: Any
    criterion: AbstractCriterion = StateError()
    guess: AbstractGuess = RepeatInitial()
    adjoint: AbstractAdjoint = Implicit()
    length: int | None = None
    max_iterations: int | None = None
    reverse: bool = False
    unroll: int | bool = 1
    history: bool = False
    memory_limit: int | None = None
    batch: int = 1
    certify: bool | float = False
    adjoint_given: bool = False
    made_for: tuple[int, int, str] | None = None
    platform: str | None = None
    devices: DeviceAxis | None = None
    keep_states: bool = True
    start: Any = None
    repair: Any = None
    predictions: Trajectory | None = None
    unit: np.ndarray | None = None
    budget: Any = 0
    watch: AbstractWatch | None = None

    def with_constants(self, constant: Callable[[Any], Any]) -> "Request":
        """The request with all that a derivative could flow through changed.

        Args:
            constant: takes the solver, the first trajectory or the repair, and gives it back as a constant.
        """
        return self._replace(**{name: constant(getattr(self, name)) for name in ("solver", "start", "repair")})

    @property
    def mesh(self) -> Mesh | None:
        """The mesh of the call's devices, where these are known and not only their number."""
        return self.devices.mesh if self.devices is not None and isinstance(self.devices.mesh, Mesh) else None

    @property
    def unrolls(self) -> bool:
        """Whether ``unroll`` asks for more than the plain loop; True, which equals 1 in Python, unrolls all of it."""
        return self.unroll is not False and (self.unroll is True or self.unroll != 1)
