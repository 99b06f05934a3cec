"""``Hybrid``: a robust solver until a fast one converges from where it is, then the fast one."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..problem.arguments import check_counts
from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory, Tree
from .base import AbstractIterativeSolver
from .update import Iterate


class Phase(eqx.Module):
    """What one update hands to the next: which solver made the last step, when the other was tried, both memories."""

    fast: Bool[Array, ""]
    since: Int[Array, ""]
    first: Tree
    then: Tree


class Hybrid(AbstractIterativeSolver):
    """``first`` until the iterate lies in the basin of ``then``, the region from which that converges quadratically.

    The basin is measured: every few updates one step of ``then`` is tried, and kept if it shrinks the residual by the
    factor ``contraction`` or more; it goes on for as long as its steps do that, and gives way to ``first`` otherwise.
    With a ``radius`` nothing is tried, and ``then`` takes over wherever ``||r|| <= radius``, as theorem 5 has it
    (``mu / ell``). The exact prefix grows by a step in each iteration, so T iterations always suffice.

    Args:
        first: solver far from the solution, such as ``ps.GradientDescent()`` or ``ps.elk()``.
        then: solver near it, such as ``ps.deer()``.
        every: updates of ``first`` between two trials of ``then``, one or more.
        contraction: the most that a step of ``then`` may leave of the norm of the residual, between 0 and 1.
        radius: norm of the residual from which on ``then`` is trusted, positive; None to measure.

    Raises:
        TypeError: a solver is not iterative, or ``every`` is not an integer.
        ValueError: a number is out of range.

    Source: appendix G of the paper; theorem 5 for the radius.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> hybrid = ps.Hybrid(ps.GradientDescent(), ps.deer())
        >>> solution = ps.rollout(lambda s, x: jnp.sin(s) + x, jnp.zeros(2), jnp.ones((50, 2)), solver=hybrid)
        >>> bool(solution.result == ps.Result.successful)
        True
    """

    first: AbstractIterativeSolver
    then: AbstractIterativeSolver
    every: int = eqx.field(static=True, default=10)
    contraction: float = 0.5
    radius: float | Float[Array, ""] | None = None
    causal: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("gonzalez2025predictability",)

    def __check_init__(self) -> None:
        for name, solver in (("first", self.first), ("then", self.then)):
            if not isinstance(solver, AbstractIterativeSolver):
                given = getattr(solver, "__name__", type(solver).__name__)
                raise TypeError(f"{name}: given {given}, expected an iterative solver such as ps.deer().")
        check_counts(every=self.every)
        if isinstance(self.contraction, int | float) and not 0 < self.contraction < 1:
            raise ValueError(f"contraction: given {self.contraction}, expected a number between 0 and 1.")
        if isinstance(self.radius, int | float) and not self.radius > 0:
            raise ValueError(f"radius: given {self.radius}, expected a positive number or None.")

    @property
    def exact(self) -> bool:
        """False: the first solver's steps do not estimate the error."""
        return False

    def init(self, problem: Recurrence, states: Trajectory) -> Phase:
        """A state in which the fast solver is tried at once."""
        since = jnp.asarray(self.every, jnp.int32)
        return Phase(jnp.asarray(False), since, self.first.init(problem, states), self.then.init(problem, states))

    def step(self, problem: Recurrence, iterate: Iterate, state: Phase) -> tuple[Trajectory, Phase]:
        """A step of one of the two solvers."""

        def slow(state: Phase) -> tuple[Trajectory, Phase]:
            states, memory = self.first.step(problem, iterate, state.first)
            return states, Phase(jnp.asarray(False), state.since + 1, memory, state.then)

        def fast(state: Phase) -> tuple[Trajectory, Phase]:
            states, memory = self.then.step(problem, iterate, state.then)
            return states, Phase(jnp.asarray(True), jnp.zeros((), jnp.int32), state.first, memory)

        before = _norm(iterate.states - iterate.predictions)
        if self.radius is not None:
            return jax.lax.cond(before <= self.radius, fast, slow, state)

        def tried(state: Phase) -> tuple[Trajectory, Phase]:
            proposal = fast(state)
            after = _norm(problem.residual(proposal[0]))
            failed = eqx.tree_at(lambda phase: phase.since, state, jnp.zeros((), jnp.int32))
            return jax.lax.cond(after <= self.contraction * before, lambda: proposal, lambda: slow(failed))

        return jax.lax.cond(state.fast | (state.since >= self.every), tried, slow, state)

    def update_bytes(self, recurrence: Recurrence) -> int:
        """Bytes of the larger of the two."""
        return max(part.update_bytes(recurrence) for part in (self.first, self.then))


def _norm(residual: Trajectory) -> Float[Array, ""]:
    """Norm of a residual, in units of its largest entry so that no square overflows."""
    largest = jnp.max(jnp.abs(residual), initial=0.0)
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
    return unit * jnp.sqrt(jnp.sum((residual / unit) ** 2))
