"""The backends by name, with the structures that each supports."""

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ...solution import Trajectory
from .._abstract import AbstractComposableTransition, AbstractTransition
from ..scaled import ScaledTransition
from . import associative_scan, blocked_scan, chunks_scan, sequential_scan


class Backend(NamedTuple):
    """One way to evaluate linear recurrences."""

    run: Callable[..., Trajectory]
    supports: type[AbstractTransition]


def _overflow_safe(run: Callable[..., Trajectory]) -> Callable[..., Trajectory]:
    """A backend that forms products of many matrices, made to keep each as a matrix times a power of two."""

    def scaled(transition: AbstractComposableTransition, b: Trajectory, *, transpose: bool) -> Trajectory:
        return run(ScaledTransition.of(transition), b, transpose=transpose)

    return scaled


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        "sequential": Backend(sequential_scan.run, AbstractTransition),
        "associative": Backend(_overflow_safe(associative_scan.run), AbstractComposableTransition),
        "chunked": Backend(_overflow_safe(blocked_scan.run), AbstractComposableTransition),
        "contracting": Backend(chunks_scan.run, AbstractTransition),
    }
)


OLD_BACKENDS: Mapping[str, str] = MappingProxyType({"lanes": "contracting"})
"""Names of backends now, by their names in an earlier release, which work for one more."""


def backend_called(name: str) -> str:
    """The name of a backend now, with a ``DeprecationWarning`` where it is given by its old one.

    Args:
        name: of a backend, or ``"auto"``.
    """
    new = OLD_BACKENDS.get(name, name)
    if new != name:
        text = f'backend "{name}" is called "{new}" now; the old name goes with the next release.'
        warnings.warn(text, DeprecationWarning, 3)
    return new


def find_backend(name: str, transition: AbstractTransition) -> Backend:
    """The backend of that name, if it can handle the transition.

    Raises:
        ValueError: no backend has the name, or the one that has it does not support the structure.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend: given {name!r}, expected 'auto' or one of {', '.join(map(repr, BACKENDS))}.")
    if not isinstance(transition, BACKENDS[name].supports):
        able = [other for other, backend in BACKENDS.items() if isinstance(transition, backend.supports)]
        raise ValueError(
            f"backend: given {name!r}, which multiplies matrices with each other and so cannot handle a "
            f"{type(transition).__name__}, expected 'auto' or {' or '.join(map(repr, able))}, or a transition that "
            "stores its matrices."
        )
    return BACKENDS[name]
