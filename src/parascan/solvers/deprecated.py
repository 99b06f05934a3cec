"""Names of solvers in an earlier release, which work and warn for one more."""

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from .chunked import Chunked
from .multiple_shooting import MultipleShooting
from .with_fallback import WithFallback

NEW_NAMES: Mapping[str, str] = MappingProxyType(
    {"Forgetting": "Chunked", "Blocks": "MultipleShooting", "Guarded": "WithFallback"}
)
"""Names of solvers now, by their names in an earlier release."""


class _Old(type):
    """A class under its old name: it makes instances of the new class, and these count as its own."""

    new: Callable[..., Any]

    def __call__(cls, *args: Any, **options: Any) -> Any:
        return cls.new(*args, **options)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, type(cls.new()))


class Forgetting(metaclass=_Old):
    """``Chunked`` under its old name and with its old arguments."""

    @staticmethod
    def new(blocks: int | None = None, mesh: Any = None, trial: int | None = None) -> Chunked:
        """The solver, of the new class."""
        return Chunked(blocks, mesh, trial)


OLD: Mapping[str, Any] = MappingProxyType(
    {"Forgetting": Forgetting, "Blocks": MultipleShooting, "Guarded": WithFallback}
)
"""What the old names stand for."""


def __getattr__(name: str) -> Any:
    """What an old name of ``parascan`` stands for, with a warning.

    Args:
        name: of an attribute that the module does not have.

    Raises:
        AttributeError: the name is not an old one either.

    Warns:
        DeprecationWarning: the name is an old one.
    """
    if name not in OLD:
        raise AttributeError(f"module 'parascan' has no attribute {name!r}")
    new = NEW_NAMES[name]
    warnings.warn(f"ps.{name} is called ps.{new} now; the old name goes with the next release.", DeprecationWarning, 3)
    return OLD[name]
