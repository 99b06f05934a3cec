"""Names of solvers in an earlier release, which work and warn for one more."""

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from .chunked import Chunked
from .with_fallback import WithFallback

NEW_NAMES: Mapping[str, str] = MappingProxyType(
    {"Forgetting": "Chunked", "Blocks": "MultipleShooting", "Guarded": "WithFallback"}
)
"""Names of solvers now, by their names in an earlier release."""


class _Old(type):
    """A class under its old name: what it makes, and what counts as one, are of the new class."""

    new: Callable[..., Any]

    def __call__(cls, *args: Any, **options: Any) -> Any:
        return cls.new(*args, **options)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, type(cls.new()))


class Forgetting(metaclass=_Old):
    """``Chunked`` under its old name and with its old arguments."""

    @staticmethod
    def new(blocks: int | None = None, mesh: Any = None, trial: int | None = None) -> Chunked:
        """The solver."""
        return Chunked(blocks, mesh, trial)


OLD: Mapping[str, Any] = MappingProxyType({"Forgetting": Forgetting, "Guarded": WithFallback})
"""What old names stand for that warn; ``Blocks`` stays as a nickname."""


def __getattr__(name: str) -> Any:
    """What an old name stands for, with a warning.

    Args:
        name: that a module does not have.

    Raises:
        AttributeError: it is not an old name either.

    Warns:
        DeprecationWarning: it is one.
    """
    if name not in OLD:
        raise AttributeError(f"module 'parascan' has no attribute {name!r}")
    new = NEW_NAMES[name]
    warnings.warn(f"ps.{name} is called ps.{new} now; the old name goes with the next release.", DeprecationWarning, 3)
    return OLD[name]
