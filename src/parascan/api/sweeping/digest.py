"""Names for points and functions that are the same in every process, by which a state file knows them again."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .parameter_store import array_bytes


def digest_of_point(point: Any, place: str) -> str:
    """A name for a point.

    Args:
        point: numbers, words, arrays, keys, and tuples, lists, mappings and dataclasses of them.
        place: of the point in the caller's arguments, for the error.

    Raises:
        TypeError: the point holds something else.
    """
    found = _Digest()
    found.take(point, place)
    return found.hash.hexdigest()


def name_of(function: Callable[..., Any]) -> str:
    """Module and name of a function, and a digest of its code and of what it holds.

    Functions that it calls by their names are not looked into.

    Args:
        function: any callable.

    Raises:
        TypeError: it holds, as by closing over it, what is neither a function, a class, a module nor a possible point.
    """
    found = _Digest(functions=True)
    found.take(function, "function")
    while isinstance(function, functools.partial):
        function = function.func
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__} {found.hash.hexdigest()}"


class _Digest:
    """Takes in parts of a point or a function, each with its kind and its size, so that no two have the same bytes.

    Args:
        functions: whether functions, classes, modules and objects of any kind may be among the parts.
    """

    def __init__(self, *, functions: bool = False) -> None:
        self.hash = hashlib.blake2b(digest_size=16)
        self._functions = functions
        self._seen: set[int] = set()

    def take(self, part: Any, place: str) -> None:
        """Take in a part.

        Args:
            part: of any kind.
            place: where it stands, for the error.

        Raises:
            TypeError: it is of a kind that cannot be known again.
        """
        if isinstance(part, np.generic) and part.dtype.name in ("bool", "int64", "float64", "complex128"):
            part = part.item()
        kind = f"{type(part).__module__}.{type(part).__qualname__}"
        if isinstance(part, np.generic) and part.dtype.kind in "iufc":
            part = part.item()
        if part is None or isinstance(part, bool | int | float | complex | str | bytes | Path | Enum):
            self._add(f"{kind} {part!r}")
        elif isinstance(part, np.ndarray | jax.Array) and part.dtype != object:
            is_key = jnp.issubdtype(part.dtype, jax.dtypes.prng_key)
            self._add(f"array {part.dtype if is_key else ''}")
            self.hash.update(array_bytes(part))
        elif isinstance(part, Mapping):
            self._add(f"mapping {len(part)}")
            for name in sorted(part, key=repr):
                self.take(name, place)
                self.take(part[name], f"{place}[{name!r}]")
        elif isinstance(part, tuple | list):
            self._add(f"{kind} {len(part)}")
            for index, each in enumerate(part):
                self.take(each, f"{place}[{index}]")
        elif self._functions and (isinstance(part, ModuleType | type) or callable(part)):
            self._take_callable(part, place)
        elif is_dataclass(part) and not isinstance(part, type):
            self._add(kind)
            self._take_fields(part, place)
        else:
            raise TypeError(
                f"{place}: given {type(part).__name__}, by which no state file can know a point again, expected "
                "numbers, words, arrays, and tuples, lists, mappings and dataclasses of them."
            )

    def _take_callable(self, part: Any, place: str) -> None:
        """Take in what a function does, as far as it holds that itself; a module or class by its name."""
        part = part if isinstance(part, type | functools.partial) else inspect.unwrap(part)
        if id(part) in self._seen:
            return
        self._seen.add(id(part))
        if isinstance(part, functools.partial):
            self.take((part.func, part.args, dict(part.keywords)), place)
        elif inspect.ismethod(part):
            self.take((part.__func__, part.__self__), place)
        elif inspect.isfunction(part):
            self._add(f"{part.__module__}.{part.__qualname__}")
            self._take_code(part.__code__)
            held = {
                name: _content(cell)
                for name, cell in zip(part.__code__.co_freevars, part.__closure__ or (), strict=True)
            }
            self.take((held, part.__defaults__, part.__kwdefaults__), f"{place}: what it holds")
        elif isinstance(part, ModuleType | type) or hasattr(part, "__qualname__"):
            self._add(f"{getattr(part, '__module__', '')}.{getattr(part, '__qualname__', part.__name__)}")
        else:
            self.take(type(part).__call__, place)
            self._take_fields(part, place)

    def _take_fields(self, part: Any, place: str) -> None:
        """Take in what an object holds."""
        names = [each.name for each in fields(part)] if is_dataclass(part) else sorted(getattr(part, "__dict__", ()))
        for name in names:
            self.take(getattr(part, name), f"{place}.{name}")

    def _take_code(self, code: CodeType) -> None:
        """Take in what a function was compiled to, and the functions inside it."""
        self.hash.update(code.co_code)
        self._add(" ".join((*code.co_names, *code.co_freevars)))
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._take_code(constant)
            else:
                # Sets come in another order in every process.
                self._add(repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant))

    def _add(self, words: str) -> None:
        """Take in some words."""
        self.hash.update(f"{words};".encode())


def _content(cell: Any) -> Any:
    """What a function closes over, None where that has no value yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
