"""Measurements of the mean-field network that figures 2, 4 and 5 have in common: exponents, and steps of Newton."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

from .mean_field_newton import BLOCK, Network, newton_steps

UNITS = 100
"""D, the number of units."""

GAINS = tuple(float(gain) for gain in np.linspace(0.5, 2.0, 50))
"""The published gains g."""

LENGTHS = tuple(int(length) for length in np.unique(np.append(np.geomspace(9, 9999, 50).round(), 1000)))
"""The published lengths T, 50 from 9 to 9999, with T = 1000 among them."""


@dataclass(frozen=True)
class Exponents:
    """Exponents to measure: all gains of a seed.

    Attributes:
        seed: of the network.
        gains: g.
        length: steps over which they are averaged.
    """

    seed: int
    gains: tuple[float, ...]
    length: int


@dataclass(frozen=True)
class Steps:
    """Steps of Newton's method to count: all gains of a seed, on every prefix.

    Attributes:
        seed: of the network and of the guess.
        gains: g.
        ends: lengths of the prefixes, increasing.
        tolerance: bound on merit/T.
        most: updates after which to give up.
        lowest: lower end of the uniform guess, whose upper end is 1.
    """

    seed: int
    gains: tuple[float, ...]
    ends: tuple[int, ...]
    tolerance: float = 1e-10
    most: int = 9999
    lowest: float = -1.0


@dataclass(frozen=True)
class Scans:
    """Steps of Newton's method to count with two ways to solve its linear recurrence.

    Attributes:
        seed: of the network and of the guess.
        gain: g.
        length: T.
        tolerance: bound on merit/T.
    """

    seed: int
    gain: float
    length: int
    tolerance: float = 1e-10


BACKENDS = ("sequential", "associative")
"""One step after the other, and the parallel scan over products of Jacobians."""


def measure(point: Exponents | Steps | Scans, folder: Path) -> Mapping[str, Any]:
    """The values of a point.

    Args:
        point: what to measure.
        folder: the point's own, for where a long run is.
    """
    if isinstance(point, Scans):
        return scans(point)
    return exponents(point) if isinstance(point, Exponents) else steps(point, folder)


def scans(point: Scans) -> Mapping[str, Any]:
    """Updates by each of ``BACKENDS``, -1 where T were not enough."""
    network = network_of(point.seed, point.length)
    weights, guess = network.weights * point.gain, network.guess[: point.length]

    def count(backend: str) -> int:
        def following(states: jax.Array) -> tuple[jax.Array, jax.Array]:
            before = jnp.concatenate([network.start[None], states[:-1]])
            bent = jnp.tanh(before)
            images = bent @ weights.T + network.inputs[: point.length]
            jacobians = weights * (1 - bent**2)[:, None, :]
            offsets = images - jnp.einsum("tij,tj->ti", jacobians, before)
            proposal = ps.linear_recurrence(jacobians, offsets, network.start, backend=backend)
            finite = jnp.all(jnp.isfinite(proposal), axis=1, keepdims=True)
            return jnp.where(finite, proposal, guess), 0.5 * jnp.sum((states - images) ** 2) / point.length

        states, step = guess, jax.jit(following)
        for updates in range(point.length + 1):
            states, merit = step(states)
            if merit <= point.tolerance:
                return updates
        return -1

    return {backend: count(backend) for backend in BACKENDS}


def exponents(point: Exponents) -> Mapping[str, Any]:
    """Largest exponents per step [G] and their spread over start directions: algorithm 1 with three directions."""
    found, spread = _estimates(jnp.asarray(point.gains), jax.random.key(point.seed), point.length)
    return {"exponent": np.asarray(found), "spread": np.asarray(spread)}


@functools.partial(jax.jit, static_argnames="length")
def _estimates(gains: jax.Array, key: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """Exponents and spreads of all gains of a network."""

    def estimate(gain: jax.Array) -> tuple[jax.Array, jax.Array]:
        system = ps.systems.tanh_rnn(gain=gain, size=UNITS, key=key)
        call = (system.step, system.initial_state, system.inputs(length))
        found = ps.lyapunov_exponents(*call, key=key, warm_up=0, chunks=1)
        return found.per_step, found.spread

    return jax.vmap(estimate)(gains)


def steps(point: Steps, folder: Path) -> Mapping[str, Any]:
    """Updates of every gain and prefix [G, K], -1 where too few, and whether a step ever overflowed [G]."""
    network = network_of(point.seed, point.ends[-1], point.lowest)
    gains, ends = np.asarray(point.gains), np.asarray(point.ends)
    work = newton_steps(network, gains, ends, point.tolerance, point.most, folder / "work.npz")
    return {"updates": work.counts, "overflowed": work.overflowed}


def network_of(seed: int, length: int, lowest: float = -1.0) -> Network:
    """A network of unit gain with at least the steps asked for.

    Args:
        seed: of the network; the guess has the key that the published runs gave it.
        length: number of steps, filled up to whole blocks.
        lowest: lower end of the uniform guess.
    """
    key = jax.random.key(seed)
    system: Any = ps.systems.tanh_rnn(gain=1.0, size=UNITS, key=key)
    whole = -(-length // BLOCK) * BLOCK
    shape = (length, UNITS)
    guess = jax.random.uniform(jax.random.split(key, 7)[5], shape, minval=lowest, maxval=1.0)
    rest = jnp.zeros((whole - length, UNITS))
    return Network(system.step.weights, system.initial_state, system.inputs(whole), jnp.concatenate([guess, rest]))
