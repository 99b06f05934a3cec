"""Compile once for a step, however often and in whatever form the step comes back.

A step that is a tree of arrays (an equinox module, a method of one, a partial) is an argument of the compiled
program, so other weights of the same shapes need no new one. A plain function is known by its identity, as in
``jax.lax.scan``; its programs live as long as it does. A method of a plain object is known by the object and by the
identity of everything the object holds, so that replacing an attribute is noticed.
"""

import functools
import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import equinox as eqx
import jax

from ._hoist import hoist

Evaluate = Callable[..., Any]


class ProgramCache:
    """Compiled forms of one function whose first argument is a step."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._shared = eqx.filter_jit(evaluate)
        self._traced = eqx.filter_jit(_call)
        self._of_owner: weakref.WeakKeyDictionary[Any, dict[Any, _Programs]] = weakref.WeakKeyDictionary()

    def __call__(self, step: Any, *args: Any) -> Any:
        """The function's value, traced and compiled at most once for each kind of argument."""
        step = as_tree(step)
        if _is_tree_of_arrays(step):
            return self._shared(step, *args)
        owner, function, held = _identity(step)
        try:
            of_function = self._of_owner.setdefault(owner, {})
        except TypeError:
            return self._shared(step, *args)
        known = of_function.get(function)
        if known is None or not _same_objects(known.held, held):
            known = of_function[function] = _Programs(held, {})
        kind = _kind(args)
        program = known.traced.get(kind)
        if program is None:
            program = known.traced[kind] = self._trace(step, args)
        return self._traced(program, *args)

    def _trace(self, step: Any, args: tuple[Any, ...]) -> Evaluate:
        """The function's program, with the arrays that the step closes over as leaves.

        Compiled into the program as constants they would be stored twice, and folded at length by the compiler.
        """
        evaluate = self._evaluate
        return hoist(lambda *args: evaluate(step, *args), *args)


class _Programs(NamedTuple):
    """What has been traced for one function, and what its object held at that time.

    The held objects are kept, not their addresses: an address is used again as soon as its object is gone.
    """

    held: list[Any]
    traced: dict[Hashable, Evaluate]


def _call(program: Evaluate, *args: Any) -> Any:
    """The value of a program that is itself an argument."""
    return program(*args)


def _kind(args: tuple[Any, ...]) -> Hashable:
    """All that tracing can see of arguments: structure, shapes, dtypes, weak types, and values that are no arrays."""
    leaves, treedef = jax.tree.flatten(args)
    return treedef, tuple(jax.typeof(leaf) if isinstance(leaf, jax.Array) else leaf for leaf in leaves)


def as_tree(step: Any) -> Any:
    """The step with the arrays it carries made visible as leaves, where its type allows that."""
    if isinstance(step, functools.partial):
        return eqx.Partial(as_tree(step.func), *step.args, **step.keywords)
    return step


def _is_tree_of_arrays(step: Any) -> bool:
    """Whether the step is a container that JAX can look into rather than a leaf."""
    return not jax.tree_util.all_leaves([step])


def _identity(step: Any) -> tuple[Any, Any, list[Any]]:
    """The object whose life bounds the compiled programs, the function, and what its object held when compiled."""
    if not isinstance(step, types.MethodType):
        return step, None, []
    return step.__self__, step.__func__, jax.tree.leaves(getattr(step.__self__, "__dict__", {}))


def _same_objects(first: list[Any], second: list[Any]) -> bool:
    """Whether two lists hold the very same objects."""
    return len(first) == len(second) and all(one is other for one, other in zip(first, second, strict=True))
