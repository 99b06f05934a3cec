"""Checks of a layer's inputs and state, before anything is compiled."""

from typing import Any

import jax
import jax.numpy as jnp

from ..problem.arguments import as_arrays, describe
from ..solution import Tree
from ._cell import AbstractCell, AbstractUnitCell


def checked(cell: AbstractCell, xs: Any, state: Any, name: str = "xs") -> tuple[Tree, Tree, Tree]:
    """Inputs, the state to start from and the cell's initial state, as arrays that the cell can take.

    Args:
        cell: the cell.
        xs: inputs ``[T, ...]``.
        state: the state before the first step; the cell's initial state when None.
        name: what the caller calls the inputs; ``x`` stands for a single one, given here as one row.

    Raises:
        TypeError: inputs or a state of another dtype than the weights.
        ValueError: inputs or a state of another structure or shape.
    """
    fresh = cell.initial_state()
    xs = as_arrays(name, xs)
    if isinstance(cell, AbstractUnitCell):
        _check_inputs(cell, xs, fresh, name)
    if state is None:
        first = fresh
    elif fresh is None:
        first = state
    else:
        first = as_arrays("state", state)
        _check_state(first, fresh)
    if not isinstance(cell, AbstractUnitCell):
        _try_step(cell, xs, first, name)
    return xs, first, fresh


def _check_inputs(cell: AbstractUnitCell, xs: Any, fresh: Tree, name: str) -> None:
    """Refuse inputs that a cell of known sizes cannot take."""
    shape = list(xs.shape) if hasattr(xs, "shape") else None
    size = cell.input_size
    if shape is None or len(shape) != 2 or shape[1] != size:
        given = type(xs).__name__ if shape is None else shape[1:] if name == "x" else shape
        expected = f"[{size}]" if name == "x" else f"[T, {size}]"
        raise ValueError(f"{name}: given {given}, expected {expected}; batches come from jax.vmap.")
    dtype = jax.tree.leaves(fresh)[0].dtype
    if jnp.result_type(xs.dtype, dtype) != dtype:
        raise TypeError(f"{name}: given dtype {xs.dtype}, expected {dtype}, that of the weights.")


def _check_state(state: Tree, fresh: Tree) -> None:
    """Refuse a state that is not like the cell's initial one."""
    like = jax.tree.structure(state) == jax.tree.structure(fresh)
    pairs = list(zip(jax.tree.leaves(state), jax.tree.leaves(fresh), strict=True)) if like else []
    if not like or any(one.shape != other.shape for one, other in pairs):
        raise ValueError(
            f"state: given {describe(state)}, expected {describe(fresh)}, as an earlier call returned it; batches come "
            "from jax.vmap."
        )
    if any(one.dtype != other.dtype for one, other in pairs):
        raise TypeError(f"state: given {describe(state)}, expected the dtypes of {describe(fresh)}.")


def _try_step(cell: AbstractCell, xs: Tree, state: Tree, name: str) -> None:
    """Refuse what a cell of unknown sizes cannot take: its step is traced for one row."""
    rows = {jnp.shape(leaf)[0] if jnp.ndim(leaf) else None for leaf in jax.tree.leaves(xs)}
    if len(rows) != 1 or None in rows:
        raise ValueError(f"{name}: given {describe(xs)}, expected arrays with one leading axis T.")

    def one(cell: AbstractCell, xs: Tree, state: Tree) -> Any:
        ready = cell.ready()
        drive = ready.prepare(jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape[1:]), leaf.dtype), xs))
        return ready.step(jax.tree.map(lambda leaf: leaf[0], drive), state)[0]

    try:
        jax.eval_shape(lambda xs, state: one(cell, xs, state), xs, state)
    except (TypeError, ValueError) as error:
        # JAX's own kinds of them, such as a value that is not known while tracing, explain themselves.
        if type(error) not in (TypeError, ValueError):
            raise
        raise type(error)(
            f"{name}, state: given {describe(xs)} and {describe(state)}, expected what the cell "
            f"{type(getattr(cell, 'call', cell)).__name__} takes, which says: {error}"
        ) from error
