"""Mean-field networks in the arithmetic of the published code, for figures 2 and 6: every method's steps.

Newton's updates are those of ``published_newton``. A network's Jacobian has a zero diagonal, with which the published
quasi-Newton update is ``s' = f(s)`` to the last bit, whatever the scan. Published descent tests the iterate *after* an
update, and the merit rather than merit/T; all three loops stop at T.

Source: https://github.com/lindermanlab/predictability_enables_parallelization, ``experiments/fig2.py`` and
``experiments/fig6.py``, of which nothing is copied here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import parascan as ps

from .fig6_measure import published_rate
from .mean_field import UNITS, Exponents, exponents, network_of


@dataclass(frozen=True)
class Trace:
    """A run of Newton's method of which every merit is kept.

    Attributes:
        seed: of the network and of the guess.
        gain: g.
        ends: lengths of the prefixes, increasing; the last one is T.
        tolerance: bound on merit/T at which the run ends.
    """

    seed: int
    gain: float
    ends: tuple[int, ...]
    tolerance: float


@dataclass(frozen=True)
class Others:
    """A run of quasi-Newton and one of descent.

    Attributes:
        seed: of the network and of the guess.
        gain: g.
        length: T.
        tolerance: of figure 6.
    """

    seed: int
    gain: float
    length: int
    tolerance: float


def measure(point: Trace | Others | Exponents, folder: Path) -> Mapping[str, Any]:
    """The values of a point.

    Args:
        point: what to measure.
        folder: not needed.
    """
    if isinstance(point, Exponents):
        return exponents(point)
    return {"merits": merits(point)} if isinstance(point, Trace) else others(point)


def _network(seed: int, gain: float, length: int) -> tuple[Any, Any, Any, Any]:
    """Step, start, inputs and guess."""
    system = ps.systems.tanh_rnn(gain=gain, size=UNITS, key=jax.random.key(seed))
    return system.step, system.initial_state, system.inputs(length), network_of(seed, length).guess[:length]


def merits(point: Trace) -> Float[np.ndarray, "N K"]:
    """Merit/T of every iterate on every prefix, from the guess to the one at which the run ends."""
    step, *rest = _network(point.seed, point.gain, point.ends[-1])
    weights, (start, xs, states) = np.asarray(step.weights), (np.asarray(each) for each in rest)
    ends = np.asarray(point.ends)
    found = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(point.ends[-1] + 1):
            before = np.concatenate([start[None], states[:-1]])
            bent = np.tanh(before)
            images = bent @ weights.T + xs
            found.append(np.cumsum(0.5 * np.sum((states - images) ** 2, axis=1))[ends - 1] / ends)
            if found[-1][-1] <= point.tolerance:
                break
            matrices = weights * (1 - bent**2)[:, None]
            offsets = images - applied(matrices, before)
            matrices[0], offsets[0] = 0.0, images[0]
            states = solved_by_products(matrices, offsets)
    return np.array(found)


def solved_by_products(matrices: Float[np.ndarray, "T D D"], offsets: Float[np.ndarray, "T D"]) -> np.ndarray:
    """What ``published_newton.solved`` returns, in the same order of sums [T, D].

    On a processor NumPy multiplies matrices of this size in a third of the time that XLA takes.

    Args:
        matrices: of the linear recurrence, the first one zero.
        offsets: of the linear recurrence.
    """
    if len(offsets) == 1:
        return offsets
    found = np.empty_like(offsets)
    found[0] = offsets[0]
    pairs = applied(matrices[1::2], offsets[:-1:2]) + offsets[1::2]
    found[1::2] = solved_by_products(matrices[1::2] @ matrices[:-1:2], pairs)
    later = found[1:-1:2]
    found[2::2] = applied(matrices[2::2], later) + offsets[2::2]
    return found


def applied(matrices: Float[np.ndarray, "T D D"], vectors: Float[np.ndarray, "T D"]) -> Float[np.ndarray, "T D"]:
    """Products of matrices and vectors, row by row."""
    return np.matmul(matrices, vectors[:, :, None])[:, :, 0]


def counted(found: Float[np.ndarray, "N K"], ends: np.ndarray, tolerance: float) -> np.ndarray:
    """The published count of every prefix [K]: updates up to the first iterate within the tolerance, plus one.

    The figures show T where that is more, or where no iterate is within the tolerance.

    Args:
        found: of ``merits``.
        ends: lengths of the prefixes.
        tolerance: bound on merit/T, not below that of the run.
    """
    within = found <= tolerance
    first = np.where(within.any(axis=0), within.argmax(axis=0), len(found))
    return np.minimum(first + 1, ends)


def others(point: Others) -> Mapping[str, Any]:
    """Published counts of quasi-Newton and of descent, T where they did not get there."""
    step, start, xs, guess = _network(point.seed, point.gain, point.length)
    rate, tolerance = published_rate(point.gain), point.tolerance

    def images(states: Array) -> Array:
        return jax.vmap(step)(jnp.concatenate([start[None], states[:-1]]), xs)

    def merit(states: Array) -> Array:
        return 0.5 * jnp.sum((states - images(states)) ** 2)

    def until(following: Any, bound: float) -> tuple[int, bool]:
        def going(at: tuple[Array, Array]) -> Array:
            return (at[1] < point.length) & ~(merit(at[0]) <= bound)

        def further(at: tuple[Array, Array]) -> tuple[Array, Array]:
            return following(at[0]), at[1] + 1

        states, updates = jax.jit(lambda: jax.lax.while_loop(going, further, (guess, jnp.asarray(0))))()
        return int(updates), bool(merit(states) <= bound)

    quasi, solved_quasi = until(images, tolerance * point.length)
    descent, solved_descent = until(lambda states: states - rate * jax.grad(merit)(states), tolerance)
    return {
        "quasi_newton": min(quasi + 1, point.length) if solved_quasi else point.length,
        "descent": descent,
        "descent_solved": solved_descent,
    }
