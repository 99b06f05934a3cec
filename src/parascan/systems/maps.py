"""Two chaotic maps whose exponents are known, to test whatever estimates one."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..solution import State
from ._base import UNKNOWN, Fact, Facts, System, resolve_dtype, state_like


class LogisticStep(eqx.Module):
    """``x' = r x (1 - x)``."""

    r: Float[Array, ""]

    def __call__(self, state: State, x: None = None) -> State:
        """The next state; a map has no input."""
        return self.r * state * (1 - state)


class HenonStep(eqx.Module):
    """``x' = 1 - a x^2 + y``, ``y' = b x``."""

    a: Float[Array, ""]
    b: Float[Array, ""]

    def __call__(self, state: State, x: None = None) -> State:
        """The next state; a map has no input."""
        first, second = state
        return jnp.stack([1 - self.a * first**2 + second, self.b * first])


def logistic(*, r: float = 4.0, initial_state: Any = None, dtype: Any = None) -> System:
    """The logistic map, whose largest exponent at r = 4 is log 2 exactly.

    A one-dimensional map of [0, 1] into itself for r in [0, 4]. In float32 an orbit is periodic after a few thousand
    steps, so measure exponents in float64.

    Args:
        r: growth rate, dimensionless.
        initial_state: start [1], 0.51 when None.
        dtype: floating dtype, JAX's default when None.

    Returns:
        The autonomous system, with states [1].

    Raises:
        TypeError: ``dtype`` is not floating.
        ValueError: ``initial_state`` has another shape.

    Source:
        May (1976), equation 3; the exponent follows from the conjugacy with the tent map.

    Examples:
        >>> from parascan import systems
        >>> map = systems.logistic(initial_state=[0.5])
        >>> map.step(map.initial_state).tolist()
        [1.0]
    """
    kind = resolve_dtype(dtype)
    exponent = Fact(math.log(2.0), "closed form log 2 at r = 4, for almost every start (Ulam and von Neumann 1947)")
    known = Facts(exponent_per_step=exponent, jacobian_bound=Fact(4.0, "|r (1 - 2 x)| <= r on [0, 1]"))
    return System(
        step=LogisticStep(jnp.asarray(r, kind)),
        initial_state=state_like("initial_state", initial_state, [0.51], kind),
        drive=None,
        name="logistic",
        equations="x' = r x (1 - x)",
        source="May (1976), Nature 261, 459",
        units="state: share of the largest population; one step is a generation",
        facts=known if r == 4.0 else UNKNOWN,
    )


def henon(*, a: float = 1.4, b: float = 0.3, initial_state: Any = None, dtype: Any = None) -> System:
    """The Henon map, an invertible chaotic map of the plane with largest exponent 0.419.

    Its Jacobian has determinant -b everywhere, so that its two exponents sum to log b.

    Args:
        a: bending, dimensionless.
        b: contraction of areas, dimensionless.
        initial_state: start [2], a point on the attractor when None.
        dtype: floating dtype, JAX's default when None.

    Returns:
        The autonomous system, with states [2].

    Raises:
        TypeError: ``dtype`` is not floating.
        ValueError: ``initial_state`` has another shape.

    Source:
        Henon (1976), equation 4; exponent from Sprott (2003), Chaos and Time-Series Analysis, appendix A.

    Examples:
        >>> from parascan import systems
        >>> map = systems.henon(initial_state=[0.0, 0.0])
        >>> map.step(map.initial_state).tolist()
        [1.0, 0.0]
    """
    kind = resolve_dtype(dtype)
    known = Facts(
        exponent_per_step=Fact(0.419, "Sprott (2003), Chaos and Time-Series Analysis, appendix A"),
        remark="The two exponents sum to log b = log 0.3 exactly.",
    )
    return System(
        step=HenonStep(jnp.asarray(a, kind), jnp.asarray(b, kind)),
        initial_state=state_like("initial_state", initial_state, [1.21674097, 0.03536533], kind),
        drive=None,
        name="henon",
        equations="x' = 1 - a x^2 + y, y' = b x",
        source="Henon (1976), Commun. Math. Phys. 50, 69",
        units="state: dimensionless; one step is the unit of time",
        facts=known if (a, b) == (1.4, 0.3) else UNKNOWN,
    )
