"""The systems by name."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ._base import System, canonical, unknown_name
from .chaotic_flows import flow, is_flow
from .data import FLOWS
from .langevin import two_well_langevin
from .maps import henon, logistic
from .observers import published_observer
from .rnn import tanh_rnn


@dataclass(frozen=True)
class Entry:
    """A registered system before it is built.

    Attributes:
        name: its name.
        family: what it belongs to: network, noise, map, flow or observer.
        build: function of its parameters that returns it.
    """

    name: str
    family: str
    build: Callable[..., System]

    @property
    def accepted(self) -> tuple[str, ...]:
        """Names of the parameters, ``**`` before those that are open."""
        return tuple(str(each).partition(":")[0] for each in self._signature.values())

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the parameters without a default."""
        keywords = (each for each in self._signature.values() if each.kind is each.KEYWORD_ONLY)
        return tuple(each.name for each in keywords if each.default is each.empty)

    @property
    def _signature(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of ``build``."""
        return inspect.signature(self.build).parameters


def _entries() -> Mapping[str, Entry]:
    """All registered systems by canonical name; nothing is built."""
    entries = [
        Entry("tanh_rnn", "network", tanh_rnn),
        Entry("two_well_langevin", "noise", two_well_langevin),
        Entry("henon", "map", henon),
        Entry("logistic", "map", logistic),
        *(Entry(name, "flow", functools.partial(flow, name)) for name in FLOWS),
        *(Entry(f"{name}_observer", "observer", functools.partial(published_observer, name)) for name in FLOWS),
    ]
    return MappingProxyType({canonical(each.name): each for each in entries})


_ENTRIES = _entries()


def names(family: str | None = None) -> tuple[str, ...]:
    """Names of the registered systems, for a listing or a loop over all of them.

    Args:
        family: network, noise, map, flow or observer, all when None.

    Returns:
        The names, family by family.

    Raises:
        ValueError: an unknown family.

    Examples:
        >>> from parascan import systems
        >>> systems.names("map")
        ('henon', 'logistic')
    """
    families = dict.fromkeys(each.family for each in _ENTRIES.values())
    if family is not None and family not in families:
        raise ValueError(f"family: given {family!r}, expected one of {', '.join(families)} or None.")
    return tuple(each.name for each in _ENTRIES.values() if family in (None, each.family))


def entry(name: str) -> Entry:
    """A registered system before it is built: its family, and the parameters that it requires.

    Args:
        name: a registered name, in either spelling of dysts.

    Returns:
        The entry.

    Raises:
        ValueError: an unknown name, with the closest ones.

    Examples:
        >>> from parascan import systems
        >>> systems.entry("tanh_rnn").required
        ('gain', 'key')
    """
    key = canonical(name)
    if key in _ENTRIES:
        return _ENTRIES[key]
    if is_flow(name):
        return Entry(name, "flow", functools.partial(flow, name))
    raise unknown_name(name, names(), "The other flows of dysts need pip install '.[flows]' in a clone of parascan.")


def get(name: str, **parameters: Any) -> System:
    """The system of a name, built with the given parameters.

    Besides the registered names, every flow of dysts is known where that package is installed.

    Args:
        name: a registered name, or the name of a flow in dysts.
        **parameters: parameters of the system's own function, such as ``dtype`` or ``dt``.

    Returns:
        The system.

    Raises:
        TypeError: a parameter is missing, or unknown to the system.
        ValueError: an unknown name, with the closest ones, or a wrong value.

    Examples:
        >>> from parascan import systems
        >>> systems.get("henon").initial_state.shape
        (2,)
    """
    found = entry(name)
    try:
        inspect.signature(found.build).bind(**parameters)
    except TypeError as error:
        given, accepted = ", ".join(parameters) or "none", ", ".join(found.accepted)
        raise TypeError(f"parameters: given {given}, expected {accepted}; {found.name}: {error}.") from error
    return found.build(**parameters)
