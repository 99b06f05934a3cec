"""The flows of the dysts package, whose NumPy right-hand sides run here on JAX arrays.

dysts writes its right-hand sides against the module global ``np``. Each method of a flow is rebuilt from the same code
with ``jax.numpy`` under that name in a copy of its globals, on a subclass of the flow; dysts itself stays as it is.
"""

import functools
import importlib
import inspect
import types
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..solution import State
from ._base import canonical, unknown_name
from .data import FLOWS, FlowData


@dataclass(frozen=True)
class TracedRightHandSide:
    """``(state, parameters) -> rate of change`` by the rebuilt methods of a flow of dysts."""

    template: type

    def __call__(self, state: State, parameters: Mapping[str, Array]) -> State:
        """The rate of change; flows whose rates depend on dysts' time argument never come here."""
        model = object.__new__(self.template)
        vars(model).update(parameters, param_list=[parameters[name] for name in sorted(parameters)])
        return jnp.stack([jnp.asarray(rate) for rate in model.rhs(state, 0.0)])


def find(name: str) -> type | None:
    """The flow of dysts under a name in either spelling, None when dysts has none.

    Raises:
        ImportError: dysts is not installed.
    """
    return _classes(_module(name)).get(canonical(name))


def load(name: str) -> tuple[FlowData, TracedRightHandSide]:
    """A flow of dysts: its numbers, and its right-hand side for JAX.

    Raises:
        ImportError: dysts is not installed.
        ValueError: dysts has no such flow, it depends on time itself or on the past, or JAX cannot trace it.
    """
    module = _module(name)
    known = _classes(module)
    flow: Any = known.get(canonical(name))
    if flow is None:
        raise unknown_name(name, [*FLOWS, *(each.__name__ for each in known.values())])
    if issubclass(flow, module.DynSysDelay):
        raise ValueError(f"name: given {name!r}, a delay equation, expected an ordinary differential equation.")
    data, model = _data(flow), flow()
    start = np.asarray(data.initial_state)
    if not np.array_equal(model.rhs(start, 0.0), model.rhs(start, 1.0)):
        raise ValueError(f"name: given {name!r}, whose rates depend on time itself, expected an autonomous flow.")
    right_hand_side = TracedRightHandSide(_rebuilt(flow))
    parameters = {key: jnp.asarray(value, float) for key, value in data.parameters.items()}
    try:
        jax.eval_shape(right_hand_side, jnp.asarray(data.initial_state, float), parameters)
    except TypeError as error:
        problem = "whose right-hand side in dysts assigns in place or branches on the state"
        raise ValueError(f"name: given {name!r}, {problem}, expected one that JAX can trace.") from error
    return data, right_hand_side


def traceable() -> tuple[str, ...]:
    """Names of the flows of dysts that ``load`` gives, in the order of the alphabet.

    Raises:
        ImportError: dysts is not installed.
    """
    found = []
    for flow in _classes(_module("any")).values():
        try:
            load(flow.__name__)
        except ValueError:
            continue
        found.append(flow.__name__)
    return tuple(sorted(found))


def _module(name: str) -> Any:
    """``dysts.flows``, without its warning that numba is missing, which does not matter here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("dysts.flows")
    except ImportError as error:
        raise ImportError(
            f"name: given {name!r}, expected one of {', '.join(FLOWS)}; "
            "the other flows come from dysts: pip install '.[flows]' in a clone of parascan."
        ) from error


def _classes(module: Any) -> dict[str, type]:
    """The flows that a module of dysts defines, by canonical name."""
    defined = (each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__)
    return {canonical(each.__name__): each for each in defined}


def _data(flow: type) -> FlowData:
    """The numbers of a flow as dysts loads them."""
    model: Any = flow()
    exponent = getattr(model, "maximum_lyapunov_estimated", None)
    return FlowData(
        dysts_name=flow.__name__,
        equations=f"{flow.__name__} as dysts writes it",
        parameters={name: np.asarray(value) for name, value in model.params.items()},
        initial_state=tuple(float(each) for each in np.atleast_1d(model.ic)),
        source=f"{getattr(model, 'citation', 'no citation')}; dysts (Gilpin 2021)",
        remark=f"dysts integrates with steps of {model.dt:.2g} and estimates the flow's exponent as {exponent}.",
    )


@functools.cache
def _rebuilt(flow: type) -> type:
    """A subclass whose methods find ``jax.numpy`` under ``np``; one for each flow, so that jit recognizes it."""
    methods: dict[str, Any] = {}
    for base in reversed(flow.__mro__):
        if base.__module__ == flow.__module__:
            methods |= {name: _with_jax(each) for name, each in vars(base).items() if _is_method(each)}
    return type(flow.__name__, (flow,), methods)


def _is_method(attribute: Any) -> bool:
    """Whether an attribute of a class is one of its methods."""
    return isinstance(attribute, staticmethod | types.FunctionType)


def _with_jax(method: Any) -> Any:
    """The method on ``jax.numpy``; static methods may be nested, and may have been compiled by numba."""
    if isinstance(method, staticmethod):
        rebuilt = _with_jax(method.__func__)
        return rebuilt if isinstance(rebuilt, staticmethod) else staticmethod(rebuilt)
    code: Callable[..., Any] = getattr(method, "py_func", method)
    return types.FunctionType(
        code.__code__, {**code.__globals__, "np": jnp}, code.__name__, code.__defaults__, code.__closure__
    )
