"""Sequential evaluation, the yardstick and the fallback."""

from typing import ClassVar

import jax

from ..solution import StepFunction, Tree
from .base import AbstractDirectSolver


class Sequential(AbstractDirectSolver):
    """One step after the other with ``jax.lax.scan``: exact for every system, depth T, work T, differentiated by JAX.

    Prefer it whenever the system is unpredictable (positive Lyapunov exponent) or the device has no parallel
    work to spare. It accepts carries that no parallel method can iterate on.

    Example:
        >>> import jax.numpy as jnp, parascan as ps
        >>> float(ps.rollout(lambda s, x: 0.5 * s + 1, jnp.array(0.0), length=3, solver=ps.Sequential()).carry)
        1.75
    """

    references: ClassVar[tuple[str, ...]] = ()

    def evaluate(
        self, step: StepFunction, init: Tree, xs: Tree, length: int, *, reverse: bool, unroll: int | bool
    ) -> tuple[Tree, Tree]:
        """Final carry and outputs."""
        return jax.lax.scan(step, init, xs, length=length, reverse=reverse, unroll=unroll)
