"""Closures as trees of what they close over, so that a function defined anew with other arrays uses the same program.

A function that is defined inside of another one is a new object at every call of that one, although its code is the
same; only its cells differ. Split into the code, which is recognized by the first function that has it, and the cells,
which become leaves, such functions differ by their arrays alone.
"""

import types
from typing import Any

import equinox as eqx
import jax

from ..solution import Tree


class Rebound(eqx.Module):
    """A function by its code and what it closes over; callable as the function is.

    Attributes:
        first: the first function that had the code; only its code is used.
        cells: contents of the cells of the function that this object stands for, with functions in this form too.
    """

    first: Any = eqx.field(static=True)
    cells: tuple[Tree, ...]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        return self.function()(*args, **kwargs)

    def function(self) -> types.FunctionType:
        """The function itself, with what is in the cells now."""
        known = self.first
        cells = tuple(types.CellType(_functions(each)) for each in self.cells)
        made = types.FunctionType(known.__code__, known.__globals__, known.__name__, known.__defaults__, cells)
        made.__kwdefaults__ = known.__kwdefaults__
        return made


class Rebinder:
    """Functions of the same code as one function with other cells, for as long as this object lives."""

    def __init__(self) -> None:
        self._first: dict[Any, list[types.FunctionType]] = {}

    def __call__(self, step: Any) -> Any:
        """A step as a tree whose leaves are what it closes over; unchanged if it is no plain closure.

        Args:
            step: anything that can be called.
        """
        try:
            return self._function(step, ()) if isinstance(step, types.FunctionType) else step
        except (TypeError, ValueError):
            # A cell holds something that JAX cannot take apart, such as a dictionary whose keys have no order.
            return step

    def __reduce__(self) -> tuple[type["Rebinder"], tuple[()]]:
        return Rebinder, ()

    def _function(self, function: types.FunctionType, around: tuple[types.FunctionType, ...]) -> Any:
        """One function; those around it, which it may close over itself, are left alone."""
        if function.__dict__ or function in around:
            return function
        if not function.__closure__:
            return self._known(function)
        try:
            contents = [cell.cell_contents for cell in function.__closure__]
        except ValueError:
            return function
        around = (*around, function)
        cells = tuple(jax.tree.map(lambda leaf: self._leaf(leaf, around), each) for each in contents)
        return Rebound(self._known(function), cells)

    def _leaf(self, leaf: Any, around: tuple[types.FunctionType, ...]) -> Any:
        """A leaf of a cell's content."""
        return self._function(leaf, around) if isinstance(leaf, types.FunctionType) else leaf

    def _known(self, function: types.FunctionType) -> types.FunctionType:
        """The first function with this code, these globals and defaults that are the very same or equal constants."""
        seen = self._first.setdefault((function.__code__, id(function.__globals__)), [])
        defaults = function.__defaults__, function.__kwdefaults__
        for each in seen:
            if _same((each.__defaults__, each.__kwdefaults__), defaults):
                return each
        seen.append(function)
        return function


def _same(one: Any, other: Any) -> bool:
    """Whether defaults are the same; arrays only where they are one object."""
    if isinstance(one, tuple | dict) and type(one) is type(other) and len(one) == len(other):
        pairs = zip(one.items(), other.items(), strict=True) if isinstance(one, dict) else zip(one, other, strict=True)
        return all(_same(*pair) for pair in pairs)
    plain = isinstance(one, int | float | complex | str | bytes | None)
    return one is other or (plain and type(one) is type(other) and repr(one) == repr(other))


def _functions(tree: Tree) -> Tree:
    """The content of a cell, with functions in place of their trees."""
    return jax.tree.map(
        lambda leaf: leaf.function() if isinstance(leaf, Rebound) else leaf,
        tree,
        is_leaf=lambda leaf: isinstance(leaf, Rebound),
    )
