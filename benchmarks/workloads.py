"""The systems of the table, as (step, initial state, inputs)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

import parascan as ps


class Workload(NamedTuple):
    """A system with its data; `step` is `(state, x) -> state`."""

    step: Callable[[Any, Any], Any]
    initial: jax.Array
    inputs: Any
    length: int


def tanh_rnn(size: int, length: int, dtype: Any, gain: float = 0.5) -> Workload:
    """The mean-field network of the paper with its sinusoidal inputs."""
    system = ps.systems.tanh_rnn(gain=gain, size=size, key=jr.key(size), dtype=dtype)
    return Workload(system.step, system.initial_state, system.inputs(length), length)


def observer(name: str, length: int) -> Workload:
    """The observer of a flow as the paper has it, with the flow's trajectory as input."""
    system = ps.systems.get(name, dtype=jnp.float64)
    return Workload(system.step, system.initial_state, system.inputs(length), length)


def exponent_of_observer(name: str) -> float:
    """Its published exponent, in 1/step."""
    system = ps.systems.get(name)
    return system.facts.exponent_per_time.value * system.dt


def langevin(length: int) -> Workload:
    """The two-well Langevin chain."""
    system = ps.systems.two_well_langevin(dtype=jnp.float64)
    return Workload(system.step, system.initial_state, system.inputs(length, key=jr.key(0)), length)


def lorenz(length: int) -> Workload:
    """The chaotic flow, which has no inputs."""
    system = ps.systems.get("lorenz", dtype=jnp.float64)
    return Workload(system.step, system.initial_state, None, length)


def gru(units: int = 64, features: int = 6) -> eqx.nn.GRUCell:
    """A cell with random weights, which contracts."""
    return eqx.nn.GRUCell(features, units, key=jr.key(1), dtype=jnp.float32)
