"""``Monitor``: whether a recurrent model is still predictable while it trains, and for how long it will be."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..planning import Plan
from ..solution import Tree
from ..solvers import AbstractSolver, deer
from ._exponents import finite_time_exponents, recurrences
from ._layer import AbstractLayer, Recurrent
from ._stack import Bidirectional, Stacked

REMEDY = (
    "A model at zero forgets nothing, and parallel evaluation then takes ever more iterations or none of its blocks. "
    "Add ps.nn.ceiling_penalty(ps.nn.finite_time_exponents(layer, xs, key=key), ceiling=...) to the loss, use "
    "ps.nn.ContractiveCell or a smaller rate, or lower the learning rate. With solver=None the answer stays right and "
    "is computed step by step where it has to be."
)


class DriftWarning(UserWarning):
    """A model that is about to become unpredictable, or has become so.

    Args:
        message: what was seen, and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class Reading(NamedTuple):
    """What a monitor measured of a layer at one training step.

    Attributes:
        step: training step.
        exponent: largest Lyapunov exponent in 1/step, over all recurrences of the layer.
        iterations: iterations of the layer's solver, the most of any of its recurrences.
        horizon: steps after which a perturbation has shrunk to one part in 10^6, infinite for an exponent of zero or
            more.
        length: T, steps of the sequences.
        slow: whether these iterations are too many for the steps, as in ``Stats.slow``.
    """

    step: int
    exponent: float
    iterations: int
    horizon: float
    length: int = 0
    slow: bool = False


class Monitor:
    """A callback that records exponent and iterations during training, and warns of a drift toward unpredictability.

    Call it from the training loop, outside ``jit``: ``monitor(step, layer, xs)``. A call costs an evaluation of the
    layer on a few sequences. It warns (``DriftWarning``) when the exponent is above ``limit``, when a line through the
    last readings reaches the limit within ``ahead`` training steps, or when sequences of more than 100 steps take more
    iterations than a quarter of their steps; once for each crossing.

    Args:
        key: random key of the start directions.
        limit: exponent above which it warns, in 1/step.
        ahead: training steps to look ahead; None for half as many as have been recorded.
        readings: readings that the line is drawn through, three or more.
        warm_up: leading rows of a sequence that do not count.
        solver: whose iterations are counted; the layer's own when None, and ``ps.deer()`` where that does not iterate.
        log: called with a line of text for each reading, such as ``print`` or a logger's ``info``; None for silence.

    Raises:
        ValueError: ``readings`` below three.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> monitor = ps.nn.Monitor(key=jax.random.key(1), log=None)
        >>> layer = ps.nn.Recurrent(ps.nn.GRUCell(3, 8, key=jax.random.key(0)))
        >>> reading = monitor(0, layer, jnp.ones((2, 60, 3)))
        >>> reading.exponent < 0, reading.iterations < 60, len(monitor.readings)
        (True, True, 1)
    """

    def __init__(
        self,
        *,
        key: PRNGKeyArray,
        limit: float = 0.0,
        ahead: int | None = None,
        readings: int = 5,
        warm_up: int = 0,
        solver: AbstractSolver | None = None,
        log: Callable[[str], Any] | None = print,
    ) -> None:
        if readings < 3:
            raise ValueError(f"readings: given {readings}, expected three or more.")
        self.key, self.limit, self.ahead, self.window = key, limit, ahead, readings
        self.warm_up, self.log = warm_up, log
        self.solver = solver
        self.readings: list[Reading] = []
        self._warned = self._warned_slow = False

    def __call__(
        self, step: int, layer: AbstractLayer, xs: Float[Array, "B T I"], loss: float | None = None
    ) -> Reading:
        """Take and record a reading.

        Args:
            step: training step.
            layer: the layer as it is now, one made of layers too.
            xs: a few sequences of inputs; the exponent is their mean, the iterations their largest.
            loss: mentioned in the log.

        Returns:
            The reading.
        """
        counted = _iterating(layer) if self.solver is None else layer.using(self.solver)
        exponent, iterations, slow = _look(layer, counted, xs, self.key, self.warm_up)
        value = float(exponent)
        horizon = float(np.log(1e6) / -value) if value < 0 else float("inf")
        reading = Reading(step, value, int(iterations), horizon, jax.tree.leaves(xs)[0].shape[1], bool(slow))
        self.readings.append(reading)
        if self.log is not None:
            of_loss = "" if loss is None else f"loss {loss:.4g}, "
            self.log(
                f"step {step}: {of_loss}exponent {value:.4g} per step, memory {horizon:.0f} steps, "
                f"{reading.iterations} iterations"
            )
        self._warn(reading)
        return reading

    def slope(self) -> float:
        """Change of the exponent per training step, by least squares through the last readings; 0 if too few."""
        last = self.readings[-self.window :]
        if len(last) < self.window:
            return 0.0
        return float(np.polyfit([reading.step for reading in last], [reading.exponent for reading in last], 1)[0])

    def reaches_limit_in(self) -> float:
        """Training steps until the exponent passes the limit if it goes on as it does, infinite if it never will."""
        gap = self.limit - self.readings[-1].exponent
        slope = self.slope()
        if gap <= 0:
            return 0.0
        return gap / slope if slope > 0 else float("inf")

    def _warn(self, reading: Reading) -> None:
        """Warn at the first reading of a drift."""
        left = self.reaches_limit_in()
        ahead = (reading.step - self.readings[0].step) / 2 if self.ahead is None else self.ahead
        drifts = left <= ahead
        if drifts and not self._warned:
            what = (
                f"is above the limit of {self.limit:.3g}"
                if left == 0
                else f"rises by {self.slope():.2g} a training step and passes {self.limit:.3g} in about {left:.0f}"
            )
            first = self.readings[-self.window :][0]
            message = (
                f"the exponent, {reading.exponent:.3g} per step at training step {reading.step}, {what}; iterations "
                f"went from {first.iterations} to {reading.iterations}. {REMEDY}"
            )
            warnings.warn(DriftWarning(message), stacklevel=3)
        self._warned = drifts
        if reading.slow and not self._warned_slow:
            message = (
                f"{reading.iterations} iterations for {reading.length} steps at training step {reading.step} gain "
                f"nothing over one step after the other. {REMEDY}"
            )
            warnings.warn(DriftWarning(message), stacklevel=3)
        self._warned_slow = reading.slow


def _iterating(layer: AbstractLayer) -> AbstractLayer:
    """The layer with Newton's method in place of solvers that do not iterate."""
    if isinstance(layer, Stacked):
        return Stacked(tuple(_iterating(part) for part in layer.layers))
    if isinstance(layer, Bidirectional):
        return Bidirectional(_with_iterations(layer.forward), _with_iterations(layer.backward))
    return _with_iterations(layer) if isinstance(layer, Recurrent) else layer


def _with_iterations(layer: Recurrent) -> Recurrent:
    """A single recurrence, with Newton's method in place of a solver that does not iterate."""
    solver = layer.solver.solver if isinstance(layer.solver, Plan) else layer.solver
    return layer if solver is not None and solver.iterates else layer.using(deer())


@eqx.filter_jit
def _look(
    layer: AbstractLayer, counted: AbstractLayer, xs: Tree, key: PRNGKeyArray, warm_up: int
) -> tuple[Array, Array, Array]:
    """Mean exponent, largest number of iterations, and whether any recurrence took too many."""
    exponents = jax.vmap(lambda x: finite_time_exponents(layer, x, key=key, warm_up=warm_up)[0])(xs)
    stats = jax.vmap(lambda x: [part.solution.stats for part in recurrences(counted, x)])(xs)
    iterations = jnp.stack([each.iterations for each in stats])
    return jnp.mean(exponents), jnp.max(iterations), jnp.any(jnp.stack([each.slow for each in stats]))
