"""What a family is: one law with different numbers and starts, so that one compiled program serves all its variants."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

VARIANTS = 7
"""Members of every family."""

HELD_OUT_VARIANTS = (1, 4, 6)
"""Members that are kept for judging, of every family but the last of each kind, which is kept for judging as a whole.

Three of seven and one family in four to six are about half of all systems; forecasts are fitted to the others only.
"""

LONG = 10
"""Times T that the inputs reach, for the long-run exponent."""

Numbers: TypeAlias = Mapping[str, Array]
Law: TypeAlias = Callable[[Any, Any, Numbers], Any]


class Step(eqx.Module):
    """A law with its numbers, which are leaves: other numbers of the same shapes need no new program."""

    law: Law = eqx.field(static=True)
    numbers: Numbers

    def __call__(self, state: Any, x: Any) -> Any:
        return self.law(state, x, self.numbers)


class Variant(NamedTuple):
    """Numbers and start of one member.

    Attributes:
        numbers: of the law, by name.
        start: initial state, any tree.
        known: the long-run exponent per step where theory gives it, else None.
    """

    numbers: Mapping[str, Any]
    start: Any
    known: float | None = None


@dataclass(frozen=True)
class Family:
    """A law and what its members differ by.

    Attributes:
        name: unique.
        kind: of system.
        law: ``(state, x, numbers) -> state``.
        length: T of all members.
        variant: the numbers and start of a member, from its place and a source of random numbers.
        inputs: that many steps of inputs, or None; the first of a longer sequence are those of a shorter one.
    """

    name: str
    kind: str
    law: Law
    length: int
    variant: Callable[[int, np.random.Generator], Variant]
    inputs: Callable[[np.random.Generator, int], Any] | None = None

    def member(self, place: int) -> Variant:
        """Numbers and start of a member as arrays of JAX in double precision.

        Args:
            place: 0 to ``VARIANTS - 1``.
        """
        drawn = self.variant(place, self._source(place, 0))
        return Variant(_arrays(drawn.numbers), _arrays(drawn.start), drawn.known)

    def drive(self, place: int, length: int) -> Any:
        """Inputs of a member, None where there are none.

        Args:
            place: 0 to ``VARIANTS - 1``.
            length: steps.
        """
        return None if self.inputs is None else _arrays(self.inputs(self._source(place, 1), length))

    def _source(self, place: int, use: int) -> np.random.Generator:
        return np.random.default_rng([zlib.crc32(self.name.encode()), place, use])


def between(low: float, high: float, place: int) -> float:
    """Evenly spread values, the first ``low`` and the last ``high``."""
    return low + (high - low) * place / (VARIANTS - 1)


def noise(width: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Inputs that are independent standard normal numbers.

    Args:
        width: numbers of a step.
    """
    return lambda rng, length: rng.standard_normal((length, width))


def clock(_: np.random.Generator, length: int) -> np.ndarray:
    """Inputs that count the steps, for laws that depend on time."""
    return np.arange(length, dtype=float)


def rk4(field: Law) -> Law:
    """A law from a flow by the classical Runge-Kutta method with step ``dt`` of the numbers; inputs stay for a step.

    Args:
        field: time derivative of the state.
    """

    def law(s: Array, x: Any, p: Numbers) -> Array:
        dt = p["dt"]
        k1 = field(s, x, p)
        k2 = field(s + dt / 2 * k1, x, p)
        k3 = field(s + dt / 2 * k2, x, p)
        return s + dt / 6 * (k1 + 2 * k2 + 2 * k3 + field(s + dt * k3, x, p))

    return law


def euler(field: Law) -> Law:
    """A law from a flow by Euler's method; where ``noise`` is among the numbers, inputs are noise of that strength.

    Args:
        field: time derivative of the state.
    """

    def law(s: Array, x: Any, p: Numbers) -> Array:
        moved = s + p["dt"] * field(s, x, p)
        return moved + p["noise"] * jnp.sqrt(p["dt"]) * x if "noise" in p else moved

    return law


def _arrays(tree: Any) -> Any:
    if not jax.config.read("jax_enable_x64"):
        raise RuntimeError("jax_enable_x64: given False, expected double precision: `with jax.enable_x64(True)`.")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), tree)
