"""Random systems of every kind, drawn from a seed: one seed for the calibration, another for the judgement."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps
from parascan.systems import nine_flows as table1

SHARES: Mapping[str, float] = {"network": 0.4, "noise": 0.15, "flow": 0.15, "observer": 0.15, "map": 0.15}
"""How often each kind is drawn."""

CALIBRATION_SEED, HELD_OUT_SEED = 1, 2
"""Seeds of the two families, which share no system."""

SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)
"""D of networks."""

SHORTEST, LONGEST = 100, 30_000
"""Lengths T, drawn uniformly in their logarithm."""


@dataclass(frozen=True)
class Case:
    """A system and a length.

    Attributes:
        number: its place in the family.
        kind: what it is, of ``SHARES``.
        label: its parameters in words.
        system: the system.
        key: of its inputs and of what is measured on it.
        length: T.
    """

    number: int
    kind: str
    label: str
    system: ps.systems.System
    key: jax.Array
    length: int

    def inputs(self, length: int) -> Any:
        """The first inputs of the longest sequence, so that shorter ones are prefixes of longer ones."""
        if self.system.drive is None:
            return None
        drawn = self.system.inputs(LONGEST if self.kind == "noise" else length, key=self.key)
        return drawn[:length]


def family(seed: int, count: int) -> Iterator[Case]:
    """The first systems of a family.

    Args:
        seed: of the family.
        count: how many draws; a flow whose random start leaves the range of numbers is left out.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        key = jax.random.key(int(rng.integers(1 << 30)))
        made = MAKERS[kind](rng, key)
        length = round(10 ** rng.uniform(np.log10(SHORTEST), np.log10(LONGEST)))
        if made is not None:
            yield Case(number, kind, made[0], made[1], key, length)


def _network(rng: np.random.Generator, key: jax.Array) -> tuple[str, ps.systems.System]:
    gain, size = float(rng.uniform(0.5, 2)), int(rng.choice(SIZES))
    return f"tanh_rnn g={gain:.2f} D={size}", ps.systems.get("tanh_rnn", gain=gain, size=size, key=key)


def _noise(rng: np.random.Generator, key: jax.Array) -> tuple[str, ps.systems.System]:
    step, well = float(rng.choice([0.005, 0.01, 0.02, 0.05])), float(rng.uniform(0.8, 1.8))
    system = ps.systems.get("two_well_langevin", step_size=step, means=((-well, 0.0), (well, 0.0)))
    return f"two_well_langevin eps={step} wells={well:.2f}", system


def _flow(rng: np.random.Generator, key: jax.Array) -> tuple[str, ps.systems.System] | None:
    name, dt = str(rng.choice(list(table1.ROWS))), float(rng.choice([0.005, 0.01, 0.02]))
    flow, skipped = ps.systems.get(name, dt=dt), int(rng.integers(0, 5000))
    start = jax.lax.fori_loop(0, skipped, lambda _, state: flow.step(state, None), flow.initial_state)
    if not bool(jnp.all(jnp.isfinite(start))):
        return None
    return f"{name} dt={dt} from {skipped}", ps.systems.get(name, dt=dt, initial_state=start)


def _observer(rng: np.random.Generator, key: jax.Array) -> tuple[str, ps.systems.System] | None:
    made = _flow(rng, key)
    if made is None:
        return None
    label, flow = made
    of_measurement, of_start = jax.random.split(key)
    system = ps.systems.observer(
        flow,
        substituted=table1.ROWS[flow.name].substituted,
        measurement=jax.random.normal(of_measurement, (1, 3)),
        initial_state=flow.initial_state + jax.random.normal(of_start, (3,)),
    )
    return f"{label}, observer", system


def _map(rng: np.random.Generator, key: jax.Array) -> tuple[str, ps.systems.System]:
    if rng.random() < 0.5:
        r, start = float(rng.uniform(2.8, 4)), float(rng.uniform(0.1, 0.9))
        return f"logistic r={r:.3f}", ps.systems.get("logistic", r=r, initial_state=jnp.array([start]))
    a, start = float(rng.uniform(0.8, 1.4)), rng.uniform(-0.3, 0.3, 2)
    return f"henon a={a:.3f}", ps.systems.get("henon", a=a, initial_state=jnp.asarray(start))


MAKERS: Mapping[str, Callable[[np.random.Generator, jax.Array], tuple[str, ps.systems.System] | None]] = {
    "network": _network,
    "noise": _noise,
    "flow": _flow,
    "observer": _observer,
    "map": _map,
}
