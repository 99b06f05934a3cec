"""Anderson acceleration of another solver's updates, in the triangular form that keeps the exact prefix."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..linear import ScalarTransition, linear_recurrence
from ..problem.arguments import check_counts
from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory, Tree
from .base import AbstractIterativeSolver, UpdateWork
from .memory import states_bytes
from .prefix import known_prefix
from .update import Iterate

SHARE = 0.5
"""A column counts as dependent on newer ones where what is left of its square is at most the unit of rounding to this
power: the sums of squares themselves are off by some units."""


class Memory(eqx.Module):
    """What one update hands to the next.

    Attributes:
        updates: number of updates made.
        states: the trajectory of the last one ``[T D]``.
        change: what the inner update would have done to it ``[T D]``.
        moves: differences of trajectories, newest first ``[m T D]``.
        turns: differences of the inner solver's changes that go with them ``[m T D]``.
        inner: the inner solver's memory.
    """

    updates: Int[Array, ""]
    states: Trajectory
    change: Trajectory
    moves: Float[Array, "m T D"]
    turns: Float[Array, "m T D"]
    inner: Tree


class Anderson(AbstractIterativeSolver):
    """Another solver's update, mixed with its last few so that its change becomes as small as possible.

    With ``R`` the change that the inner update makes, and the last differences of trajectories ``X`` and of changes
    ``F``, the next trajectory is ``x + R - (X + F) g``, where g makes ``R - F g`` least. In the triangular form every
    step has a g of its own, from the steps up to it alone. So no state depends on a later one: the exact prefix stays,
    it grows by a step in each iteration, and T iterations always suffice. Where an entry of g is not determined, or a
    mixed state is not finite, that part is left out, down to the inner update itself.

    For ``picard()``, of samplers too, on systems that change little in a step and where an update is dear, such as a
    network in every step. ``jacobi()``, ``quasi_deer()`` and Newton's own iterations gain little or nothing. Costs
    memory of ``2 m + 2`` trajectories, and a cumulative sum of ``m (m + 3) / 2`` numbers a step.

    Args:
        inner: the solver whose updates are mixed, such as ``ps.picard()``; it must be causal.
        memory: m, how many differences are kept, one or more.

    Raises:
        TypeError: ``inner`` is not a causal iterative solver, or ``memory`` is not an integer.
        ValueError: ``memory`` is below one.

    Source: Tang et al. 2024 (ParaTAA), section 3.2, with dependent columns left out in the place of a ridge; Anderson
    1965; Walker and Ni 2011.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> step = lambda s, x: s + 0.1 * jnp.sin(x - s)
        >>> run = lambda solver: ps.rollout(step, jnp.zeros(2), jnp.ones((200, 2)), solver=solver).stats.iterations
        >>> bool(run(ps.Anderson(ps.picard())) < run(ps.picard()))
        True
    """

    inner: AbstractIterativeSolver
    memory: int = eqx.field(static=True, default=3)
    causal: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("tang2024parataa", "anderson1965", "walker2011anderson")

    def __check_init__(self) -> None:
        if not (isinstance(self.inner, AbstractIterativeSolver) and self.inner.causal):
            given = getattr(self.inner, "__name__", type(self.inner).__name__)
            raise TypeError(f"inner: given {given}, expected a causal iterative solver such as ps.picard().")
        check_counts(memory=self.memory)

    @property
    def exact(self) -> bool:
        """False: a mixed update does not estimate the error."""
        return False

    def init(self, problem: Recurrence, states: Trajectory) -> Memory:
        """No differences yet."""
        empty = jnp.zeros((self.memory, *states.shape), states.dtype)
        none = jnp.zeros((), jnp.int32)
        return Memory(none, states, jnp.zeros_like(states), empty, empty, self.inner.init(problem, states))

    def step(self, problem: Recurrence, iterate: Iterate, state: Memory) -> tuple[Trajectory, Memory]:
        """The mixed trajectory."""
        target, inner = self.inner.step(problem, iterate, state.inner)
        change = target - iterate.states
        begun = state.updates > 0
        moves = _renewed(state.moves, jnp.where(begun, iterate.states - state.states, 0.0))
        turns = _renewed(state.turns, jnp.where(begun, change - state.change, 0.0))
        known = known_prefix(iterate.states - iterate.predictions)
        weights = _weights(problem, turns, change, known)
        mixed = target - jnp.einsum("tm,mtd->td", weights, moves + turns)
        usable = ~known & jnp.all(jnp.isfinite(mixed), axis=1)
        memory = Memory(state.updates + 1, iterate.states, change, moves, turns, inner)
        return jnp.where(usable[:, None], mixed, target), memory

    def update_bytes(self, recurrence: Recurrence) -> int:
        """Bytes of the inner solver's update, with the differences before and after it."""
        return self.inner.update_bytes(recurrence) + (4 * self.memory + 4) * states_bytes(recurrence)

    def update_work(self) -> UpdateWork:
        """The work of the inner update, with two passes over the differences that are kept."""
        work = self.inner.update_work()
        inner = work.passes if work.linear else 0
        return work._replace(linear=True, passes=inner + 2 * self.memory)


def _renewed(rows: Float[Array, "m T D"], newest: Trajectory) -> Float[Array, "m T D"]:
    """The rows with the newest one in front and without the oldest."""
    return jnp.concatenate([newest[None], rows[:-1]])


def _weights(
    problem: Recurrence, turns: Float[Array, "m T D"], change: Trajectory, known: Bool[Array, " T"]
) -> Float[Array, "T m"]:
    """For every step the g that makes ``R - F g`` least over the steps up to it that are not known yet."""
    wide = jnp.promote_types(change.dtype, jnp.float32)
    columns = [jnp.where(known[:, None], 0.0, each).astype(wide) for each in (*turns, change)]
    count = len(turns)
    pairs = [(i, j) for i in range(count) for j in range(i, count + 1)]
    squares = jnp.stack([jnp.sum(columns[i] * columns[j], axis=1) for i, j in pairs], axis=1)
    everywhere = ScalarTransition(jnp.ones(len(squares), wide), len(pairs))
    sums = linear_recurrence(everywhere, squares, mesh=problem.devices)
    return _solved({pair: sums[:, index] for index, pair in enumerate(pairs)}, count).astype(change.dtype)


def _solved(sums: dict[tuple[int, int], Float[Array, " T"]], count: int) -> Float[Array, "T m"]:
    """Solutions of normal equations, all steps side by side, without columns that depend on those before them.

    Args:
        sums: the upper triangle of the matrices by row and column; column ``count`` is the right-hand side.
        count: of the unknowns.
    """
    rows = dict(sums)
    bound = jnp.finfo(sums[0, 0].dtype).eps ** SHARE
    kept = []
    for i in range(count):
        pivot = rows[i, i]
        keep = (pivot > bound * sums[i, i]) & jnp.isfinite(pivot)
        safe = jnp.where(keep, pivot, 1.0)
        kept.append((keep, safe))
        for j in range(i + 1, count):
            factor = jnp.where(keep, rows[i, j] / safe, 0.0)
            for k in range(j, count + 1):
                rows[j, k] = rows[j, k] - factor * rows[i, k]
    found: list[Array] = [jnp.zeros_like(sums[0, 0])] * count
    for i in reversed(range(count)):
        keep, safe = kept[i]
        rest = rows[i, count] - sum(rows[i, j] * found[j] for j in range(i + 1, count))
        found[i] = jnp.where(keep & jnp.isfinite(rest), rest / safe, 0.0)
    return jnp.stack(found, axis=1)
