"""A cache of compiled programs by step: each step is compiled once, and no program is ever used for another step.

A step that is a tree of arrays (an equinox module, a method of one, a partial) is an argument of the compiled
program, so other weights of the same shapes need no new one. A function is recognized by its identity and by what it
closes over. A step that uses something that cannot be compared, such as the attributes of a plain object, is traced
anew at every call, as ``jax.lax.scan`` does. A program lives no longer than the function that it was compiled for.
"""

import contextlib
import functools
import itertools
import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ..solution import Tree
from .closure import Closed, close_over
from .quick_compile import quickly_compiled
from .sight import Sight, UnseenError, are_still, remembered, sight_of

MOST = 64
"""Most programs that are kept for one function."""

Evaluate = Callable[..., Any]


class ProgramCache:
    """Compiled forms of one function whose first argument is a step.

    Args:
        evaluate: the function.
        once: whether it is mostly called once for a step, so that compiling takes longer than running.
    """

    def __init__(self, evaluate: Evaluate, *, once: bool = False) -> None:
        self._evaluate = evaluate
        self._once = once
        self._of_owner: weakref.WeakKeyDictionary[Any, dict[Hashable, _Program]] = weakref.WeakKeyDictionary()

    def __call__(self, step: Any, *args: Any) -> Any:
        """The function's value, traced and compiled at most once for each kind of argument."""
        args = jax.tree.map(_plain, args)
        step = as_tree(step)
        arrays, rest = eqx.partition(step, lambda leaf: isinstance(leaf, jax.Array))
        kind = _context(), _kind((arrays, *args))
        try:
            sight = sight_of(step)
            program = self._known(sight, kind)
        except (UnseenError, TypeError):
            return self._anew(step, args)
        if program is not None:
            return program.run(arrays, *args)
        try:
            traced = close_over(lambda arrays, *args: self._evaluate(eqx.combine(arrays, rest), *args), arrays, *args)
        except Exception:
            if not jax.tree.leaves(arrays):
                raise
            # A step that decides by the values of its arrays is to see them; an error of its own comes again.
            return self._anew(step, args)
        run = compiled(traced, once=self._once)
        if not any(isinstance(each, Tracer) for each in traced.closed_over):
            # As it is now: a step may note in what it closes over that it has been traced.
            with contextlib.suppress(UnseenError, TypeError):
                self._keep(sight_of(step), kind, run)
        return run(arrays, *args)

    def _known(self, sight: Sight, kind: Hashable) -> "_Program | None":
        """The program for what has been seen and a kind of arguments, if there is one."""
        program = self._of_owner.get(sight.owner, {}).get((sight.values, kind))
        return program if program is not None and are_still(program.objects, sight.objects) else None

    def _keep(self, sight: Sight, kind: Hashable, run: Evaluate) -> None:
        """Keep a program, in the place of the one that it replaces or of the oldest."""
        programs = self._of_owner.setdefault(sight.owner, {})
        programs.pop((sight.values, kind), None)
        if len(programs) >= MOST:
            programs.pop(next(iter(programs)))
        programs[sight.values, kind] = _Program(run, remembered(sight.objects))

    def _anew(self, step: Any, args: tuple[Any, ...]) -> Any:
        """The function's value by a program that is used once."""
        evaluate = self._evaluate
        return compiled(close_over(lambda *args: evaluate(step, *args), *args), once=self._once)(*args)


class _Program(NamedTuple):
    """What has been compiled for a step, and what was seen of the step at that time."""

    run: Evaluate
    objects: list[Any]


def compiled(traced: Closed, *, once: bool = False) -> Evaluate:
    """A traced function in compiled form, with a cache of its own, so that nothing of it is kept elsewhere.

    The arrays that it closes over are arguments of the program: as constants they would be stored twice, and the
    compiler would spend much time on folding them.

    Args:
        traced: the function.
        once: whether it is mostly called once.
    """
    program = traced.program

    def run(closed_over: list[Array], arrays: Tree) -> list[Array]:
        return Closed(closed_over, program).flat(arrays)

    chosen = quickly_compiled(run, program.jaxpr) if once else jax.jit(run)

    def call(*args: Any) -> Any:
        return program.assembled(chosen(traced.closed_over, eqx.filter(args, eqx.is_array)))

    return call


def _plain(leaf: Any) -> Any:
    """A leaf of an argument, with NumPy arrays as JAX arrays and NumPy integers as Python's."""
    if isinstance(leaf, np.integer | np.bool_):
        return leaf.item()
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf


def _kind(tree: Tree) -> Hashable:
    """All that tracing can see of arguments: structure, shapes, dtypes, weak types, and values that are no arrays."""
    leaves, treedef = jax.tree.flatten(tree)
    kinds = (jax.typeof(leaf) if isinstance(leaf, jax.Array) else (type(leaf), leaf) for leaf in leaves)
    return treedef, tuple(kinds)


@jax.jit
def _probe() -> Array:
    """An array whose length changes whenever JAX would trace a function anew."""
    return jnp.zeros(next(_counter))


_counter = itertools.count()


def _context() -> int:
    """A number that stands for the settings of JAX on which a trace depends (precision, promotion, axes of a mesh)."""
    return _probe.eval_shape().shape[0]


def as_tree(step: Any) -> Any:
    """The step with the arrays it carries made visible as leaves, where its type allows that."""
    if isinstance(step, functools.partial):
        return eqx.Partial(as_tree(step.func), *step.args, **step.keywords)
    return step
