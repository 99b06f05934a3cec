"""How many updates a causal method takes on every prefix of a trajectory, from one run over the longest prefix.

The state at step t depends on the steps up to t alone, so the iterates of a short rollout are those of a long one cut
short: one run gives the count of every length up to its own.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ...adjoint.implicit import Implicit
from ...problem.flat_recurrence import Recurrence
from ...solution import Trajectory
from ...solvers import AbstractIterativeSolver, deer
from ...solvers.criterion import AbstractCriterion, Progress
from ...solvers.iterate import IMPROVEMENT, iterate
from ...solvers.request import Request
from ...solvers.residuals import Residuals
from ...solvers.update import Iterate
from ...solvers.watch import AbstractWatch

UNMET = -1
"""Stands for the count of a prefix that has not met its criterion within the updates allowed."""


class Prefixes(NamedTuple):
    """Prefixes of a run.

    Attributes:
        ends: their lengths, increasing; the last is the length of the run.
    """

    ends: tuple[int, ...]

    @classmethod
    def of(cls, length: int) -> "Prefixes":
        """Every second length of a short run, then eight to every doubling.

        Args:
            length: of the run, one or more.
        """
        dense = range(1, min(length, 16) + 1)
        sparse = (round(16 * 2 ** (k / 8)) for k in range(1, 8 * max(length.bit_length(), 1)))
        return cls(tuple(sorted({*dense, *(end for end in sparse if end < length), length})))

    @property
    def segment_of_step(self) -> Int[np.ndarray, " T"]:
        """For each step, the shortest prefix that holds it."""
        return np.searchsorted(np.asarray(self.ends), np.arange(1, self.ends[-1] + 1))


class _Seen(NamedTuple):
    """What is remembered of a run; the axes are criteria and prefixes."""

    counts: Int[Array, "C K"]
    best: Float[Array, "C K"]
    stagnation: Int[Array, "C K"]


class _Counting(AbstractWatch):
    """Counts the updates of every prefix, and ends the run when all have met every criterion.

    Attributes:
        solver: whose updates they are.
        criteria: stopping rules.
        prefixes: lengths.
    """

    solver: AbstractIterativeSolver
    criteria: tuple[AbstractCriterion, ...]
    prefixes: Prefixes = eqx.field(static=True)

    def first(self, problem: Recurrence) -> _Seen:
        """No prefix has met anything."""
        shape = (len(self.criteria), len(self.prefixes.ends))
        unmet, infinite = jnp.full(shape, UNMET, jnp.int32), jnp.full(shape, jnp.inf, problem.dtype)
        return _Seen(unmet, infinite, jnp.zeros(shape, jnp.int32))

    def look(
        self,
        seen: _Seen,
        problem: Recurrence,
        residuals: Residuals,
        proposal: Trajectory | None,
        iterations: Int[Array, ""],
    ) -> tuple[_Seen, Bool[Array, ""]]:
        """Which prefixes would stop here."""
        exact = proposal
        if exact is None or not self.solver.exact:
            iterate = Iterate(residuals.states, residuals.predictions)
            exact = deer().step(problem, iterate, iterations)[0]
        judge = _judge(
            _evidence(residuals, exact, self.prefixes),
            _cumulative_largest(residuals, residuals.values, self.prefixes),
            self.solver.exact,
        )
        judged = [judge(rule, *of) for rule, *of in zip(self.criteria, seen.best, seen.stagnation, strict=True)]
        stop, best, stagnation = (jnp.stack(column) for column in zip(*judged, strict=True))
        counts = jnp.where((seen.counts == UNMET) & stop, iterations, seen.counts)
        return _Seen(counts, best, stagnation), jnp.all(counts != UNMET)


class Unlimited(AbstractCriterion):
    """A rule that no iterate meets, but that has every update made before it is asked."""

    corrected: ClassVar[bool] = True

    def ratio(self, progress: Progress) -> Float[Array, ""]:
        """Never good enough."""
        return jnp.full_like(progress.merit, jnp.inf)

    def at_floor(self, progress: Progress) -> Bool[Array, ""]:
        """Never."""
        return jnp.asarray(False)

    @property
    def accepts_floor(self) -> bool:
        """There is none."""
        return False


def prefix_counts(
    problem: Recurrence,
    guess: Trajectory,
    solver: AbstractIterativeSolver,
    criteria: Sequence[AbstractCriterion],
    prefixes: Prefixes,
    most: int | Int[Array, ""],
) -> Int[Array, "C K"]:
    """Updates that every prefix takes until it meets each criterion; -1 where ``most`` are too few.

    The updates, repairs and stopping rules are those of a rollout, so a count is the count that ``rollout`` reports
    for that length. Work: as many steps and linearizations as updates times the length; memory that of one rollout.

    Args:
        problem: the recurrence, T steps.
        guess: first trajectory ``[T D]``, to which states that overflow are put back.
        solver: a causal method.
        criteria: C stopping rules, all judged along the same run.
        prefixes: K lengths, the last one T.
        most: updates after which to give up.
    """
    watch = _Counting(solver, tuple(criteria), prefixes)
    request = Request(solver, Unlimited(), start=guess, repair=guess, budget=most, watch=watch)
    return Implicit().find(problem, request, iterate).seen.counts


def _judge(evidence: Progress, residual: Float[Array, "K D"], exact: bool) -> Any:
    """A function that says, for a criterion and the best ratios so far, which prefixes stop at this iterate."""

    def judge(
        criterion: AbstractCriterion, best: Float[Array, " K"], stagnation: Int[Array, " K"]
    ) -> tuple[Bool[Array, " K"], Float[Array, " K"], Int[Array, " K"]]:
        ratio = jax.vmap(criterion.ratio)
        known = evidence
        if criterion.corrected and not exact:
            # As in a rollout: a method that cannot judge itself is judged once its residual would pass.
            near = ratio(evidence.replace(correction=residual)) <= 1
            known = evidence.replace(correction=jnp.where(near[:, None], evidence.correction, jnp.inf))
            measured = ratio(evidence.replace(correction=jnp.where(near[:, None], evidence.correction, residual)))
        else:
            measured = ratio(known)
        improved = measured < IMPROVEMENT * best
        stagnation = jnp.where(improved, 0, stagnation + 1)
        stop, _ = jax.vmap(criterion.verdict)(known.replace(stagnation=stagnation))
        return stop, jnp.where(improved, measured, best), stagnation

    return judge


def _evidence(residuals: Residuals, proposal: Trajectory, prefixes: Prefixes) -> Progress:
    """The numbers that a criterion judges an iterate by, for every prefix."""
    ends = jnp.asarray(prefixes.ends)
    squares = jnp.where(residuals.judged, 0.5 * jnp.sum(residuals.values**2, axis=1), 0.0)
    merit = jnp.cumsum(_by_segment(jax.ops.segment_sum, squares, prefixes)) / ends
    size = 1 + jnp.max(jnp.abs(residuals.states), axis=1)
    defect = jnp.where(residuals.judged, jnp.max(jnp.abs(residuals.values), axis=1) / size, 0.0)
    correction = jnp.where(residuals.exact[:, None], 0.0, proposal - residuals.states)
    return Progress(
        merit=merit,
        initial_merit=merit,
        correction=_cumulative_largest(residuals, correction, prefixes),
        scale=_cumulative_largest(residuals, residuals.states, prefixes),
        defect=jax.lax.cummax(_by_segment(jax.ops.segment_max, defect, prefixes)),
        stagnation=jnp.zeros(ends.shape, jnp.int32),
        all_finite=ends <= residuals.finite_prefix,
        causal=True,
    )


def _cumulative_largest(residuals: Residuals, values: Trajectory, prefixes: Prefixes) -> Float[Array, "K D"]:
    """Largest magnitude over the judged steps of every prefix, NaN counting as infinite."""
    magnitude = jnp.where(jnp.isnan(values), jnp.inf, jnp.abs(values))
    judged = jnp.where(residuals.judged[:, None], magnitude, 0.0)
    return jax.lax.cummax(_by_segment(jax.ops.segment_max, judged, prefixes), axis=0)


def _by_segment(reduce: Any, values: Float[Array, "T ..."], prefixes: Prefixes) -> Float[Array, "K ..."]:
    """A reduction over the steps between the end of one prefix and that of the next."""
    segments = jnp.asarray(prefixes.segment_of_step)
    return reduce(values, segments, len(prefixes.ends), indices_are_sorted=True)
