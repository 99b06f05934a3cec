"""A method that may be wrong about a system, with the plain loop behind it."""

from typing import ClassVar

import equinox as eqx

from .base import AbstractIterativeSolver, AbstractSolver
from .combinators import Blocks
from .sequential import Sequential


class Guarded(AbstractSolver):
    """``first`` within a budget, and where it has not met its criterion by then, sequential evaluation.

    For methods chosen by a forecast: a wrong one costs at most the budget, never the answer. Whether it fell back is in
    ``solution.stats.fell_back``. Under ``jax.vmap`` the loop runs once for the whole batch, if any element needs it.

    Args:
        first: an iterative solver, or ``Blocks`` of one.
        fallback: what follows, ``Sequential()``.
        budget: the most that ``first`` may take: a whole number of updates, or a part of the sequential time. That is
            turned into updates by the cost model's built-in numbers, without a clock, and may be none;
            ``parascan.plan`` gives updates.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: the budget is negative, or a part of the time is not positive.

    Source: safeguarded Newton methods, Dennis and Schnabel 1983.

    Example:
        >>> import jax.numpy as jnp, parascan as ps
        >>> guarded = ps.Guarded(ps.deer(), ps.Sequential(), budget=8)
        >>> step = lambda s, x: 3.9 * s * (1 - s)
        >>> solution = ps.rollout(step, jnp.asarray(0.3), length=200, solver=guarded)
        >>> bool(solution.stats.fell_back), int(solution.stats.iterations)
        (True, 8)
    """

    first: AbstractIterativeSolver | Blocks
    fallback: Sequential = Sequential()
    budget: int | float = eqx.field(static=True, default=0.25)
    references: ClassVar[tuple[str, ...]] = ("dennis1983numerical",)

    def __check_init__(self) -> None:
        if not isinstance(self.first, AbstractIterativeSolver | Blocks):
            given = getattr(self.first, "__name__", type(self.first).__name__)
            raise TypeError(f"first: given {given}, expected an iterative solver such as ps.deer() or Blocks of one.")
        if not isinstance(self.fallback, Sequential):
            given = getattr(self.fallback, "__name__", type(self.fallback).__name__)
            raise TypeError(f"fallback: given {given}, expected Sequential(), which is right for every system.")
        if isinstance(self.budget, bool) or not isinstance(self.budget, int | float):
            raise TypeError(f"budget: given {self.budget!r}, expected a number of updates or a part of the time.")
        if not (self.budget >= 0 if isinstance(self.budget, int) else 0 < self.budget < float("inf")):
            raise ValueError(
                f"budget: given {self.budget}, expected a number of updates, zero or more, or a positive part."
            )
