"""One program run for many lanes at once, with the lanes as the last axis of every value.

``jax.vmap`` leaves the place of the mapped axis to each primitive: an unmapped bias or weight moves it to the front,
and a matrix product then becomes a product with a short inner axis. Here it stays last, so that products are
``W [m n] @ s [n lanes]`` and everything else is one contiguous loop over lanes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal
from jaxtyping import Array

from .._types import Tree

ELEMENTWISE = frozenset(
    {"abs", "acos", "acosh", "add", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp"}
    | {"complex", "cos", "cosh", "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt"}
    | {"imag", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "mul"}
    | {"ne", "neg", "nextafter", "not", "or", "pow", "real", "rem", "round", "rsqrt", "select_n", "sign", "sin"}
    | {"sinh", "sqrt", "square", "sub", "tan", "tanh", "xor", "convert_element_type"}
)
"""Primitives that act entry by entry on operands of one shape."""

INLINED = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat": "jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
}
"""Primitives that only call another program, and the parameter that holds it."""

MOVES: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    "broadcast_in_dim": lambda params, lanes: {
        "shape": (*params["shape"], lanes),
        "broadcast_dimensions": (*params["broadcast_dimensions"], len(params["shape"])),
    },
    "concatenate": lambda params, lanes: {},
    "reshape": lambda params, lanes: {"new_sizes": (*params["new_sizes"], lanes)},
    "split": lambda params, lanes: {},
    "squeeze": lambda params, lanes: {},
    "transpose": lambda params, lanes: {"permutation": (*params["permutation"], len(params["permutation"]))},
}
"""Primitives that only move entries, and their parameters when a last axis of lanes comes along.

Their rules under ``jax.vmap`` put that axis first, and everything after them.
"""


def over_lanes(function: Callable[..., Tree], in_lanes: Sequence[Tree], *example: Tree) -> Callable[..., Tree]:
    """The function for many lanes at once, the last axis of what varies from lane to lane and of all results.

    Args:
        function: what to run in each lane, from trees of arrays to a tree of arrays.
        in_lanes: for each argument, a prefix tree of booleans: whether it differs from lane to lane.
        example: arguments of one lane, as arrays or ``ShapeDtypeStruct``.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*example)
    structure = jax.tree.structure(shape)
    mapped = [
        flag
        for flags, tree in zip(in_lanes, example, strict=True)
        for flag in jax.tree.leaves(jax.tree.map(lambda f, part: [f] * len(jax.tree.leaves(part)), flags, tree))
    ]

    def run(*args: Tree) -> Tree:
        leaves = jax.tree.leaves(args)
        lanes = next(leaf.shape[-1] for leaf, flag in zip(leaves, mapped, strict=True) if flag)
        results = _run(closed, list(zip(leaves, mapped, strict=True)), lanes)
        return jax.tree.unflatten(structure, [_spread(value, flag, lanes) for value, flag in results])

    return run


Value = tuple[Any, bool]
"""An array, and whether its last axis is the lanes."""


def _run(closed: ClosedJaxpr, args: list[Value], lanes: int) -> list[Value]:
    """Results of a program whose arguments may have lanes."""
    jaxpr = closed.jaxpr
    values: dict[Any, Value] = dict(zip(jaxpr.constvars, ((const, False) for const in closed.consts), strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))

    def read(atom: Any) -> Value:
        return (atom.val, False) if isinstance(atom, Literal) else values[atom]

    for eqn in jaxpr.eqns:
        outs = _apply(eqn, [read(atom) for atom in eqn.invars], lanes)
        values.update(zip(eqn.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(eqn: Any, operands: list[Value], lanes: int) -> list[Value]:
    """Results of one operation."""
    name = eqn.primitive.name
    inner = eqn.params.get(INLINED.get(name, ""))
    if inner is not None:
        closed = inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, [])
        return _run(closed, operands, lanes)
    values, mapped = [value for value, _ in operands], [flag for _, flag in operands]
    if not any(mapped):
        return [(value, False) for value in _bind(eqn, eqn.params, values)]
    if name == "dot_general" and mapped == [True, False]:
        return [(_product(eqn, *values), True)]
    if name in ELEMENTWISE and len({jnp.ndim(value) - flag for value, flag in operands}) == 1:
        values = [value if flag else _last(value) for value, flag in operands]
        return [(value, True) for value in _bind(eqn, eqn.params, jnp.broadcast_arrays(*values))]
    if name in MOVES:
        values = [_spread(value, flag, lanes) for value, flag in operands]
        return [(value, True) for value in _bind(eqn, {**eqn.params, **MOVES[name](eqn.params, lanes)}, values)]
    axes = [-1 if flag else None for flag in mapped]
    out = jax.vmap(lambda *args: _bind(eqn, eqn.params, args), in_axes=axes, out_axes=-1)(*values)
    return [(value, True) for value in out]


def _product(eqn: Any, state: Array, weight: Array) -> Array:
    """``state . weight`` with the lanes last: as ``weight . state``, or else the product would put them first."""
    (contracted, other), (batch, other_batch) = eqn.params["dimension_numbers"]
    swapped = {**eqn.params, "dimension_numbers": ((other, contracted), (other_batch, batch))}
    out = eqn.primitive.bind(weight, state, **swapped)
    # Free axes come in the order of the operands: those of the state belong before those of the weight.
    first = len(batch)
    free = weight.ndim - len(other) - first
    return jnp.moveaxis(out, range(first, first + free), range(out.ndim - 1 - free, out.ndim - 1))


def _bind(eqn: Any, params: Any, values: Sequence[Any]) -> list[Array]:
    """The operation's results for these values."""
    out = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(params))
    return list(out) if eqn.primitive.multiple_results else [out]


def _last(value: Any) -> Array:
    """An array with a last axis of one lane."""
    return jnp.asarray(value)[..., None]


def _spread(value: Any, has_lanes: bool, lanes: int) -> Array:
    """An array that has the lanes as its last axis."""
    if has_lanes:
        return value
    return jnp.broadcast_to(_last(value), (*jnp.shape(value), lanes))
