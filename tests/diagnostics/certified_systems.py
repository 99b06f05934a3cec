"""Random systems with their true trajectories, by numpy in extended precision: independent of JAX."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np

import parascan as ps

EXTENDED = np.longdouble


@dataclass(frozen=True)
class Family:
    """Systems of one kind: how to draw one, and one step of many of them in numpy.

    ``advance`` takes the leaves of the steps, states ``[N D]`` and inputs ``[N M]``.
    """

    draw: Callable[[jax.Array, Any], ps.systems.System]
    advance: Callable[[Any, np.ndarray, Any], np.ndarray]
    length: int


def _rnn(size: int) -> Callable[[jax.Array, Any], ps.systems.System]:
    def draw(key: jax.Array, dtype: Any) -> ps.systems.System:
        weights, gain = jax.random.split(key)
        gain = jax.random.uniform(gain, (), dtype, 0.5, 2.0)
        return ps.systems.tanh_rnn(gain=gain, size=size, key=weights, dtype=dtype)

    return draw


def _rnn_step(step: Any, s: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.einsum("nij,nj->ni", step.weights, np.tanh(s)) + x


def _started(system: ps.systems.System, key: jax.Array, scale: float) -> ps.systems.System:
    start = system.initial_state
    moved = start * (1 + scale * jax.random.normal(key, start.shape, start.dtype))
    return eqx.tree_at(lambda s: s.initial_state, system, moved)


def _flow(name: str) -> Callable[[jax.Array, Any], ps.systems.System]:
    return lambda key, dtype: _started(ps.systems.get(name, dtype=dtype), key, 0.02)


def _euler(field: Callable[[dict, np.ndarray], np.ndarray]) -> Callable[[Any, np.ndarray, Any], np.ndarray]:
    return lambda step, s, _: s + step.dt[:, None] * field(step.field.parameters, s.T).T


def _lorenz(p: dict, s: np.ndarray) -> np.ndarray:
    x, y, z = s
    return np.stack([p["sigma"] * (y - x), p["rho"] * x - x * z - y, x * y - p["beta"] * z])


def _thomas(p: dict, s: np.ndarray) -> np.ndarray:
    return -p["a"] * s + p["b"] * np.sin(np.roll(s, -1, axis=0))


def _rossler(p: dict, s: np.ndarray) -> np.ndarray:
    x, y, z = s
    return np.stack([-y - z, x + p["a"] * y, p["b"] + z * (x - p["c"])])


def _langevin_step(step: Any, s: np.ndarray, x: np.ndarray) -> np.ndarray:
    offsets = s[:, None] - step.means
    logs = step.log_weights - 0.5 * np.sum(offsets**2 / step.variances + np.log(step.variances), axis=2)
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    gradient = np.sum(shares[..., None] * offsets / step.variances, axis=1)
    size = step.step_size[:, None]
    return s - size * gradient + np.sqrt(2 * size) * x


def _logistic(key: jax.Array, dtype: Any) -> ps.systems.System:
    rate, start = jax.random.split(key)
    system = ps.systems.logistic(dtype=dtype)
    new = (jax.random.uniform(rate, (), dtype, 2.5, 4.0), jax.random.uniform(start, (1,), dtype, 0.1, 0.9))
    return eqx.tree_at(lambda s: (s.step.r, s.initial_state), system, new)


def _henon(key: jax.Array, dtype: Any) -> ps.systems.System:
    bend, start = jax.random.split(key)
    system = eqx.tree_at(
        lambda s: s.step.a, ps.systems.henon(dtype=dtype), jax.random.uniform(bend, (), dtype, 0.2, 1.4)
    )
    return _started(system, start, 0.05)


def _henon_step(step: Any, s: np.ndarray, _: Any) -> np.ndarray:
    return np.stack([1 - step.a * s[:, 0] ** 2 + s[:, 1], step.b * s[:, 0]], axis=1)


FAMILIES: dict[str, Family] = {
    "rnn4": Family(_rnn(4), _rnn_step, 300),
    "rnn16": Family(_rnn(16), _rnn_step, 200),
    "langevin": Family(
        lambda key, dtype: _started(ps.systems.two_well_langevin(dtype=dtype), key, 0.0), _langevin_step, 600
    ),
    "lorenz": Family(_flow("lorenz"), _euler(_lorenz), 500),
    "thomas": Family(_flow("thomas"), _euler(_thomas), 500),
    "rossler": Family(_flow("rossler"), _euler(_rossler), 500),
    "logistic": Family(_logistic, lambda step, s, _: step.r[:, None] * s * (1 - s), 200),
    "henon": Family(_henon, _henon_step, 200),
}

RUNS: dict[str, dict[str, Any]] = {
    "sequential": {"solver": ps.Sequential()},
    "newton": {"solver": ps.deer(), "max_iterations": 80},
    "newton, stopped": {"solver": ps.deer(), "max_iterations": 4},
    "quasi-newton, stopped": {"solver": ps.quasi_deer(), "max_iterations": 12},
}


def certified(family: Family, run: dict[str, Any], dtype: Any, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """True errors and their bounds, ``[N T]`` each, of systems drawn with one seed."""

    def one(key: jax.Array) -> tuple:
        draw, drive = jax.random.split(key)
        system = family.draw(draw, dtype)
        xs = None if system.drive is None else system.inputs(family.length, key=drive, dtype=dtype)
        solution = ps.rollout(system.step, system.initial_state, xs, family.length, throw=False, **run)
        certificate = ps.certify(system.step, system.initial_state, xs, solution.states, length=family.length)
        return system.step, system.initial_state, xs, solution.states, certificate.bound

    keys = jax.random.split(jax.random.key(seed), count)
    step, start, xs, states, bound = jax.jit(jax.vmap(one))(keys)
    step, state, xs, states = jax.tree.map(lambda leaf: np.asarray(leaf, EXTENDED), (step, start, xs, states))
    errors = []
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(family.length):
            state = family.advance(step, state, None if xs is None else xs[:, t])
            # In extended range too: squares of states that ran away would overflow.
            errors.append(np.sqrt(np.sum((states[:, t] - state) ** 2, axis=1)).astype(float))
    return np.stack(errors, axis=1), np.asarray(bound, float)
