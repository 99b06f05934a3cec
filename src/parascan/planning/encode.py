"""Solvers as plain JSON values and back, by the names of their classes and arguments."""

import inspect
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from .. import solvers
from ..solvers import AbstractSolver
from ..solvers.deprecated import NEW_NAMES
from ..solvers.linearizations import AbstractLinearization
from ..solvers.old_arguments import NEW_ARGUMENTS

KINDS: Mapping[str, type] = {
    name: kind
    for name, kind in vars(solvers).items()
    if inspect.isclass(kind) and issubclass(kind, AbstractSolver | AbstractLinearization)
}
"""Classes that a plan may consist of."""


def encode_solver(solver: Any) -> Mapping[str, Any]:
    """A solver as a mapping of names to plain values, for JSON.

    Args:
        solver: one of the library's, without functions or devices in it.

    Raises:
        TypeError: it holds something that JSON has no form for, such as a mesh or a function.
    """
    name = type(solver).__name__
    if KINDS.get(name) is not type(solver):
        raise TypeError(f"solver: given {name}, expected one that the library comes with.")
    return {"kind": name} | {key: _encode(f"{name}.{key}", value) for key, value in vars(solver).items()}


def decode_solver(entry: Mapping[str, Any]) -> Any:
    """A solver from what ``encode_solver`` gives.

    Args:
        entry: its plain form.

    Raises:
        ValueError: an unknown kind of solver.
    """
    given = entry.get("kind", "")
    if given in NEW_NAMES:
        # A plan that an earlier release stored.
        entry = {NEW_ARGUMENTS.get(key, key): value for key, value in entry.items()}
    kind = KINDS.get(NEW_NAMES.get(given, given))
    if kind is None:
        raise ValueError(f"solver: given kind {entry.get('kind')!r}, expected one of {', '.join(sorted(KINDS))}.")
    return kind(**{key: _decode(value) for key, value in entry.items() if key != "kind"})


def _decode(value: Any) -> Any:
    """A value from its plain form."""
    if isinstance(value, Mapping):
        return decode_solver(value)
    return tuple(value) if isinstance(value, list) else value


def _encode(name: str, value: Any) -> Any:
    """A plain value."""
    if isinstance(value, AbstractSolver | AbstractLinearization):
        return encode_solver(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return [_encode(name, each) for each in value]
    if isinstance(value, np.ndarray | jnp.ndarray) and value.ndim == 0:
        return value.item()
    raise TypeError(f"{name}: given {type(value).__name__}, which has no form in JSON.")
