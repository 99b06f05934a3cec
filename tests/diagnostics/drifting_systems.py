"""Random systems whose rounding errors keep their sign: clocks, counters, means, phases, slowly moving states."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from certified_systems import Family
from jaxtyping import Array

LENGTH = 3000


class Drifting(eqx.Module):
    """A step with its parameters, where it starts and what drives it."""

    step: eqx.Module
    initial_state: Array
    drive: str | None = eqx.field(static=True, default=None)

    def inputs(self, length: int, *, key: jax.Array, dtype: Any) -> Array:
        """Coins, or normal numbers of which neighbors are alike."""
        if self.drive == "coins":
            return jax.random.bernoulli(key, 0.6, (length, 1)).astype(dtype)
        return 1 + 0.01 * jax.random.normal(key, (length, 1), dtype)


class Clock(eqx.Module):
    """``s + rate``."""

    rate: Array

    def __call__(self, s, x):
        """The next state."""
        return s + self.rate


class Counter(Clock):
    """``s + rate x`` with x zero or one."""

    def __call__(self, s, x):
        """The next state."""
        return s + self.rate * x


class Phase(eqx.Module):
    """``s + rate`` around a circle, whose circumference is a number of the precision that is computed in."""

    rate: Array
    circumference: Array

    def __call__(self, s, x):
        """The next state."""
        return jnp.mod(s + self.rate, self.circumference)


class Mean(Clock):
    """A running mean of few parts."""

    def __call__(self, s, x):
        """The next state."""
        return s + (x - s) * self.rate


class Count(Clock):
    """The mean of all inputs so far, beside their number."""

    def __call__(self, s, x):
        """The next state."""
        number = s[1] + 1
        return jnp.stack([s[0] + (x[0] - s[0]) / number, number])


class Motion(Clock):
    """Position and velocity by a product with a matrix."""

    def __call__(self, s, x):
        """The next state."""
        zero, one = jnp.zeros_like(self.rate), jnp.ones_like(self.rate)
        return jnp.stack([jnp.concatenate([one, self.rate]), jnp.concatenate([zero, one])]) @ s


class Turn(Clock):
    """A rotation by a complex number that is not quite of modulus one."""

    def __call__(self, s, x):
        """The next state."""
        c, w = self.rate
        return jnp.stack([c * s[0] - w * s[1], w * s[0] + c * s[1]])


def _uniform(low: float, high: float, kind: type, drive: str | None = None, start: tuple = (0.0,)) -> Any:
    def draw(key: jax.Array, dtype: Any) -> Drifting:
        rate = jax.random.uniform(key, (1,), dtype, low, high)
        return Drifting(kind(rate), jnp.asarray(start, dtype), drive)

    return draw


def _turn(key: jax.Array, dtype: Any) -> Drifting:
    angle = jax.random.uniform(key, (), dtype, 0.01, 1.0)
    return Drifting(Turn(jnp.stack([jnp.cos(angle), jnp.sin(angle)])), jnp.asarray([1.0, 0.5], dtype))


def _phase(key: jax.Array, dtype: Any) -> Drifting:
    rate = jax.random.uniform(key, (1,), dtype, 0.01, 1.0)
    return Drifting(Phase(rate, jnp.full(1, 2 * np.pi, dtype)), jnp.zeros(1, dtype))


def _count(step: Any, s: np.ndarray, x: np.ndarray) -> np.ndarray:
    number = s[:, 1] + 1
    return np.stack([s[:, 0] + (x[:, 0] - s[:, 0]) / number, number], axis=1)


def _motion(step: Any, s: np.ndarray, x: Any) -> np.ndarray:
    return np.stack([s[:, 0] + step.rate[:, 0] * s[:, 1], s[:, 1]], axis=1)


def _rotated(step: Any, s: np.ndarray, x: Any) -> np.ndarray:
    c, w = step.rate.T
    return np.stack([c * s[:, 0] - w * s[:, 1], w * s[:, 0] + c * s[:, 1]], axis=1)


DRIFTING: dict[str, Family] = {
    "clock": Family(_uniform(0.01, 1.0, Clock), lambda step, s, x: s + step.rate, LENGTH),
    "counter": Family(_uniform(0.01, 1.0, Counter, "coins"), lambda step, s, x: s + step.rate * x, LENGTH),
    "phase": Family(_phase, lambda step, s, x: np.mod(s + step.rate, step.circumference), LENGTH),
    "mean": Family(_uniform(1e-5, 1e-3, Mean, "alike"), lambda step, s, x: s + (x - s) * step.rate, LENGTH),
    "count": Family(_uniform(0.0, 1.0, Count, "alike", (0.0, 0.0)), _count, LENGTH),
    "motion": Family(_uniform(0.01, 1.0, Motion, None, (0.0, 0.3)), _motion, LENGTH),
    "turn": Family(_turn, _rotated, LENGTH),
}
