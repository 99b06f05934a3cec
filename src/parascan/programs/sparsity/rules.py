"""Rules of the primitives that compute: what each entry of the result reads, given what the operands read."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn

from ..primitives import CUMULATIVE, ELEMENTWISE, REDUCTIONS, ZERO_AT_ZERO
from .facts import Fact, Mask, Rule, any_along, opaque, shape_of, union, union_support, width_of, within
from .moves import MOVES

PRODUCT_LIMIT = 1 << 30
"""Most multiplications spent on the zero pattern of one matrix product; beyond it the product counts as dense."""

_DISCRETE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "and": np.bitwise_and,
    "eq": np.equal,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "rem": np.fmod,
    "sign": np.sign,
    "sub": np.subtract,
    "xor": np.bitwise_xor,
}
"""Arithmetic of constant integers and booleans, from which indices and masks are made."""


def is_discrete(atom: Any) -> bool:
    """Whether a variable of a program holds integers or booleans."""
    dtype = getattr(atom.aval, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind in "biu"


def _constant(eqn: JaxprEqn, operands: Sequence[Fact]) -> np.ndarray | None:
    """Value of an elementwise equation between constants, if it is discrete and simple."""
    var: Any = eqn.outvars[0]
    name = eqn.primitive.name
    values = [fact.value for fact in operands if fact.value is not None]
    if len(values) < len(operands) or not is_discrete(var):
        return None
    if name == "convert_element_type":
        return values[0].astype(var.aval.dtype)
    if name not in _DISCRETE or (name == "rem" and not values[1].all()):
        return None
    with np.errstate(all="ignore"):
        return np.broadcast_to(_DISCRETE[name](*values), shape_of(var)).astype(var.aval.dtype)


def _elementwise_support(eqn: JaxprEqn, operands: Sequence[Fact], shape: tuple[int, ...]) -> Mask | None:
    """Where the result of an elementwise equation may differ from zero, in arithmetic without infinities."""
    name = eqn.primitive.name
    if name in ZERO_AT_ZERO or (name == "integer_pow" and eqn.params["y"] > 0):
        return union_support(operands, shape)
    # Integers divided by zero are not zero, so there only the product of integers is surely zero.
    if name != "mul" and (name != "div" or is_discrete(eqn.outvars[0])):
        return None
    factors = [fact.known_support() for fact in (operands if name == "mul" else operands[:1])]
    known = [np.broadcast_to(factor, shape) for factor in factors if factor is not None]
    return np.logical_and.reduce(known) if known else None


def _elementwise(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of elementwise primitives."""
    shape = shape_of(eqn.outvars[0])
    if (value := _constant(eqn, operands)) is not None:
        return [Fact(shape, value=value)]
    return [Fact(shape, union(operands, shape), _elementwise_support(eqn, operands, shape))]


def _bitcast(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of `bitcast_convert_type`, which between types of one width acts entry by entry."""
    (fact,), shape = operands, shape_of(eqn.outvars[0])
    return [Fact(shape, fact.reads)] if fact.shape == shape else opaque(eqn, operands)


def _iota(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of `iota`, whose value is known if it counts in integers."""
    shape, axis = shape_of(eqn.outvars[0]), eqn.params["dimension"]
    if not is_discrete(eqn.outvars[0]):
        return [Fact(shape)]
    value = np.moveaxis(
        np.broadcast_to(np.arange(shape[axis]), (*shape[:axis], *shape[axis + 1 :], shape[axis])), -1, axis
    )
    return [Fact(shape, value=value.astype(eqn.params["dtype"]))]


def _reduce(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of reductions over `axes`; each makes zero of zeros (where there is one at all)."""
    axes, (fact,) = tuple(eqn.params["axes"]), operands
    return [Fact(shape_of(eqn.outvars[0]), any_along(fact.reads, axes), any_along(fact.known_support(), axes))]


def _accumulate(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of cumulative reductions: an entry reads what comes before it along `axis`."""
    axis, (fact,) = eqn.params["axis"], operands
    if fact.reads is None:
        return [Fact(fact.shape)]
    reads = np.flip(fact.reads, axis) if eqn.params["reverse"] else fact.reads
    reads = np.logical_or.accumulate(reads, axis)
    return [Fact(fact.shape, np.flip(reads, axis) if eqn.params["reverse"] else reads)]


def _sort(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of `sort`: every entry reads all of every operand along `dimension`."""
    shape = operands[0].shape
    reads = union(operands, shape)
    if reads is not None:
        reads = np.broadcast_to(reads.any(eqn.params["dimension"], keepdims=True), reads.shape)
    return [Fact(shape, reads) for _ in operands]


def _laid_out(mask: Mask | None, contracted: Sequence[int], batch: Sequence[int], rank: int) -> Mask | None:
    """Gather the axes of a factor of a product into (batch, free, contracted, ...)."""
    if mask is None:
        return None
    free = [axis for axis in range(rank) if axis not in (*contracted, *batch)]
    sizes = [math.prod(mask.shape[axis] for axis in group) for group in (batch, free, contracted)]
    order = (*batch, *free, *contracted, *range(rank, mask.ndim))
    return mask.transpose(order).reshape(*sizes, *mask.shape[rank:])


def _contract(mask: Mask, support: Mask | None) -> Mask:
    """Union of mask [B, M, K, D] over k, where the other factor [B, N, K] is not surely zero, as [B, M, N or 1, D]."""
    if support is None or mask.size * support.shape[1] > PRODUCT_LIMIT:
        return np.asarray(mask.any(2))[:, :, None]
    return support[:, None].astype(np.float32) @ mask.astype(np.float32) > 0


def _dot_general(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of `dot_general`: a factor that is surely zero hides what it multiplies."""
    shape, width = shape_of(eqn.outvars[0]), width_of(operands)
    contracted, batch = eqn.params["dimension_numbers"]
    axes = list(zip(contracted, batch, strict=True))
    left, right = (_laid_out(fact.reads, *pair, len(fact.shape)) for fact, pair in zip(operands, axes, strict=True))
    left_support, right_support = (
        _laid_out(fact.known_support(), *pair, len(fact.shape)) for fact, pair in zip(operands, axes, strict=True)
    )
    batched = len(batch[0])
    cut = len(operands[0].shape) - len(contracted[0])
    sizes = [math.prod(group) for group in (shape[:batched], shape[batched:cut], shape[cut:])]
    reads = support = None
    if width is not None:
        within(math.prod(shape) * width)
        reads = np.zeros((*sizes, width), bool)
        if left is not None:
            reads |= _contract(left, right_support)
        if right is not None:
            reads |= _contract(right, left_support).swapaxes(1, 2)
        reads = reads.reshape(*shape, width)
    if left_support is not None and right_support is not None:
        nonzero = _contract(left_support[..., None], right_support)[..., 0]
        support = np.broadcast_to(nonzero, sizes).reshape(shape)
    return [Fact(shape, reads, support)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(REDUCTIONS, _reduce),
    **dict.fromkeys(CUMULATIVE, _accumulate),
    **MOVES,
    "bitcast_convert_type": _bitcast,
    "dot_general": _dot_general,
    "iota": _iota,
    "sort": _sort,
}
"""Rules by the name of the primitive; a primitive that is missing here is opaque."""
