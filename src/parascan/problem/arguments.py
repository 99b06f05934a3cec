"""Single arguments of a call: their conversion to arrays and integers, their length, and checks before compilation."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..solution import Tree


def describe(tree: Tree) -> str:
    """A tree of arrays with dtypes and shapes in place of values, for error messages."""
    return str(jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", tree)).replace("'", "")


def as_arrays(name: str, tree: Tree) -> Tree:
    """The tree with every leaf an array; Python scalars stay weakly typed, as in ``jax.lax.scan``.

    Raises:
        TypeError: a leaf is no array, naming it.
    """
    leaves, treedef = jax.tree.flatten(tree)
    if all(isinstance(leaf, jax.Array) for leaf in leaves):
        return tree
    try:
        return jax.tree.unflatten(treedef, [jnp.asarray(leaf) for leaf in leaves])
    except (TypeError, ValueError) as error:
        paths = [each for each in jax.tree_util.tree_flatten_with_path(tree)[0] if not _is_numeric(each[1])]
        kinds = ", ".join(f"{name}{jax.tree_util.keystr(path)} is a {type(leaf).__name__}" for path, leaf in paths)
        raise TypeError(
            f"{name}: given leaves that are not all arrays ({kinds}), expected arrays or numbers. Of a tree with other "
            f"leaves, such as an equinox module, pass the arrays: arrays, rest = eqx.partition({name}, eqx.is_array), "
            "and put the tree together in the step with eqx.combine(arrays, rest)."
        ) from error


def _is_numeric(leaf: Any) -> bool:
    """Whether a leaf is an array or stands for one."""
    try:
        jnp.asarray(leaf)
    except (TypeError, ValueError):
        return False
    return True


def as_integer(value: Any) -> Any:
    """An integer for whatever stands for one (a NumPy number, an array without axes); other values unchanged.

    Args:
        value: anything.
    """
    if isinstance(value, bool):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value


def check_counts(*, optional: bool = False, **counts: Any) -> None:
    """Refuse arguments that are no positive integers.

    Args:
        optional: whether None is a value of theirs.
        counts: the arguments by their names.

    Raises:
        TypeError: one is no integer.
        ValueError: one is less than one.
    """
    for name, count in counts.items():
        if optional and count is None:
            continue
        if isinstance(count, bool) or not isinstance(count, int | np.integer):
            raise TypeError(f"{name}: given {count!r}, expected an integer{' or None' if optional else ''}.")
        if count < 1:
            raise ValueError(f"{name}: given {count}, expected one or more.")


def refuse_traced(name: str, tree: Tree, instead: str) -> None:
    """Refuse traced values where a call has to look at numbers.

    Args:
        name: of the arguments, for the message.
        tree: the arguments, or what was computed from them.
        instead: why they are refused, and what to do.

    Raises:
        TypeError: an array is traced.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree)):
        raise TypeError(f"{name}: given traced values, expected arrays: {instead}")


def refuse_nan(init: Tree) -> None:
    """Refuse NaN in an initial state whose values are at hand; traced values are judged by the result.

    Raises:
        ValueError: there is NaN, with the place.
    """
    for path, leaf in jax.tree_util.tree_flatten_with_path(init)[0]:
        if isinstance(leaf, Tracer) or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        bad = np.isnan(np.asarray(leaf))
        if bad.any():
            where = f"init{jax.tree_util.keystr(path)}"
            raise ValueError(
                f"{where}: given NaN in {bad.sum()} of {bad.size} entries, expected numbers: a method that iterates "
                "has nothing to compare NaN with. solver=None and Sequential() take it as jax.lax.scan does."
            )


def resolve_length(xs: Tree, length: int | None) -> int:
    """Number of steps T that ``xs`` and ``length`` agree on.

    Raises:
        TypeError: ``length`` is not an integer.
        ValueError: neither is given, an input has no leading axis, or they disagree.
    """
    if length is not None and (isinstance(length, bool) or not isinstance(length, int | np.integer)):
        raise TypeError(f"length: given {length!r}, expected an integer that is known before compilation or None.")
    if length is not None and length < 0:
        raise ValueError(f"length: given {length}, expected zero or more.")
    lengths: dict[str, int] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(xs)[0]:
        name = "xs" + jax.tree_util.keystr(path)
        if jnp.ndim(leaf) == 0:
            raise ValueError(f"{name}: given a scalar, expected an array whose leading axis is time.")
        lengths[name] = jnp.shape(leaf)[0]
    if length is not None:
        lengths = {"length": int(length), **lengths}
    if not lengths:
        raise ValueError("length: given None together with xs=None, expected the number of steps in one of them.")
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} says {steps}" for name, steps in lengths.items())
        raise ValueError(f"xs, length: given different numbers of steps ({given}), expected one.")
    return next(iter(lengths.values()))
