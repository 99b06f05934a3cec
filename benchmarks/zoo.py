"""Systems of every kind and size, on which the planner is judged: each made when it is needed."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import parascan as ps
from parascan.paper.experiments.flow_observers import best_choice, choices, exponents, finite_flow

from .workloads import Workload, gru, tanh_rnn

LARGEST = 2**24
"""Entries of a trajectory, at most."""

GAINS = (0.5, 0.9, 1.2, 1.6)
"""Of networks, from deep in order through the transition into chaos."""


class NeverFiniteError(Exception):
    """A flow leaves the range of numbers at every step size that is tried."""


class Specimen(NamedTuple):
    """A system of the zoo.

    Attributes:
        name: what it is, with its sizes.
        kind: network, cell, noise, flow, observer, map or linear.
        make: the workload, made when it is needed; raises ``NeverFiniteError`` where it cannot be run.
    """

    name: str
    kind: str
    make: Callable[[], Workload]


def zoo(longest: int = 10**6) -> Iterator[Specimen]:
    """All systems whose sequences are not longer.

    Args:
        longest: T, at most.
    """
    for specimen, length, size in _specimens():
        if length <= longest and length * size <= LARGEST:
            yield specimen


def _specimens() -> Iterator[tuple[Specimen, int, int]]:
    """Each with its length and size."""
    for size in (1, 2, 8, 32, 128, 256):
        for length in (100, 1000, 10_000, 100_000, 1_000_000):
            gains = GAINS if length == 10_000 else GAINS[:1] if size in (1, 8, 32) else ()
            for gain in gains:
                name = f"tanh network g={gain} D={size} T={length}"
                make = partial(tanh_rnn, size, length, jnp.float64, gain)
                yield Specimen(name, "network", make), length, size
    for units, length in ((16, 10_000), (16, 100_000), (64, 1000), (64, 17_984)):
        yield Specimen(f"GRU({units}) T={length}", "cell", partial(_gru, units, length)), length, units
    for units, length in ((16, 20_000), (64, 20_000)):
        yield Specimen(f"LSTM({units}) T={length}", "cell", partial(_lstm, units, length)), length, 2 * units
    for name, kind, lengths in (
        ("two_well_langevin", "noise", (1000, 100_000, 1_000_000)),
        ("logistic", "map", (1000, 100_000)),
        ("henon", "map", (100_000,)),
        *((flow, "flow", (30_000,)) for flow in ps.systems.table1.ROWS),
        *((f"{flow}_observer", "observer", (30_000,)) for flow in ps.systems.table1.ROWS),
        ("lorenz_observer", "observer", (1_000_000,)),
    ):
        for length in lengths:
            yield Specimen(f"{name} T={length}", kind, partial(_system, name, length)), length, 3
    for label, make in (("biquad", _biquad), ("running sum", _running_sum), ("leaky average", _leaky)):
        for length in (1000, 100_000):
            yield Specimen(f"{label} T={length}", "linear", partial(make, length)), length, 2


def more_flows(length: int = 10_000) -> Iterator[Specimen]:
    """The flows of dysts that are not among the others, and an observer of each; none where it is not installed.

    Args:
        length: T.
    """
    for name in ps.systems.flow_names():
        if name not in ps.systems.table1.ROWS:
            yield Specimen(f"{name} T={length}", "flow", partial(_flow, name, length, observed=False))
            yield Specimen(f"{name}_observer T={length}", "observer", partial(_flow, name, length, observed=True))


def _gru(units: int, length: int) -> Workload:
    """A cell with inputs of noise."""
    cell = gru(units)
    inputs = jr.normal(jr.key(0), (length, 6), jnp.float32)
    return Workload(lambda s, x: cell(x, s), jnp.zeros(units, jnp.float32), inputs, length)


def _lstm(units: int, length: int) -> Workload:
    """A cell whose state is a pair."""
    cell = eqx.nn.LSTMCell(6, units, key=jr.key(1), dtype=jnp.float32)
    start = (jnp.zeros(units, jnp.float32),) * 2
    inputs = jr.normal(jr.key(0), (length, 6), jnp.float32)
    return Workload(lambda s, x: cell(x, s), start, inputs, length)  # pyright: ignore[reportArgumentType]  # a pair


def _system(name: str, length: int) -> Workload:
    """One that the library comes with."""
    system = ps.systems.get(name, dtype=jnp.float64)
    return Workload(system.step, system.initial_state, system.inputs(length, key=jr.key(0)), length)


def _flow(name: str, length: int, *, observed: bool) -> Workload:
    """A flow with a step at which it stays finite, or the observer of it that forgets fastest."""
    found = finite_flow(name, length)
    if found is None:
        raise NeverFiniteError(name)
    system, before, states = found
    if observed:
        by_choice = np.asarray(exponents(system, before, states, jr.key(0)))
        measured = [int(place) for place in np.flatnonzero(choices(system.size)[best_choice(by_choice)])]
        system = ps.systems.observer(system, substituted=measured, key=jr.key(1))
    return Workload(system.step, system.initial_state, system.inputs(length, key=None), length)


def _biquad(length: int) -> Workload:
    """A resonant filter of second order."""
    matrix, gain = jnp.array([[1.6, -0.8], [1.0, 0.0]]), jnp.array([1.0, 0.0])
    return Workload(lambda s, x: matrix @ s + gain * x, jnp.zeros(2), jr.normal(jr.key(0), (length, 1)), length)


def _running_sum(length: int) -> Workload:
    """A linear system that never forgets."""
    return Workload(lambda s, x: s + x, jnp.zeros(2), jr.normal(jr.key(0), (length, 2)), length)


def _leaky(length: int) -> Workload:
    """An average over a hundred steps."""
    return Workload(lambda s, x: 0.99 * s + 0.01 * x, jnp.zeros(2), jr.normal(jr.key(0), (length, 2)), length)


def scan_form(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """A step whose output is its state."""

    def both(state: Any, x: Any) -> tuple[Any, Any]:
        after = step(state, x)
        return after, after

    return both
