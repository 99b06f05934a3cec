"""Chaotic flows under forward Euler: the nine of table 1, and any other of dysts by name."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..solution import State
from . import _dysts
from . import nine_flows as table1
from ._base import UNKNOWN, Facts, System, canonical, overridden, positive, resolve_dtype, state_like
from .data import FLOWS, FlowData

RightHandSide: TypeAlias = Callable[[State, Mapping[str, Array]], State]
"""``(state, parameters) -> rate of change``."""


class VectorField(eqx.Module):
    """``F(s)``: a right-hand side together with its parameters."""

    right_hand_side: RightHandSide = eqx.field(static=True)
    parameters: dict[str, Array]

    def __call__(self, state: State) -> State:
        """The rate of change at a state."""
        return self.right_hand_side(state, self.parameters)


class EulerStep(eqx.Module):
    """``s' = s + dt F(s)``."""

    field: VectorField
    dt: Float[Array, ""]

    def __call__(self, state: State, x: None = None) -> State:
        """The next state; a flow has no input."""
        return state + self.dt * self.field(state)


def flow(
    name: str, *, dt: float = table1.DT, dtype: Any = None, initial_state: Any = None, **parameters: Any
) -> System:
    """A chaotic flow as a map: one step of forward Euler.

    The nine flows of table 1 come with parascan; every other flow of dysts (names in its spelling or in snake case) is
    taken from there, with dysts' parameters and initial conditions. Forward Euler is what the paper uses, and it is no
    accurate integrator: exponents are those of the discretized flow, and a flow with fast time scales needs a smaller
    ``dt`` or leaves the range of the dtype.

    Args:
        name: name of the flow, such as ``"lorenz"`` or ``"SprottB"``.
        dt: step, in the flow's unit of time.
        dtype: floating dtype of states and parameters, JAX's default when None.
        initial_state: start [D], that of the data when None.
        **parameters: values in place of the flow's own, dimensionless.

    Returns:
        The autonomous system, with states [D].

    Raises:
        ImportError: not one of the nine, and dysts is not installed.
        TypeError: a parameter that the flow does not have, or ``dtype`` is not floating.
        ValueError: an unknown name, a flow that JAX cannot trace, ``dt`` not positive, or a wrong shape.

    Source:
        Gonzalez et al. (2025), appendices J.5 and K; Gilpin (2021) for the flows, see ``systems.data``.

    Examples:
        >>> from parascan import systems
        >>> lorenz = systems.flow("lorenz", rho=20.0)
        >>> lorenz.step(lorenz.initial_state).shape
        (3,)
    """
    kind, step = resolve_dtype(dtype), positive("dt", dt)
    built_in = _built_in(name)
    data, right_hand_side = (FLOWS[built_in], _RIGHT_HAND_SIDES[built_in]) if built_in else _dysts.load(name)
    values = overridden(name, data.parameters, parameters, kind)
    unchanged = step == table1.DT and not parameters and initial_state is None
    return System(
        step=EulerStep(VectorField(right_hand_side, values), jnp.asarray(step, kind)),
        initial_state=state_like("initial_state", initial_state, data.initial_state, kind),
        drive=None,
        name=built_in or data.dysts_name,
        equations=data.equations,
        source=data.source,
        units="state and time: dimensionless; one step is dt",
        dt=step,
        facts=_facts(built_in, data) if unchanged else UNKNOWN,
    )


def flow_names() -> tuple[str, ...]:
    """Names of all flows that ``flow`` can build here: the nine, and those of dysts where it is installed.

    Delay equations, flows that depend on time itself and flows that JAX cannot trace are left out.

    Examples:
        >>> from parascan import systems
        >>> systems.flow_names()[:3]
        ('abc', 'chua', 'kawczynski_strizhak')
    """
    try:
        others = _dysts.traceable()
    except ImportError:
        others = ()
    return (*FLOWS, *(name for name in others if _built_in(name) is None))


def is_flow(name: str) -> bool:
    """Whether ``flow`` knows the name: one of the nine, or one of dysts' where it is installed."""
    if _built_in(name):
        return True
    try:
        return _dysts.find(name) is not None
    except ImportError:
        return False


def _built_in(name: str) -> str | None:
    """The name here of one of the nine flows, whatever its spelling."""
    for own, data in FLOWS.items():
        if canonical(name) in (canonical(own), canonical(data.dysts_name)):
            return own
    return None


def _facts(built_in: str | None, data: FlowData) -> Facts:
    """What is known about a flow with the parameters, the start and the step of its data."""
    exponent = table1.ROWS[built_in].flow.fact if built_in else None
    return Facts(exponent_per_time=exponent, remark=data.remark)


# Operations are in the order of the published runs: on a chaotic orbit other roundings are another orbit, and a mean
# along 300 units of time another number (0.61 in place of 0.58 for Vallis, with two sums reordered).
def _abc(state: State, p: Mapping[str, Array]) -> State:
    """Arnold, Beltrami and Childress."""
    x, y, z = state
    return jnp.stack(
        [
            p["a"] * jnp.sin(z) + p["c"] * jnp.cos(y),
            p["b"] * jnp.sin(x) + p["a"] * jnp.cos(z),
            p["c"] * jnp.sin(y) + p["b"] * jnp.cos(x),
        ]
    )


def _chua(state: State, p: Mapping[str, Array]) -> State:
    """Chua's circuit: the diode is piecewise linear with slope m0 inside |x| < 1 and m1 outside."""
    x, y, z = state
    diode = p["m1"] * x + 0.5 * (p["m0"] - p["m1"]) * (jnp.abs(x + 1) - jnp.abs(x - 1))
    return jnp.stack([p["alpha"] * (y - x - diode), x - y + z, -p["beta"] * y])


def _kawczynski_strizhak(state: State, p: Mapping[str, Array]) -> State:
    """Kawczynski and Strizhak."""
    x, y, z = state
    return jnp.stack(
        [
            p["gamma"] * y - p["gamma"] * x**3 + 3 * p["mu"] * p["gamma"] * x,
            -2 * p["mu"] * x - y - z + p["beta"],
            p["kappa"] * (x - z),
        ]
    )


def _lorenz(state: State, p: Mapping[str, Array]) -> State:
    """Lorenz."""
    x, y, z = state
    return jnp.stack([p["sigma"] * (y - x), p["rho"] * x - x * z - y, x * y - p["beta"] * z])


def _nose_hoover(state: State, p: Mapping[str, Array]) -> State:
    """Nose and Hoover."""
    x, y, z = state
    return jnp.stack([y, -x + y * z, p["a"] - y**2])


def _rossler(state: State, p: Mapping[str, Array]) -> State:
    """Rossler."""
    x, y, z = state
    return jnp.stack([-y - z, x + p["a"] * y, p["b"] + z * (x - p["c"])])


def _sprott_b(state: State, p: Mapping[str, Array]) -> State:
    """Sprott's case B, which has no parameter."""
    x, y, z = state
    return jnp.stack([y * z, x - y, 1 - x * y])


def _thomas(state: State, p: Mapping[str, Array]) -> State:
    """Thomas, symmetric under a cyclic shift of the coordinates."""
    return -p["a"] * state + p["b"] * jnp.sin(jnp.roll(state, -1))


def _vallis_el_nino(state: State, p: Mapping[str, Array]) -> State:
    """Vallis."""
    x, y, z = state
    return jnp.stack([p["b"] * y - p["c"] * (x + p["p"]), -y + x * z, -z - x * y + 1])


_RIGHT_HAND_SIDES: Mapping[str, RightHandSide] = {
    "abc": _abc,
    "chua": _chua,
    "kawczynski_strizhak": _kawczynski_strizhak,
    "lorenz": _lorenz,
    "nose_hoover": _nose_hoover,
    "rossler": _rossler,
    "sprott_b": _sprott_b,
    "thomas": _thomas,
    "vallis_el_nino": _vallis_el_nino,
}
