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
from typing import Any

import equinox as eqx
import jax

Evaluate = Callable[..., Any]


class ProgramCache:
    """Compiled forms of one function whose first argument is a step."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._shared = eqx.filter_jit(evaluate)
        self._of_owner: weakref.WeakKeyDictionary[Any, dict[Any, tuple[Hashable, Evaluate]]]
        self._of_owner = weakref.WeakKeyDictionary()

    def __call__(self, step: Any, *args: Any) -> Any:
        """The function's value, compiled at most once for each kind of argument."""
        step = as_tree(step)
        if _is_tree_of_arrays(step):
            return self._shared(step, *args)
        owner, function, held = _identity(step)
        try:
            programs = self._of_owner.setdefault(owner, {})
        except TypeError:
            return self._shared(step, *args)
        known, program = programs.get(function, (None, None))
        if program is None or known != held:
            program = self._compile(step)
            programs[function] = held, program
        return program(*args)

    def _compile(self, step: Any) -> Evaluate:
        evaluate, alive = self._evaluate, _weak(step)
        return eqx.filter_jit(lambda *args: evaluate(alive(), *args))


def as_tree(step: Any) -> Any:
    """The step with the arrays it carries made visible as leaves, where its type allows that."""
    if isinstance(step, functools.partial):
        return eqx.Partial(as_tree(step.func), *step.args, **step.keywords)
    return step


def _is_tree_of_arrays(step: Any) -> bool:
    """Whether the step is a container that JAX can look into rather than a leaf."""
    return not jax.tree_util.all_leaves([step])


def _identity(step: Any) -> tuple[Any, Any, Hashable]:
    """The object whose life bounds the compiled programs, the function, and what its object held when compiled."""
    if not isinstance(step, types.MethodType):
        return step, None, ()
    held = jax.tree.leaves(getattr(step.__self__, "__dict__", {}))
    return step.__self__, step.__func__, tuple(map(id, held))


def _weak(step: Any) -> Callable[[], Any]:
    """A reference that does not keep a step, and all it closes over, alive for the sake of its cache."""
    return weakref.WeakMethod(step) if isinstance(step, types.MethodType) else weakref.ref(step)
