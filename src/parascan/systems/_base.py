"""``System``: a step, an initial state, inputs, and known facts.

A system is data for the rest of the library: nothing here iterates. Every parameter that a user may want to vary is an
array leaf of ``step``, so that a step with other parameters uses the program compiled for the first one.
"""

import difflib
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..solution import State, StepFunction


@dataclass(frozen=True)
class Fact:
    """A number from elsewhere, and where it is from.

    Attributes:
        value: the number.
        source: author, year and place, with the conditions under which it holds.
    """

    value: float
    source: str


@dataclass(frozen=True)
class Facts:
    """What is known about a system with exactly these parameters; None where nothing is.

    Attributes:
        exponent_per_step: largest Lyapunov exponent of one step.
        exponent_per_time: largest Lyapunov exponent of a unit of time, the former divided by ``dt``.
        jacobian_bound: largest spectral norm of the step's Jacobian on the set that holds the orbits; below one, the
            step is a contraction.
        remark: what a reader of these numbers should know, empty when nothing.
    """

    exponent_per_step: Fact | None = None
    exponent_per_time: Fact | None = None
    jacobian_bound: Fact | None = None
    remark: str = ""


UNKNOWN = Facts()
"""The facts of a system about which nothing is known."""


class Drive(Protocol):
    """A function that produces the inputs of a driven system."""

    def __call__(self, length: int, key: PRNGKeyArray | None, dtype: np.dtype) -> Float[Array, "T M"]:
        """The first ``length`` inputs."""
        ...


class System(eqx.Module):
    """A recurrence ``s_t = step(s_{t-1}, x_t)`` ready to be rolled out, with its start, its inputs and its facts.

    ``step``, ``initial_state`` and ``drive`` are pytrees whose leaves are arrays; everything else is static text and
    numbers. Use ``equinox.tree_at`` to change a parameter: the step stays the same function to ``jax.jit``.

    Attributes:
        step: ``(state, x) -> state``; ``x`` is None for an autonomous system.
        initial_state: s_0, [D].
        drive: what produces the inputs, None for an autonomous system.
        name: name in the registry.
        equations: the recurrence or its vector field, one line.
        source: author, year and equation.
        units: units of the state and of a step.
        dt: length of a step in the system's unit of time, None for maps and networks; an exponent per step divided
            by it is an exponent per unit of time.
        facts: known numbers with their sources.

    Examples:
        >>> import jax
        >>> from parascan import systems
        >>> lorenz = systems.get("lorenz")
        >>> final, _ = jax.lax.scan(lambda s, x: (lorenz.step(s, x), None), lorenz.initial_state, None, length=10)
        >>> final.shape, lorenz.dt, lorenz.inputs(10)
        ((3,), 0.01, None)
    """

    step: StepFunction
    initial_state: State
    drive: Drive | None
    name: str = eqx.field(static=True)
    equations: str = eqx.field(static=True)
    source: str = eqx.field(static=True)
    units: str = eqx.field(static=True)
    dt: float | None = eqx.field(static=True, default=None)
    facts: Facts = eqx.field(static=True, default=UNKNOWN)

    @property
    def size(self) -> int:
        """D, the number of entries of a state."""
        return self.initial_state.size

    def inputs(
        self, length: int, *, key: PRNGKeyArray | None = None, dtype: Any = None
    ) -> Float[Array, "length M"] | None:
        """Inputs of the first ``length`` steps: row k drives the step that produces ``s_{k+1}``.

        Args:
            length: number of steps T.
            key: random key, needed by systems that are driven by noise.
            dtype: floating dtype of the inputs, the state's own when None.

        Returns:
            Inputs [T, M], or None for an autonomous system.

        Raises:
            TypeError: ``length`` is not an integer, or ``dtype`` is not floating.
            ValueError: ``length`` is negative, or the system is driven by noise and ``key`` is None.
        """
        steps = whole_number("length", length, least=0)
        if self.drive is None:
            return None
        return self.drive(steps, key, self.initial_state.dtype if dtype is None else resolve_dtype(dtype))


def resolve_dtype(dtype: Any) -> np.dtype:
    """The floating dtype that a builder was asked for, JAX's default floating dtype when None.

    Raises:
        TypeError: not a floating dtype.
        ValueError: a dtype that JAX would silently narrow as it is configured.
    """
    try:
        wanted = jnp.result_type(float) if dtype is None else jnp.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype: given {dtype!r}, expected a floating dtype.") from error
    if not jnp.issubdtype(wanted, jnp.floating):
        raise TypeError(f"dtype: given {wanted}, expected a floating dtype.")
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise ValueError(f"dtype: given {wanted} with 64-bit types disabled, expected float32 or a narrower dtype.")
    return wanted


def state_like(name: str, state: Any, default: Any, dtype: np.dtype) -> State:
    """The initial state as an array: the user's, which must have the shape of the default, or the default.

    Raises:
        ValueError: another shape than the default's.
    """
    wanted = jnp.asarray(default, dtype)
    if state is None:
        return wanted
    given = jnp.asarray(state, dtype)
    if given.shape != wanted.shape:
        raise ValueError(f"{name}: given shape {list(given.shape)}, expected {list(wanted.shape)}.")
    return given


def overridden(system: str, defaults: Mapping[str, Any], given: Mapping[str, Any], dtype: Any) -> dict[str, Array]:
    """The parameters of a system as arrays, the given ones in place of the defaults.

    Raises:
        TypeError: a name that is no parameter of the system.
        ValueError: a value of another shape than the default's.
    """
    for name in given:
        if name not in defaults:
            expected = f"expected one of {', '.join(sorted(defaults))}" if defaults else "it has no parameters"
            raise TypeError(f"{name}: given, but no parameter of {system}; {expected}.")
    return {name: state_like(name, given.get(name), default, dtype) for name, default in defaults.items()}


def positive(name: str, value: float) -> float:
    """The value as a positive finite Python float.

    Raises:
        ValueError: not positive, or not finite.
    """
    number = float(value)
    if not (number > 0.0 and math.isfinite(number)):
        raise ValueError(f"{name}: given {value!r}, expected a positive finite number.")
    return number


def whole_number(name: str, value: int, *, least: int) -> int:
    """The value as a Python integer no smaller than ``least``.

    Raises:
        TypeError: not an integer.
        ValueError: too small.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: given {value!r}, expected an integer.")
    number = operator.index(value)
    if number < least:
        raise ValueError(f"{name}: given {number}, expected {least} or more.")
    return number


def canonical(name: str) -> str:
    """A name without case and underscores, so that ``sprott_b`` and dysts' ``SprottB`` are one."""
    return name.replace("_", "").lower()


def unknown_name(name: str, known: Iterable[str], hint: str = "") -> ValueError:
    """The error about an unknown name, with the known names closest to it."""
    names = sorted(known)
    spelled = {canonical(each): each for each in names}
    close = [spelled[each] for each in difflib.get_close_matches(canonical(name), spelled, n=3)]
    expected = f"did you mean {', '.join(close)}?" if close else f"expected one of {', '.join(names)}."
    return ValueError(f"name: given {name!r}; {expected} {hint}".rstrip())
