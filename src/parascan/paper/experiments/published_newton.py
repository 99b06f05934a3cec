"""Newton's method as the code that the paper published computes it, to the order of its sums.

- The linear recurrence of an update is solved by ``jax.lax.associative_scan`` over products of Jacobians of the states
  themselves, not of corrections. Its rounding is amplified by those products.
- Nothing is put back. ``deer_alg`` has an option ``reset``, which table 1 and figures 2 and 6 leave out. Once a state
  is NaN, every later one is NaN at the next update, and what is left grows by one step an update: the step after the
  last finite state is exact.
- The loop tests the iterate that an update started from. Its count is the updates up to the iterate that passes, and
  one more; it stops at T. A merit that is NaN does not pass.

Source: https://github.com/lindermanlab/predictability_enables_parallelization, ``src/deer.py``, of which nothing is
copied here.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .published_march import march

SHORTEST = 512
"""Leading steps that are computed at least; longer ones are powers of two, so that few programs are compiled."""

Elements = tuple[Float[Array, "T D D"], Float[Array, "T D"]]
"""Matrices and offsets of the linear recurrence, those of the first step without the fixed initial state."""


@dataclass(frozen=True)
class Published:
    """What the published loop reports of a run.

    Attributes:
        count: its number of steps.
        converged: whether an iterate passed; otherwise ``count`` is T.
        merit: ``|r|^2 / (2 T)`` of the last iterate, in squared units of the state, infinite where it has a NaN.
        shortest: fewest leading steps that an iterate had before its states were NaN to the end; T where none was.
        marched: whether the rest was appended step by step once only the step after the last finite state changed.
    """

    count: int
    converged: bool
    merit: float
    shortest: int
    marched: bool


@eqx.filter_jit
def elements(
    step: Any, start: Float[Array, " D"], xs: Array | None, states: Float[Array, "T D"]
) -> tuple[Elements, Float[Array, " T"]]:
    """The linear recurrence of an update, and half the squared residual of every step [T].

    Args:
        step: ``(state, x) -> state``.
        start: s_0 [D].
        xs: inputs [T, ...], or None.
        states: the iterate [T, D].
    """
    before = jnp.concatenate([start[None], states[:-1]])
    axes = (0, None) if xs is None else (0, 0)
    images = jax.vmap(step, in_axes=axes)(before, xs)
    jacobians = jax.vmap(jax.jacrev(step), in_axes=axes)(before, xs)
    offsets = images - jnp.einsum("tij,tj->ti", jacobians, before)
    # The first state depends on nothing that is unknown.
    first = (jacobians.at[0].set(0.0), offsets.at[0].set(images[0]))
    return first, 0.5 * jnp.sum((states - images) ** 2, axis=1)


@jax.jit
def solved(matrices: Float[Array, "T D D"], offsets: Float[Array, "T D"]) -> Float[Array, "T D"]:
    """The solution of a linear recurrence by a parallel scan over products, first matrix zero."""

    def join(first: Elements, then: Elements) -> Elements:
        return then[0] @ first[0], jnp.einsum("tij,tj->ti", then[0], first[1]) + then[1]

    return jax.lax.associative_scan(join, (matrices, offsets))[1]


def newton(
    step: Any,
    start: Float[Array, " D"],
    xs: Array | None,
    guess: Float[Array, "T D"],
    tolerance: float,
    *,
    marching: bool = True,
) -> Published:
    """The published loop of Newton's method.

    An iterate whose states are NaN from some step on is computed up to that step alone: the scan's value at a step
    does not depend on how many follow, and NaN stays NaN. Where an update leaves all that was finite as it was, every
    further one appends one step to it; those are computed at once, in the order of the scan's sums (``march``).

    Args:
        step: ``(state, x) -> state``.
        start: s_0 [D].
        xs: inputs [T, ...], or None.
        guess: first iterate [T, D].
        tolerance: bound on merit/T, in squared units of the state.
        marching: whether steps that are appended one an update are computed at once; they differ in the last bits.
    """
    length, states = len(guess), np.asarray(guess)
    finite, shortest = length, length
    for updates in range(length):
        taken = _taken(finite + 1, length)
        states = _to_length(states, taken)
        pair, squares = elements(step, start, None if xs is None else xs[:taken], jnp.asarray(states))
        merit = float(jnp.sum(squares)) / length if finite == length else np.inf
        if merit <= tolerance:
            return Published(updates + 1, True, merit, shortest, False)
        following = np.asarray(solved(*pair))
        still = finite_steps(following)
        if np.array_equal(following[:finite], states[:finite]):
            # Nothing that was known changes any more: there is at most one step more, and one each further update.
            if still == finite:
                return Published(length, False, merit, shortest, False)
            if marching:
                return _rest(step, start, xs, following[:still], length, updates + 1, tolerance, shortest)
        states, finite, shortest = following, still, min(shortest, still)
    return Published(length, False, merit_of(step, start, xs, states, length), shortest, False)


def _rest(
    step: Any,
    start: Float[Array, " D"],
    xs: Array | None,
    known: Float[np.ndarray, "N D"],
    length: int,
    updates: int,
    tolerance: float,
    shortest: int,
) -> Published:
    """What comes of states that grow by one step an update.

    Args:
        step: ``(state, x) -> state``.
        start: s_0 [D].
        xs: inputs [T, ...], or None.
        known: leading states after some updates [N, D].
        length: T.
        updates: how many these were.
        tolerance: bound on merit/T.
        shortest: see ``Published``.
    """
    states = np.asarray(march(step, start, xs, jnp.asarray(_to_length(known, length)), len(known)))
    merit = merit_of(step, start, xs, states, length)
    # Where a step is not finite, no update gets past it; where the merit is too large, no state changes any more.
    converged = merit <= tolerance
    needed = updates + length - len(known)
    return Published(min(needed + 1, length) if converged else length, converged, merit, shortest, True)


def merit_of(
    step: Any, start: Float[Array, " D"], xs: Array | None, states: Float[np.ndarray, "N D"], length: int
) -> float:
    """Merit/T of an iterate, infinite where it has a NaN or is cut short."""
    if len(states) < length:
        return np.inf
    merit = float(jnp.sum(elements(step, start, xs, jnp.asarray(states))[1])) / length
    return merit if np.isfinite(merit) else np.inf


def finite_steps(states: Float[np.ndarray, "N D"]) -> int:
    """Number of steps up to the last one without a NaN."""
    whole = np.flatnonzero(~np.any(np.isnan(states), axis=1))
    return int(whole[-1]) + 1 if whole.size else 0


def _taken(wanted: int, length: int) -> int:
    """Leading steps that are computed: a power of two, or all."""
    taken = SHORTEST
    while taken < wanted:
        taken *= 2
    return min(taken, length)


def _to_length(states: Float[np.ndarray, "N D"], taken: int) -> Float[np.ndarray, "M D"]:
    """States cut, or filled up with NaN."""
    missing = max(taken - len(states), 0)
    return np.concatenate([states[:taken], np.full((missing, states.shape[1]), np.nan)])
