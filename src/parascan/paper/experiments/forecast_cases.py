"""Random systems of every kind for the judgement of forecasts, none of them of the family of the calibration."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

from .mala_chain import chain

Call: TypeAlias = tuple[Any, Any, Any, int]
"""Step, start, inputs and T, as ``rollout`` takes them."""

FAMILY = 3
"""Seed of this family; 1 and 2 are those of the calibration and its own judgement."""

UNITS: Mapping[int, int] = MappingProxyType({100: 32, 300: 16, 1000: 8})
"""D of networks by T: an unpredictable one takes T updates of T D^2 multiplications."""

FEWEST_UNITS = 4
"""D of networks at any other T."""


def draw(kind: str, length: int, number: int) -> Call:
    """A system and its inputs.

    Args:
        kind: of ``MAKERS``.
        length: T.
        number: within kind and length.
    """
    rng = np.random.default_rng([FAMILY, KINDS.index(kind), length, number])
    return MAKERS[kind](rng, jax.random.key(int(rng.integers(1 << 30))), length)


def _call(system: ps.systems.System, length: int, key: jax.Array) -> Call:
    """A system of the library as a call."""
    return system.step, system.initial_state, system.inputs(length, key=key), length


def _network(rng: np.random.Generator, key: jax.Array, length: int) -> Call:
    """A mean-field network with a gain on either side of the threshold."""
    size = UNITS.get(length, FEWEST_UNITS)
    return _call(ps.systems.tanh_rnn(gain=float(rng.uniform(0.5, 2.5)), size=size, key=key), length, key)


def _langevin(rng: np.random.Generator, key: jax.Array, length: int) -> Call:
    """A walk between two wells that are closer or further apart."""
    step, well = 10 ** rng.uniform(-2.3, -1.3), float(rng.uniform(0.8, 1.8))
    system = ps.systems.two_well_langevin(step_size=float(step), means=((-well, 0.0), (well, 0.0)))
    return _call(system, length, key)


def _flow_system(rng: np.random.Generator, length: int) -> ps.systems.System:
    """One of the nine flows, the same for every number at a length, from a random place of its orbit."""
    names = tuple(ps.systems.table1.ROWS)
    # The nine take turns, so that cases of one length share their programs.
    name, dt = names[(length // 100) % len(names)], float(10 ** rng.uniform(-2.3, -1.7))
    flow = ps.systems.flow(name, dt=dt)
    steps = int(rng.integers(0, 5000))
    start = jax.lax.fori_loop(0, steps, lambda _, state: flow.step(state, None), flow.initial_state)
    kept = jnp.where(jnp.all(jnp.isfinite(start)), start, flow.initial_state)
    return ps.systems.flow(name, dt=dt, initial_state=kept)


def _flow(rng: np.random.Generator, key: jax.Array, length: int) -> Call:
    """A flow as it is."""
    return _call(_flow_system(rng, length), length, key)


def _observer(rng: np.random.Generator, key: jax.Array, length: int) -> Call:
    """The published kind of observer with a measurement of its own."""
    flow = _flow_system(rng, length)
    of_measurement, of_start = jax.random.split(key)
    system = ps.systems.observer(
        flow,
        substituted=ps.systems.table1.ROWS[flow.name].substituted,
        measurement=jax.random.normal(of_measurement, (1, flow.size)),
        initial_state=flow.initial_state + jax.random.normal(of_start, (flow.size,)),
    )
    return _call(system, length, key)


def _logistic(rng: np.random.Generator, key: jax.Array, length: int) -> Call:
    """The logistic map, periodic or chaotic by its parameter."""
    start = jnp.asarray([float(rng.uniform(0.1, 0.9))])
    return _call(ps.systems.logistic(r=float(rng.uniform(2.8, 4.0)), initial_state=start), length, key)


def _henon(rng: np.random.Generator, key: jax.Array, length: int) -> Call:
    """The Henon map, periodic or chaotic by its parameter."""
    start = jnp.asarray(rng.uniform(-0.3, 0.3, 2))
    return _call(ps.systems.henon(a=float(rng.uniform(0.8, 1.4)), initial_state=start), length, key)


def _metropolis(rng: np.random.Generator, key: jax.Array, length: int) -> Call:
    """The Metropolis-adjusted chain with small or large steps."""
    return *chain(float(10 ** rng.uniform(-2.0, 0.2)), length, key), length


MAKERS: Mapping[str, Callable[[np.random.Generator, jax.Array, int], Call]] = MappingProxyType(
    {
        "network": _network,
        "langevin": _langevin,
        "flow": _flow,
        "observer": _observer,
        "logistic": _logistic,
        "henon": _henon,
        "metropolis": _metropolis,
    }
)
"""What draws a system of each kind."""

KINDS = tuple(MAKERS)
