"""One program run for many chunks at once, with the chunks as the last axis of every value.

``jax.vmap`` leaves the place of the mapped axis to each primitive: an unmapped bias or weight moves it to the front,
and a matrix product then becomes a product with a short inner axis. Here it stays last, so that products are
``W [m n] @ s [n chunks]`` and everything else is one contiguous loop over chunks. Parts that are joined only to be
multiplied again are not joined (``lazy``).
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from ..solution import Tree
from . import indexing
from .closure import Closed
from .columns import column, cut_later
from .dependence import marks_after_one
from .inside import bind, called, expanded, interpreted
from .lazy import Pieces, Product, sum_over_chunks
from .platform import platform_of
from .primitives import ADDITIONS, ELEMENTWISE
from .unknown import unknown_is

MOVES: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    "broadcast_in_dim": lambda params, chunks: {
        "shape": (*params["shape"], chunks),
        "broadcast_dimensions": (*params["broadcast_dimensions"], len(params["shape"])),
    },
    "reshape": lambda params, chunks: {"new_sizes": (*params["new_sizes"], chunks)},
    "split": lambda params, chunks: {},
    "squeeze": lambda params, chunks: {},
    "transpose": lambda params, chunks: {"permutation": (*params["permutation"], len(params["permutation"]))},
}
"""Primitives that only move entries, and their parameters when a last axis of chunks comes along.

Their rules under ``jax.vmap`` put that axis first, and everything after them.
"""

CHUNKS_OF_TRIAL = 2
"""Number of chunks with which it is tried whether a program can be run for many; any other would do."""

FEW_ENTRIES, FEW_TERMS = 16, 4
"""Most entries and columns of a weight whose product is written as a sum, which XLA fuses with its surroundings."""


def over_chunks(
    function: Callable[..., Tree], in_chunks: Sequence[Tree], *example: Tree, summed: Tree = False
) -> Callable[..., Tree]:
    """The function for many chunks at once: the last axis of its results, and of arguments that differ, is the chunks.

    Args:
        function: what to run in each chunk, from trees of arrays to a tree of arrays.
        in_chunks: for each argument, a prefix tree of booleans: whether it differs from chunk to chunk.
        example: arguments of one chunk, as arrays or ``ShapeDtypeStruct``.
        summed: prefix tree of booleans for the results: which are summed over chunks. Those come as an array, or as
            ``Pieces`` of one, for ``add_into``.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*example)
    structure = jax.tree.structure(shape)
    mapped = [flag for flags, tree in zip(in_chunks, example, strict=True) for flag in _flags(flags, tree)]
    sums = _flags(summed, shape)

    def run(*args: Tree) -> Tree:
        return jax.tree.unflatten(structure, side_by_side(closed, jax.tree.leaves(args), mapped, sums))

    return run


def closed_over_chunks(step: Closed, carry: Tree, x: Tree) -> Tree:
    """The value of a step for many chunks at once, of arguments that all have the chunks as their last axis.

    Args:
        step: what to run in each chunk, ``(carry, x) -> (carry, y)``.
        carry: its carry.
        x: its inputs.
    """
    return step.program.assembled(side_by_side(step.closed, jax.tree.leaves((carry, x))))


def side_by_side(
    closed: ClosedJaxpr,
    leaves: Sequence[Any],
    mapped: Sequence[bool] | None = None,
    summed: Sequence[bool] | None = None,
) -> list[Any]:
    """Results of a program for many chunks at once.

    Args:
        closed: the program of one chunk.
        leaves: its arguments.
        mapped: which of them have the chunks as their last axis; all when None.
        summed: which results are summed over chunks; none when None.
    """
    mapped = [True] * len(leaves) if mapped is None else mapped
    chunks = next(leaf.shape[-1] for leaf, flag in zip(leaves, mapped, strict=True) if flag)
    results = _run(closed, list(zip(leaves, mapped, strict=True)), chunks)
    return [
        sum_over_chunks(_spread(value, flag, chunks) if not flag else value)
        if total
        else _spread(_whole(value), flag, chunks)
        for (value, flag), total in zip(results, [False] * len(results) if summed is None else summed, strict=True)
    ]


@unknown_is(lambda closed: False)
def runs_over_chunks(closed: ClosedJaxpr) -> bool:
    """Whether every operation of a step has a rule for a further axis; nothing is run.

    Args:
        closed: the step.
    """
    example = [jax.ShapeDtypeStruct((*aval.shape, CHUNKS_OF_TRIAL), aval.dtype) for aval in closed.in_avals]
    jax.eval_shape(lambda *leaves: side_by_side(closed, leaves), *example)
    return True


Value = tuple[Any, bool]
"""An array, or a lazy form of one, and whether its last axis is the chunks."""


def _flags(flags: Tree, tree: Tree) -> list[bool]:
    """One boolean for each leaf of a tree, from a prefix tree of them."""
    spread = jax.tree.map(lambda flag, part: [flag] * len(jax.tree.leaves(part)), flags, tree)
    return jax.tree.leaves(spread)


def _run(closed: ClosedJaxpr, args: list[Value], chunks: int) -> list[Value]:
    """Results of a program whose arguments may have chunks."""
    cut = cut_later(closed.jaxpr) if platform_of() == "cpu" else frozenset()

    def apply(eqn: Any, operands: list[Value]) -> list[Value]:
        values, mapped = [value for value, _ in operands], [flag for _, flag in operands]
        if not cut.isdisjoint(eqn.outvars) and not any(map(_is_lazy, values)):
            found = column(eqn, values, mapped)
            if found is not None:
                return [(found, True)]
        return _apply(eqn, operands, chunks)

    return interpreted(closed, args, apply, constant=lambda atom, value: (value, False))


def _all_by_vmap(eqn: Any, operands: list[Value], chunks: int) -> list[Value]:
    """Results of one operation by its own rule for a further axis, which all of them get."""
    axes = [-1 if flag else None for _, flag in operands]
    run = jax.vmap(lambda *args: bind(eqn, eqn.params, args), in_axes=axes, out_axes=-1)
    return [(value, True) for value in run(*(_whole(value) for value, _ in operands))]


@unknown_is(_all_by_vmap)
def _by_vmap(eqn: Any, operands: list[Value], chunks: int) -> list[Value]:
    """Results by its own rule for a further axis; values alike in all chunks, such as loop counters, do not get it."""
    differ = [bool(mark) for mark in marks_after_one(eqn, [int(flag) for _, flag in operands])]
    axes, out_axes = ([-1 if flag else None for flag in flags] for flags in ((flag for _, flag in operands), differ))
    run = jax.vmap(lambda *args: bind(eqn, eqn.params, args), in_axes=axes, out_axes=out_axes)
    return list(zip(run(*(_whole(value) for value, _ in operands)), differ, strict=True))


@unknown_is(_by_vmap)
def _apply(eqn: Any, operands: list[Value], chunks: int) -> list[Value]:
    """Results of one operation by the rules of this module."""
    name = eqn.primitive.name
    if (inner := called(eqn) or expanded(eqn)) is not None:
        return _run(inner, operands, chunks)
    mapped = [flag for _, flag in operands]
    if any(mapped) and (lazy := _lazily(eqn, operands, chunks)) is not None:
        return [(lazy, True)]
    values = [_whole(value) for value, _ in operands]
    if not any(mapped):
        return [(value, False) for value in bind(eqn, eqn.params, values)]
    if name == "dot_general" and sum(mapped) == 1:
        return [(_product(eqn, *values, state=mapped.index(True)), True)]
    if name in ELEMENTWISE and len({jnp.ndim(value) - flag for value, flag in zip(values, mapped, strict=True)}) == 1:
        values = [value if flag else _last(value) for value, flag in zip(values, mapped, strict=True)]
        return [(value, True) for value in bind(eqn, eqn.params, jnp.broadcast_arrays(*values))]
    if name in MOVES:
        values = [_spread(value, flag, chunks) for value, flag in zip(values, mapped, strict=True)]
        return [(value, True) for value in bind(eqn, {**eqn.params, **MOVES[name](eqn.params, chunks)}, values)]
    if indexing.applies(name, mapped):
        arrays = (indexing.is_array(name, place) for place in range(len(values)))
        pairs = zip(values, mapped, arrays, strict=True)
        spread = [_spread(value, flag, chunks) if array else value for value, flag, array in pairs]
        return [(value, True) for value in bind(eqn, *indexing.with_chunks(eqn, spread, chunks))]
    return _by_vmap(eqn, operands, chunks)


def _lazily(eqn: Any, operands: list[Value], chunks: int) -> Any:
    """The result in a lazy form, where that helps later operations; None elsewhere."""
    name, params = eqn.primitive.name, eqn.params
    (first, mapped), *others = operands
    if name == "concatenate":
        parts = tuple(_spread(_whole(value), flag, chunks) for value, flag in operands)
        axis = int(params["dimension"])
        sizes = [part.shape[axis] for part in parts]
        starts = tuple(sum(sizes[:index]) for index in range(len(sizes)))
        return Pieces(parts, starts, axis, sum(sizes))
    if name == "pad" and mapped and _is_zero(others[0][0]):
        moved = [axis for axis, amounts in enumerate(params["padding_config"]) if any(amounts)]
        low, high, inside = params["padding_config"][moved[0]] if len(moved) == 1 else (-1, 0, 0)
        if min(low, high) >= 0 and inside == 0:
            part = _whole(first)
            return Pieces((part,), (int(low),), moved[0], int(low + part.shape[moved[0]] + high))
    if name in ADDITIONS and isinstance(first, Pieces) and isinstance(others[0][0], Pieces):
        return first.plus(others[0][0])
    if name == "transpose" and isinstance(first, Product):
        return first.transposed(params["permutation"])
    if name != "dot_general":
        return None
    dimensions, (second, also_mapped) = params["dimension_numbers"], others[0]
    if mapped and also_mapped:
        (contracted, _), (batch, _) = dimensions
        left = first if isinstance(first, Pieces) and first.axis not in (*contracted, *batch) else _whole(first)
        options = tuple((key, value) for key, value in params.items() if key != "dimension_numbers")
        axes = tuple(range(eqn.outvars[0].aval.ndim))
        return Product(left, _whole(second), dimensions, axes, options)
    state, weight = (first, second) if mapped else (second, first)
    place = 0 if mapped else 1
    if isinstance(state, Pieces) and tuple(dimensions[0][place]) == (state.axis,) and not dimensions[1][place]:
        shares = state.along(jnp.asarray(weight), dimensions[0][1 - place][0])
        pairs = zip(state.parts, shares, strict=True)
        ordered = ((part, share) if mapped else (share, part) for part, share in pairs)
        return sum(_product(eqn, *pair, state=place) for pair in ordered)
    return None


def _product(eqn: Any, first: Any, second: Any, state: int) -> Array:
    """A product of a state with chunks and a weight without, as ``weight . state``, so that the chunks stay last.

    The weight's own contracted axis comes last as well, the order that XLA's fast products on a CPU want.
    """
    sides = eqn.params["dimension_numbers"]
    of_state, of_weight = ([side[place] for side in sides] for place in (state, 1 - state))
    chunks, weight = (first, second) if state == 0 else (second, first)
    if not of_weight[1]:
        weight = jnp.moveaxis(weight, of_weight[0], range(-len(of_weight[0]), 0))
        of_weight[0] = range(weight.ndim - len(of_weight[0]), weight.ndim)
    if small_product(eqn) and min(weight.shape) > 1:
        # Single rows and columns XLA joins by itself, and better.
        terms = [weight[..., index, None] * chunks[index] for index in range(weight.shape[-1])]
        return reduce(jnp.add, terms)
    turned = {**eqn.params, "dimension_numbers": ((of_weight[0], of_state[0]), (of_weight[1], of_state[1]))}
    (out,) = bind(eqn, turned, (weight, chunks))
    if state == 1:
        return out
    # Free axes come in the order of the operands: those of the state belong before those of the weight.
    batch = len(of_weight[1])
    free = weight.ndim - len(of_weight[0]) - batch
    return jnp.moveaxis(out, range(batch, batch + free), range(out.ndim - 1 - free, out.ndim - 1))


def small_product(eqn: Any) -> bool:
    """Whether a product is one of a vector with a vector or small matrix, all of one dtype.

    Args:
        eqn: a ``dot_general``.
    """
    avals = [var.aval for var in (*eqn.invars, *eqn.outvars)]
    (contracted, _), (batch, _) = eqn.params["dimension_numbers"]
    shapes = sorted((aval.shape for aval in avals[:2]), key=len)
    few = len(shapes[0]) == len(contracted) == 1 and len(shapes[1]) <= 2 and not batch
    few = few and shapes[0][0] <= FEW_TERMS and math.prod(shapes[1]) <= FEW_ENTRIES
    return few and len({aval.dtype for aval in avals}) == 1


def _whole(value: Any) -> Any:
    """The value as an array."""
    return value.whole() if _is_lazy(value) else value


def _is_lazy(value: Any) -> bool:
    """Whether a value is a lazy form of an array."""
    return isinstance(value, Pieces | Product)


def _is_zero(value: Any) -> bool:
    """Whether a value is known to be zero."""
    return not isinstance(value, Tracer) and jnp.ndim(value) == 0 and not np.any(np.asarray(value))


def _last(value: Any) -> Array:
    """An array with a last axis of one chunk."""
    return jnp.asarray(value)[..., None]


def _spread(value: Any, has_chunks: bool, chunks: int) -> Array:
    """An array that has the chunks as its last axis."""
    if has_chunks:
        return value
    return jnp.broadcast_to(_last(value), (*jnp.shape(value), chunks))
