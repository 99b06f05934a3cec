"""Names of arguments and attributes in an earlier release, which work and warn for one more."""

import functools
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Answer = TypeVar("Answer")

NEW_ARGUMENTS: Mapping[str, str] = MappingProxyType({"blocks": "chunks", "trial": "trial_steps", "lanes": "chunks"})
"""Names of arguments now, by their names in an earlier release."""


def with_old_argument(old: str) -> Callable[[Callable[P, Answer]], Callable[P, Answer]]:
    """A decorator for a function that takes an argument under its old name too, with a ``DeprecationWarning``.

    Args:
        old: the old name; ``NEW_ARGUMENTS`` has the new one.
    """
    new = NEW_ARGUMENTS[old]

    def decorate(function: Callable[P, Answer]) -> Callable[P, Answer]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Answer:
            if old in kwargs:
                if new in kwargs:
                    raise TypeError(f"{old}: given together with {new}, expected {new} alone, its name now.")
                _warn(old, new, 3)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


def old_attribute(old: str, new: str) -> Any:
    """A property that has the value of another attribute, with a ``DeprecationWarning``.

    Args:
        old: its name in an earlier release.
        new: its name now.
    """

    def value(self: Any) -> Any:
        _warn(old, new, 3)
        return getattr(self, new)

    value.__doc__ = f"``{new}`` under its old name."
    return property(value)


def _warn(old: str, new: str, level: int) -> None:
    """Say that a name has changed, at the line of the caller's caller."""
    warnings.warn(f"{old} is called {new} now; the old name goes with the next release.", DeprecationWarning, level)
