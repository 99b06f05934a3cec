"""A program followed with ranges of its values and bounds on its derivatives; what has no rule bounds nothing."""

import dataclasses
from collections.abc import Callable, Sequence
from math import hypot, prod, sqrt
from typing import Any

import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr

from ..inside import bind, called, interpreted
from ..sparsity import Fact, places_after
from .array_products import product
from .entry_rules import ENTRYWISE, power, unchanged
from .value_bounds import Bounds, Number, UnboundedError, anything, known, norm_of, of_linear, times

MOST_ENTRIES = 2**24
"""Entries of a derivative beyond which none is followed."""


def followed(program: ClosedJaxpr, args: Sequence[Bounds]) -> list[Bounds]:
    """What is known of the results of a program, for all values of its arguments within their ranges.

    Args:
        program: the program.
        args: what is known of its arguments.

    Raises:
        UnboundedError: an operation on the state has no bound, or the program holds an array that is traced.
    """
    return interpreted(program, args, _follow, _constant)


def _constant(atom: Any, value: Any) -> Bounds:
    """What is known of an array that a program holds."""
    if value is None or isinstance(value, Tracer):
        raise UnboundedError("it closes over arrays that are traced, as under jax.jit")
    return known(value)


def _follow(eqn: Any, operands: list[Bounds]) -> Sequence[Bounds]:
    """What is known of the results of an operation."""
    inner = called(eqn)
    if inner is not None:
        return followed(inner, operands)
    if all(each.value is not None for each in operands):
        return [known(value) for value in bind(eqn, eqn.params, [each.value for each in operands])]
    rearranged = _moved(eqn, operands)
    if rearranged is not None:
        return rearranged
    name, shapes = eqn.primitive.name, [atom.aval.shape for atom in eqn.outvars]
    widths = [each.slopes.shape[-1] for each in operands if each.slopes is not None]
    if (name not in ENTRYWISE and name not in RULES) or len(shapes) != 1:
        if widths:
            raise UnboundedError(f"no bound is known for its operation '{name}'")
        return [anything(shape) for shape in shapes]
    if widths and prod(shapes[0]) * widths[0] > MOST_ENTRIES:
        raise UnboundedError("its derivatives are too many to be followed")
    if name in ENTRYWISE:
        return [ENTRYWISE[name](*(_spread(each, shapes[0]) if each.low.shape == () else each for each in operands))]
    return [RULES[name](eqn, operands)]


def _moved(eqn: Any, operands: Sequence[Bounds]) -> list[Bounds] | None:
    """The results of an operation that only moves or repeats entries; None for another one, or unknown places.

    Args:
        eqn: the operation.
        operands: what is known of its operands.
    """
    facts = [Fact(each.low.shape, value=_integers(each.value)) for each in operands]
    found = places_after(eqn, facts)
    if found is None or any((ids < 0).any() for ids in found[1]):
        return None
    sources = operands[: len(found[0])]
    return [_rearranged(sources, ids) for ids in found[1]]


def _integers(value: Any) -> np.ndarray | None:
    """A known array of whole numbers, which may be indices."""
    return None if value is None or not np.issubdtype(value.dtype, np.integer) else np.asarray(value)


def _rearranged(sources: Sequence[Bounds], ids: np.ndarray) -> Bounds:
    """Entries of some values, taken by their numbers."""
    low, high = (np.concatenate([getattr(each, side).ravel() for each in sources])[ids] for side in ("low", "high"))
    of_state = [each.slopes for each in sources if each.slopes is not None]
    if not of_state:
        return Bounds(low, high)
    size = of_state[0].shape[-1]

    def taken(derivatives: list[Number | None]) -> Number:
        pairs = zip(derivatives, sources, strict=True)
        rows = [np.zeros((each.low.size, size)) if d is None else d.reshape(-1, size) for d, each in pairs]
        return np.concatenate(rows)[ids]

    if all(each.slopes is None or each.linear is not None for each in sources):
        return of_linear(low, high, taken([each.linear for each in sources]))
    most = np.bincount(ids.ravel()).max(initial=0)
    return Bounds(
        low, high, taken([each.slopes for each in sources]), norm=hypot(*(e.norm for e in sources)) * sqrt(most)
    )


def _total(eqn: Any, operands: Sequence[Bounds]) -> Bounds:
    """Sums along axes."""
    (a,), axes = operands, tuple(eqn.params["axes"])
    low, high = a.low.sum(axes), a.high.sum(axes)
    if a.slopes is None:
        return Bounds(low, high)
    if a.linear is not None:
        return of_linear(low, high, a.linear.sum(axes))
    return Bounds(low, high, a.slopes.sum(axes), norm=a.norm * sqrt(a.low.size / max(low.size, 1)))


def _spread(a: Bounds, shape: tuple[int, ...]) -> Bounds:
    """A single number that counts for every entry.

    Args:
        a: the number.
        shape: of the entries.
    """
    repeated = _rearranged([a], np.zeros(shape, int))
    return dataclasses.replace(repeated, value=a.value)


def _dot(eqn: Any, operands: Sequence[Bounds]) -> Bounds:
    """A product of a known array with another."""
    left, right = operands
    dimensions = eqn.params["dimension_numbers"]
    side = "left" if left.value is None else "right"
    held, moving = (right, left) if side == "left" else (left, right)
    if held.value is None:
        if left.dependent or right.dependent:
            raise UnboundedError("it multiplies arrays of which none is constant")
        return anything(eqn.outvars[0].aval.shape)

    def of(constant: Number, other: Number, extra: str = "") -> Number:
        pair = (other, constant) if side == "left" else (constant, other)
        return product(dimensions, *pair, extra)

    positive, negative = np.maximum(held.low, 0), np.minimum(held.low, 0)
    low = _bounded(of, ((positive, moving.low), (negative, moving.high)), -np.inf)
    high = _bounded(of, ((positive, moving.high), (negative, moving.low)), np.inf)
    if moving.slopes is None:
        return Bounds(low, high)
    if moving.linear is not None:
        return of_linear(low, high, of(held.low, moving.linear, side))
    size = norm_of(held.low) if held.low.ndim == 2 and not dimensions[1][0] else float(np.linalg.norm(held.low))
    slopes = _bounded(lambda c, o: of(c, o, side), ((np.abs(held.low), moving.slopes),), np.inf)
    return Bounds(low, high, slopes, norm=float(times(size, moving.norm)))


def _bounded(of: Callable[[Number, Number], Number], parts: Sequence[tuple[Number, Number]], limit: float) -> Number:
    """A sum of products with constants, and a limit where a factor of a constant that is not zero is infinite."""
    found: Any = sum(of(constant, np.where(np.isfinite(other), other, 0.0)) for constant, other in parts)
    infinite: Any = sum(of(np.abs(np.sign(constant)), (~np.isfinite(other)) * 1.0) for constant, other in parts)
    return np.where(infinite > 0, limit, found)


def _converted(eqn: Any, operands: Sequence[Bounds]) -> Bounds:
    """Another dtype, which must be one of real numbers where the state matters."""
    if operands[0].dependent and not np.issubdtype(_scalar(eqn.params["new_dtype"]), np.floating):
        raise UnboundedError("it makes whole numbers of the state")
    return unchanged(operands[0])


def _scalar(dtype: Any) -> Any:
    """A dtype of NumPy's own; narrow floats of JAX count as single precision."""
    found = np.dtype(dtype)
    return np.dtype(np.float32) if found.kind == "V" else found


RULES: dict[str, Callable[[Any, Sequence[Bounds]], Bounds]] = {
    "convert_element_type": _converted,
    "dot_general": _dot,
    "integer_pow": lambda eqn, operands: power(operands[0], eqn.params["y"]),
    "reduce_sum": _total,
}
"""From an operation with parameters and bounds on its operands to those on its result."""
