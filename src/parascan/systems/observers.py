"""Observers: copies of a flow that synchronize with it from measurements, predictable where the flow is not."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..solution import State
from . import nine_flows as table1
from ._base import UNKNOWN, Facts, System, canonical, state_like, unknown_name, whole_number
from .chaotic_flows import EulerStep, VectorField, flow


class ObserverStep(eqx.Module):
    """``z' = w + dt (F(w) + K C (x - w))``, w being z with its measured coordinates replaced by those of x."""

    field: VectorField
    dt: Float[Array, ""]
    measurement: Float[Array, "M D"] | None
    gain: Float[Array, "D M"] | None
    substituted: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, state: State, x: State) -> State:
        """The next state of the observer from the flow's state before the same step."""
        # A choice by a mask: XLA takes ten times as long to set entries by their numbers, as a scatter, on a CPU.
        measured = np.isin(np.arange(state.size), self.substituted)
        state = jnp.where(measured, x, state)
        rate = self.field(state)
        if self.measurement is not None and self.gain is not None:
            innovation = jnp.matmul(self.measurement, x - state, precision="highest")
            rate = rate + jnp.matmul(self.gain, innovation, precision="highest")
        return state + self.dt * rate


class TrueTrajectory(eqx.Module):
    """Inputs of an observer: the flow's state before each step, so that row 0 is the flow's start."""

    step: EulerStep
    initial_state: State

    def __call__(self, length: int, key: PRNGKeyArray | None, dtype: np.dtype) -> Float[Array, "T D"]:
        """The first ``length`` states of the flow, the start included; nothing is drawn."""
        _, states = jax.lax.scan(lambda s, _: (self.step(s), s), self.initial_state, None, length=length)
        return states.astype(dtype)


def observer(
    flow_system: System,
    *,
    substituted: Sequence[int] = (),
    measurement: Any = None,
    gain: Any = None,
    initial_state: Any = None,
    key: PRNGKeyArray | None = None,
) -> System:
    """An observer of a flow, which forgets its own start and follows the flow from measurements of it.

    There are two ways, alone or together: *substitution* replaces coordinates of the observer by the measured ones,
    *feedback* adds ``K C (x - z)`` to its rate of change. Neither guarantees that the observer synchronizes: its
    largest exponent has to be negative, which also makes it fast to evaluate in parallel. Its inputs are the flow's
    true states, by one sequential scan; its step costs the flow's plus 2 M D multiplications.

    Args:
        flow_system: the flow, as ``systems.flow`` builds it; ``dt``, dtype and parameters are taken from it.
        substituted: indices of the coordinates that are measured and replaced.
        measurement: C [M, D], None for no feedback.
        gain: K [D, M] in reciprocal units of time, the transpose of ``measurement`` when None.
        initial_state: start of the observer [D].
        key: random key to start at the flow's start plus a standard normal; give this or ``initial_state``.

    Returns:
        The system, with states [D] and inputs [T, D].

    Raises:
        TypeError: ``flow_system`` is no flow, or ``substituted`` holds no integers.
        ValueError: nothing is measured, an index is out of range or repeated, shapes disagree, ``gain`` comes without
            ``measurement``, or not exactly one of ``initial_state`` and ``key`` is given.

    Source:
        Pecora and Carroll (1990) for substitution; Zemouche and Boutayeb (2006) for feedback; combined as in Gonzalez
        et al. (2025), appendix J.5.

    Examples:
        >>> import jax
        >>> from parascan import systems
        >>> lorenz = systems.flow("lorenz")
        >>> follower = systems.observer(lorenz, substituted=(1,), key=jax.random.key(0))
        >>> follower.step(follower.initial_state, follower.inputs(1)[0]).shape
        (3,)
    """
    if not isinstance(flow_system, System) or not isinstance(flow_system.step, EulerStep):
        raise TypeError(f"flow_system: given {type(flow_system).__name__}, expected a flow from systems.flow.")
    start, step = flow_system.initial_state, flow_system.step
    measured = _checked_indices(substituted, flow_system.size)
    C, K = _checked_feedback(measurement, gain, start)
    if C is None and not measured:
        raise ValueError("substituted, measurement: given neither, expected at least one of them.")
    if (initial_state is None) == (key is None):
        given = "neither" if key is None else "both"
        raise ValueError(f"initial_state, key: given {given}, expected exactly one of them.")
    if key is not None:
        initial_state = start + jax.random.normal(key, start.shape, start.dtype)
    return System(
        step=ObserverStep(step.field, step.dt, C, K, measured),
        initial_state=state_like("initial_state", initial_state, start, start.dtype),
        drive=TrueTrajectory(step, start),
        name=f"{flow_system.name}_observer",
        equations=_equations(flow_system.equations, measured, feedback=C is not None),
        source=f"Pecora and Carroll (1990); Zemouche and Boutayeb (2006); {flow_system.source}",
        units=flow_system.units,
        dt=flow_system.dt,
    )


def published_observer(name: str, *, dt: float = table1.DT, dtype: Any = None, **parameters: Any) -> System:
    """The observer of one of the nine flows with which table 1 of the paper was computed.

    Substituted coordinates, measurement and start are the published ones, see ``systems.table1``.

    Args:
        name: name of the flow, such as ``"lorenz"``.
        dt: step, in the flow's unit of time.
        dtype: floating dtype of states and parameters, JAX's default when None.
        **parameters: values in place of the flow's own, dimensionless.

    Returns:
        The system, with states [3] and inputs [T, 3].

    Raises:
        TypeError: a parameter that the flow does not have, or ``dtype`` is not floating.
        ValueError: not one of the nine, or ``dt`` not positive.

    Source:
        Gonzalez et al. (2025), appendix J.5, with the numbers of its published code.

    Examples:
        >>> from parascan import systems
        >>> systems.published_observer("rossler").facts.exponent_per_time.value
        -0.07
    """
    rows = {canonical(each): each for each in table1.ROWS}
    if canonical(name) not in rows:
        raise unknown_name(name, table1.ROWS)
    row = table1.ROWS[rows[canonical(name)]]
    truth = flow(name, dt=dt, dtype=dtype, **parameters)
    start = truth.initial_state + jnp.asarray(row.offset, truth.initial_state.dtype)
    system = observer(truth, substituted=row.substituted, measurement=table1.MEASUREMENT, initial_state=start)
    known = UNKNOWN if truth.facts == UNKNOWN else Facts(exponent_per_time=row.observer.fact)
    return dataclasses.replace(system, facts=known)


def _checked_indices(substituted: Sequence[int], size: int) -> tuple[int, ...]:
    """The substituted coordinates as distinct Python integers below ``size``."""
    indices = tuple(whole_number("substituted", each, least=0) for each in substituted)
    if len(set(indices)) < len(indices) or any(each >= size for each in indices):
        raise ValueError(f"substituted: given {indices}, expected distinct indices below {size}.")
    return indices


def _checked_feedback(measurement: Any, gain: Any, start: State) -> tuple[Array | None, Array | None]:
    """C and K as arrays of the state's dtype, K the transpose of C unless given."""
    if measurement is None:
        if gain is not None:
            raise ValueError("gain: given without measurement, expected both or neither.")
        return None, None
    C = jnp.asarray(measurement, start.dtype)
    if C.ndim != 2 or C.shape[1] != start.size:
        raise ValueError(f"measurement: given shape {list(C.shape)}, expected [M, {start.size}].")
    return C, state_like("gain", gain, C.T, start.dtype)


def _equations(flow_equations: str, substituted: tuple[int, ...], *, feedback: bool) -> str:
    """One line: what is replaced, what is fed back, and the flow's own equations."""
    replaced = f"w = z with coordinates {list(substituted)} of x" if substituted else "w = z"
    rate = "F(w) + K C (x - w)" if feedback else "F(w)"
    return f"z' = w + dt ({rate}), {replaced}; F: {flow_equations}"
