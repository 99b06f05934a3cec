"""Multiple shooting: a method applied to the boundaries of blocks of steps."""

import dataclasses
import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from ..adjoint.implicit import Loop
from ..problem.arguments import check_counts
from ..problem.boundaries import Blocked
from ..problem.flat_recurrence import Recurrence
from ..solution import Result
from .base import AbstractIterativeSolver, AbstractTrajectorySolver
from .finite import finite_prefix
from .iterate import LoopState
from .memory import bytes_on_boundaries
from .request import Request

FEWEST_BLOCKS = 16
"""Fewest blocks that are worth having: fewer do not fill a machine's vector units."""

MOST_BLOCKS = 256
"""Number of blocks for a system that does not forget its start within a block: more of them gain little, and leave more
jumps between blocks to close."""

ROUNDED_UP = 1.25
"""Factor by which a block may be longer than asked so that blocks divide the steps evenly, without padding."""


class MultipleShooting(AbstractTrajectorySolver):
    """A method applied to the boundaries of blocks of steps instead of to every step.

    The states inside a block follow from the one before it and are computed once, at the end, all blocks in parallel.
    Longer blocks need fewer iterations and less memory (``T D^2 / length`` for stored Jacobians) and more depth:
    length 1 is ``outer`` itself, length T is sequential evaluation. With ``jacobi()`` no Jacobian is needed, and one
    pass suffices once the burn-in is as long as the system remembers. A tolerance applies to the boundaries.

    Args:
        outer: the iterative method, such as ``ps.deer()``; not one with ``Surrogate``.
        length: steps of a block, one or more; the last block may be shorter.
        burn_in: steps at the end of each block that are run from the guess to give a better first boundary, from 0
            to ``length``.

    Raises:
        TypeError: ``outer`` is not an iterative solver, or a number is not an integer.
        ValueError: a number is out of range.

    Source: multiple shooting, Bock and Plitt 1984; block Jacobi is parareal without a coarse propagator.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> shooting = ps.MultipleShooting(ps.deer(), length=10)
        >>> solution = ps.rollout(lambda s, x: jnp.tanh(0.5 * s + x), jnp.zeros(2), jnp.ones((95, 2)), solver=shooting)
        >>> solution.states.shape
        (95, 2)
    """

    outer: AbstractIterativeSolver
    length: int = eqx.field(static=True)
    burn_in: int = eqx.field(static=True, default=0)
    references: ClassVar[tuple[str, ...]] = ("bock1984shooting",)

    @classmethod
    def fitting(
        cls, outer: AbstractIterativeSolver, steps: int, exponent: float | None = None, tolerance: float = 1e-8
    ) -> "MultipleShooting":
        """Blocks of a length that fits a recurrence, with all their steps as burn-in.

        The length is that in which the system forgets its start, if at least 16 such blocks fit: the burn-in then finds
        the boundaries, and the method has only to confirm them. For a system that remembers longer, or of unknown
        exponent, it is ``max(steps / 256, 1)``, but at most the square root of the steps. Nothing is run or timed.

        Args:
            outer: the iterative method.
            steps: T, steps of the recurrence, one or more.
            exponent: largest Lyapunov exponent in 1/step, None if unknown.
            tolerance: part of a difference in the start that may be left at the end of a block, between 0 and 1.

        Raises:
            TypeError: ``steps`` is not an integer, or as for ``MultipleShooting``.
            ValueError: ``steps`` or ``tolerance`` is out of range, or ``exponent`` is no number.

        Source: memory horizon, equation 10 of the paper.

        Examples:
            >>> import parascan as ps
            >>> ps.MultipleShooting.fitting(ps.deer(), 30_000, exponent=-0.0628).length
            300
        """
        check_counts(steps=steps)
        if not 0 < tolerance < 1:
            raise ValueError(f"tolerance: given {tolerance}, expected a number between 0 and 1.")
        if exponent is not None and math.isnan(exponent):
            raise ValueError(f"exponent: given {exponent}, expected a number in 1/step or None.")
        memory = math.inf if exponent is None or exponent >= 0 else math.log(tolerance) / exponent
        wanted = memory if memory * FEWEST_BLOCKS <= steps else min(steps / MOST_BLOCKS, math.sqrt(steps))
        least = max(math.ceil(wanted), 1)
        even = (count for count in range(least, int(ROUNDED_UP * least) + 1) if steps % count == 0)
        length = next(even, least)
        return cls(outer, length, length)

    def __check_init__(self) -> None:
        if not isinstance(self.outer, AbstractIterativeSolver):
            given = getattr(self.outer, "__name__", type(self.outer).__name__)
            raise TypeError(f"outer: given {given}, expected an iterative solver such as ps.deer().")
        for name, value in (("length", self.length), ("burn_in", self.burn_in)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name}: given {value!r}, expected an integer.")
        if self.length < 1:
            raise ValueError(f"length: given {self.length}, expected one or more.")
        if not 0 <= self.burn_in <= self.length:
            raise ValueError(f"burn_in: given {self.burn_in}, expected 0 to length={self.length}.")

    @property
    def method(self) -> AbstractIterativeSolver:
        """The iterative method that updates the boundaries."""
        return self.outer

    @property
    def chunk(self) -> int:
        """Steps between two states that are iterated on."""
        return self.length

    @property
    def described(self) -> str:
        """The method in words."""
        return f"{self.outer.described} on the boundaries of chunks of {self.length} steps"

    def most_updates(self, problem: Recurrence, request: Request) -> int:
        """As many updates as there are blocks, for a causal method."""
        if self.outer.causal and request.max_iterations is None:
            return -(-problem.length // self.length)
        return self.outer.most_updates(problem, request)

    def peak_bytes(self, problem: Recurrence) -> int:
        """Bytes of the method on the boundaries and of all states."""
        return bytes_on_boundaries(problem, self.outer, self.length)

    def solve(self, problem: Recurrence, request: Request, loop: Loop) -> LoopState:
        """Solve for the boundaries, fill the blocks, and report in steps of the recurrence itself.

        Where the burn-in may have found the boundaries, the blocks are filled before the first test, which needs their
        last states in any case; not where the adjoint unrolls the loop, since that cannot be differentiated so.
        """
        blocked = Blocked.of(problem, self.length)
        start, repair = blocked.boundaries(request.start), blocked.boundaries(request.repair)
        filled = predictions = None
        if self.burn_in:
            start = blocked.burn_in(request.start, self.burn_in)
            if not request.adjoint.needs_budget:
                filled = blocked.fill(start)
                predictions = blocked.boundaries(filled)
                # No block starts from the last boundary, and a last block that is short has not forgotten its start.
                start = start.at[-1].set(jnp.where(jnp.isfinite(predictions[-1]), predictions[-1], start[-1]))
        asked = request._replace(start=start, repair=repair, predictions=predictions)
        outcome = self.outer.solve(blocked.coarse, asked, loop)
        known = None if filled is None else (filled, outcome.stats.iterations == 0)
        states = blocked.fill(outcome.states, known)
        stats, length = outcome.stats, problem.length
        reached = jnp.minimum((stats.finite_prefix + 1) * blocked.block, length)
        finite = jnp.minimum(finite_prefix(states, length, reverse=False), reached)
        broken = (outcome.result == Result.successful) & (finite < length)
        return dataclasses.replace(
            outcome,
            states=states,
            result=Result.where(broken, Result.nonfinite, outcome.result),
            stats=dataclasses.replace(
                stats,
                exact_prefix=jnp.minimum(stats.exact_prefix * blocked.block, length),
                finite_prefix=finite,
                settled_prefix=jnp.minimum(stats.settled_prefix * blocked.block, finite),
            ),
        )
