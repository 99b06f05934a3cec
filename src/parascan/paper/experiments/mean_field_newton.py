"""Newton's steps on many gains of one mean-field network at once, counted on every prefix from one causal run.

``W = g W_1`` with one matrix for all gains g, so that the linear solve of an update is, step by step, one product of
``W_1`` with the vectors of all gains; the Jacobian ``W diag(1 - tanh^2)`` is never formed. The iterates are those of
``ps.rollout(..., solver=ps.deer(), criterion=ps.Merit(tol))`` up to rounding: steps that overflow are put back to the
guess, and the leading steps that no update changes any more are left out.
"""

import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..harness.written_files import write_arrays

UNMET = -1
"""Count of a prefix that does not meet the criterion within the updates that were allowed."""

ROWS = 8
"""Gains that are still at work are filled up to a multiple of this, so that few programs are compiled."""


BLOCK = 50
"""Steps whose rows are read and written together."""


PAUSE = 60.0
"""Seconds of work between two moments at which a long run is stored."""


class Network(NamedTuple):
    """A mean-field network of unit gain.

    Attributes:
        weights: W at g = 1 [D, D].
        start: s_0 [D].
        inputs: u_t [T, D].
        guess: first trajectory [T, D], which overflow is put back to.
    """

    weights: Float[Array, "D D"]
    start: Float[Array, " D"]
    inputs: Float[Array, "T D"]
    guess: Float[Array, "T D"]


class Iterates(NamedTuple):
    """Where Newton's method is, for G gains.

    Attributes:
        states: trajectories [T, G, D].
        bent: their tanh [T, G, D].
        squares: half the squared residual of every step [T, G].
        exact: leading steps that no update changes any more.
        overflowed: whether a step has ever been put back to the guess [G].
    """

    states: Float[Array, "T G D"]
    bent: Float[Array, "T G D"]
    squares: Float[Array, "T G"]
    exact: Int[Array, ""]
    overflowed: Bool[Array, " G"]


class Work(NamedTuple):
    """Where a run is, as it is stored.

    Attributes:
        at: the iterates of the gains that are still at work, filled up.
        updates: number of updates that led to them.
        working: which gains these are.
        counts: updates of every gain and prefix [G, K], -1 where they are not known yet.
        overflowed: whether a step of a gain was ever put back to the guess [G].
    """

    at: Iterates
    updates: int
    working: Int[np.ndarray, " W"]
    counts: Int[np.ndarray, "G K"]
    overflowed: Bool[np.ndarray, " G"]


def newton_steps(
    network: Network,
    gains: Float[np.ndarray, " G"],
    ends: Int[np.ndarray, " K"],
    tolerance: float,
    most: int,
    stored: Path | None = None,
) -> Work:
    """Updates that Newton's method takes until merit/T is within the tolerance, for every gain and prefix.

    Args:
        network: of unit gain, with a multiple of ``BLOCK`` steps.
        gains: g of every trajectory.
        ends: lengths of the prefixes, increasing.
        tolerance: bound on merit/T.
        most: updates after which to give up.
        stored: file for what a long run is taken up from, None for none.

    Returns:
        The end of the run: counts of all gains, and the last iterates of those that were at work to the end.
    """
    gains = np.asarray(gains, float)
    work = _taken_up(stored) or _begun(network, gains, len(ends))
    looked = time.monotonic()
    while True:
        at, updates, working, counts, overflowed = work
        with np.errstate(over="ignore"):
            merit = np.cumsum(np.asarray(at.squares), axis=0)[ends - 1, : len(working)].T / ends
        fresh = (counts[working] == UNMET) & (merit <= tolerance)
        counts[working] = np.where(fresh, updates, counts[working])
        overflowed[working] |= np.asarray(at.overflowed)[: len(working)]
        kept = np.flatnonzero((counts[working] == UNMET).any(axis=1))
        if not kept.size or updates == most:
            return work
        if len(kept) < len(working):
            at, working = _compacted(at, jnp.asarray(_padded(kept))), working[kept]
        at = _update(network, jnp.asarray(_padded(gains[working])), at, jnp.asarray(updates))
        work = Work(at, updates + 1, working, counts, overflowed)
        if stored is not None and time.monotonic() - looked > PAUSE:
            _save(work, stored)
            looked = time.monotonic()


def _save(work: Work, stored: Path) -> None:
    """Store where a run is."""
    iterates = {f"at_{name}": value for name, value in work.at._asdict().items()}
    write_arrays(stored, {**iterates, **{name: getattr(work, name) for name in Work._fields[1:]}})


def _taken_up(stored: Path | None) -> Work | None:
    """The run that a file holds, None when there is none."""
    if stored is None or not stored.exists():
        return None
    with np.load(stored, allow_pickle=False) as found:
        at = Iterates(*(jnp.asarray(found[f"at_{name}"]) for name in Iterates._fields))
        return Work(at, int(found["updates"]), *(found[name] for name in Work._fields[2:]))


def _begun(network: Network, gains: np.ndarray, prefixes: int) -> Work:
    """A run before its first update."""
    counts = np.full((len(gains), prefixes), UNMET)
    at = _begin(network, jnp.asarray(_padded(gains)))
    return Work(at, 0, np.arange(len(gains)), counts, np.zeros(len(gains), bool))


def _padded(values: np.ndarray) -> np.ndarray:
    """Values, the last one repeated until there is a multiple of ``ROWS``."""
    return np.concatenate([values, np.repeat(values[-1:], -len(values) % ROWS)])


@jax.jit
def _begin(network: Network, gains: Float[Array, " G"]) -> Iterates:
    """The guess."""
    states = jnp.broadcast_to(network.guess[:, None], (len(network.guess), len(gains), network.start.size))
    bent = jnp.tanh(states)
    before = jnp.concatenate([jnp.broadcast_to(jnp.tanh(network.start), (1, *bent.shape[1:])), bent[:-1]])
    residual = states - ((before @ network.weights.T) * gains[:, None] + network.inputs[:, None])
    squares = 0.5 * jnp.sum(residual**2, axis=-1)
    return Iterates(states, bent, squares, jnp.zeros((), int), jnp.zeros(len(gains), bool))


@jax.jit
def _compacted(at: Iterates, kept: Int[Array, " G"]) -> Iterates:
    """The iterates of some gains."""
    return Iterates(at.states[:, kept], at.bent[:, kept], at.squares[:, kept], at.exact, at.overflowed[kept])


def _update_of(network: Network, gains: Float[Array, " G"], at: Iterates, updates: Int[Array, ""]) -> Iterates:
    """The next iterate: ``s'_t = W (tanh s + (1 - tanh^2 s) (s' - s))_{t-1} + u_t`` from the first step that moves."""
    rows = len(gains)
    first = jnp.maximum(at.exact, updates) // BLOCK
    before = jnp.where(first > 0, at.bent[jnp.maximum(first * BLOCK - 1, 0)], jnp.tanh(network.start)[None])

    def step(carry: tuple, row: tuple) -> tuple[tuple, tuple]:
        old_bent, new_bent, correction = carry
        old, bent, drive, guess = row
        linear = old_bent + (1 - old_bent**2) * correction
        both = jnp.concatenate([linear, new_bent]) @ network.weights.T
        chain = both[:rows] * gains[:, None] + drive
        image = both[rows:] * gains[:, None] + drive
        whole = jnp.all(jnp.isfinite(chain), axis=1)
        kept = jnp.where(whole[:, None], chain, guess)
        square = 0.5 * jnp.sum((kept - image) ** 2, axis=1)
        following = jnp.tanh(kept)
        return (bent, following, chain - old), (kept, following, square, whole)

    def block(number: Int[Array, ""], carry: tuple) -> tuple:
        arrays, ahead, overflowed = carry
        place = number * BLOCK
        given = (*arrays[:2], network.inputs, network.guess)
        rows_of = tuple(jax.lax.dynamic_slice_in_dim(each, place, BLOCK) for each in given)
        ahead, (*found, finite) = jax.lax.scan(step, ahead, rows_of)
        pairs = zip(arrays, found, strict=True)
        arrays = tuple(jax.lax.dynamic_update_slice_in_dim(whole, part, place, 0) for whole, part in pairs)
        return arrays, ahead, overflowed | ~jnp.all(finite, axis=0)

    start = ((at.states, at.bent, at.squares), (before, before, jnp.zeros_like(before)), at.overflowed)
    arrays, _, overflowed = jax.lax.fori_loop(first, len(at.states) // BLOCK, block, start)
    loose = jnp.any(arrays[2] != 0, axis=1)
    exact = jnp.where(jnp.any(loose), jnp.argmax(loose), len(loose))
    return Iterates(arrays[0], arrays[1], arrays[2], exact, overflowed)


_update = jax.jit(_update_of, donate_argnums=2)
