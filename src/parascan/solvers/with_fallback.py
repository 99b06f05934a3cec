"""``WithFallback``: an iterative method with the plain loop behind it, in case the method does not converge in time."""

import dataclasses
from functools import partial
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..adjoint.implicit import Loop
from ..chunked import merged
from ..problem.flat_recurrence import Recurrence
from ..solution import Result, Tree
from .base import AbstractIterativeSolver, AbstractTrajectorySolver
from .evaluation_cost import updates_within
from .iterate import LoopState
from .multiple_shooting import MultipleShooting
from .request import Request
from .sequential import Sequential


class WithFallback(AbstractTrajectorySolver):
    """``first`` within a budget, then sequential evaluation where it has not met its criterion.

    For methods chosen by a forecast: a wrong one costs at most the budget, never the answer. Whether it fell back is in
    ``solution.stats.fell_back``. Under ``jax.vmap`` the loop runs once for the whole batch, if any element needs it.

    Args:
        first: an iterative solver, or ``MultipleShooting`` of one.
        fallback: what follows, ``Sequential()``.
        budget: the most that ``first`` may take: an integer is a number of updates, a float a part of the sequential
            time. The latter is turned into updates by the machine's record, without a clock, and may come to none.
            ``ps.plan`` gives updates.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: the budget is negative, or a part of the time is not positive.

    Source: safeguarded Newton methods, Dennis and Schnabel 1983.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> guarded = ps.WithFallback(ps.deer(), ps.Sequential(), budget=8)
        >>> step = lambda s, x: 3.9 * s * (1 - s)
        >>> solution = ps.rollout(step, jnp.asarray(0.3), length=200, solver=guarded)
        >>> bool(solution.stats.fell_back), int(solution.stats.iterations)
        (True, 8)
    """

    first: AbstractIterativeSolver | MultipleShooting
    fallback: Sequential = Sequential()
    budget: int | float = eqx.field(static=True, default=0.25)
    references: ClassVar[tuple[str, ...]] = ("dennis1983numerical",)

    def __check_init__(self) -> None:
        if not isinstance(self.first, AbstractIterativeSolver | MultipleShooting):
            given = getattr(self.first, "__name__", type(self.first).__name__)
            raise TypeError(
                f"first: given {given}, expected an iterative solver such as ps.deer(), or MultipleShooting of one."
            )
        if not isinstance(self.fallback, Sequential):
            given = getattr(self.fallback, "__name__", type(self.fallback).__name__)
            raise TypeError(f"fallback: given {given}, expected Sequential(), which is right for every system.")
        if isinstance(self.budget, bool) or not isinstance(self.budget, int | float):
            raise TypeError(f"budget: given {self.budget!r}, expected a number of updates or a part of the time.")
        if not (self.budget >= 0 if isinstance(self.budget, int) else 0 < self.budget < float("inf")):
            raise ValueError(
                f"budget: given {self.budget}, expected a number of updates, zero or more, or a positive part."
            )

    @property
    def tried(self) -> AbstractTrajectorySolver:
        """The solver that runs first."""
        return self.first

    @property
    def method(self) -> AbstractIterativeSolver:
        """The iterative method that makes the updates of the first solver."""
        return self.first.method

    @property
    def chunk(self) -> int:
        """Steps from one iterated state of the first solver to the next."""
        return self.first.chunk

    @property
    def described(self) -> str:
        """The method in words."""
        return f"{self.first.described}, or else one step after the other"

    def most_updates(self, problem: Recurrence, request: Request) -> int:
        """The budget in updates, but no more than the first solver would take without a fallback."""
        bought = self.budget if isinstance(self.budget, int) else updates_within(self.budget, problem, self.first)
        return min(self.first.most_updates(problem, request), bought)

    def peak_bytes(self, problem: Recurrence) -> int:
        """Bytes of the first solver; the loop holds less."""
        return self.first.peak_bytes(problem)

    def check(self, request: Request, name: str) -> None:
        """Refuse to unroll a method whose fallback has no iterations."""
        if request.adjoint.needs_budget:
            raise ValueError("adjoint: given Unrolled() with WithFallback, whose fallback has no iterations to unroll.")

    def solve(self, problem: Recurrence, request: Request, loop: Loop) -> LoopState:
        """The outcome of the first solver, or of the plain loop where that has not met its criterion in time."""
        return fall_back(self.first.solve(problem, request, loop), problem)


def fall_back(outcome: LoopState, recurrence: Recurrence) -> LoopState:
    """The outcome of a method, or the sequential trajectory where it had not met its criterion in time.

    A system that leaves the finite numbers does so whatever the method, and is not run again.

    Args:
        outcome: of the first method.
        recurrence: what it solved, every step of it.
    """
    failed = (outcome.result != Result.successful) & (outcome.result != Result.nonfinite)
    states = _where_needed(failed[None], *jax.tree.map(lambda leaf: leaf[None], (recurrence, outcome.states)))[0]
    finite = jnp.all(jnp.isfinite(states), axis=1)
    prefix = jnp.where(jnp.all(finite), len(finite), jnp.argmin(finite)).astype(jnp.int32)
    result = Result.where(prefix == len(finite), Result.successful, Result.nonfinite)
    zero = jnp.zeros_like(outcome.stats.merit)
    stats = dataclasses.replace(
        outcome.stats,
        residual_norm=zero,
        merit=zero,
        error_estimate=zero,
        exact_prefix=prefix,
        finite_prefix=prefix,
        settled_prefix=prefix,
        fell_back=failed,
    )
    stats = jax.tree.map(partial(jnp.where, failed), stats, outcome.stats)
    return dataclasses.replace(outcome, states=states, result=Result.where(failed, result, outcome.result), stats=stats)


def _where_needed(
    failed: Bool[Array, " N"], recurrence: Recurrence, states: Float[Array, "N T D"]
) -> Float[Array, "N T D"]:
    """The states of a batch of recurrences, computed anew for those that failed, if any did.

    It is decided once for the whole batch: under ``jax.vmap`` an ordinary branch runs both of its sides, so that the
    loop would always run.
    """
    size = len(failed)
    run = jax.custom_batching.custom_vmap(_computed)

    @run.def_vmap
    def rule(count: int, mapped: list[Tree], *args: Tree) -> tuple[Array, bool]:
        join = partial(merged, count, size, False)
        found = _where_needed(*(jax.tree.map(join, part, flags) for part, flags in zip(args, mapped, strict=True)))
        return found.reshape(count, -1, *found.shape[1:]), True

    return run(failed, recurrence, states)


def _computed(
    failed: Bool[Array, " N"], recurrence: Recurrence, states: Float[Array, "N T D"]
) -> Float[Array, "N T D"]:
    """The states, computed anew if the recurrence failed; for one recurrence, not a batch."""

    def again() -> Array:
        if len(failed) == 1:
            return jax.tree.map(lambda leaf: leaf[0], recurrence).trajectory()[None]
        return jnp.where(failed[:, None, None], jax.vmap(Recurrence.trajectory)(recurrence), states)

    return jax.lax.cond(jnp.any(failed), again, lambda: states)
