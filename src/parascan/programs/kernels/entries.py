"""A program as a list of operations on vectors of entries, of the three kinds that a kernel for a tile of chunks runs.

Whatever only moves entries (slices, concatenations, reshapes, broadcasts) is one list of indices, found by running the
operation on the numbers of the entries. So a kernel needs neither slices nor concatenations, which Triton lacks. What
does not depend on the chunk is computed outside of the kernel.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr

from ..indexing import INDEXED
from ..inside import bind, called, expanded, interpreted
from ..primitives import PLACED
from .at_entries import at_entries, plus, times
from .vectors import Elementwise, Entries, MatrixProduct, Move, Operation, UnfitError, Value

FEW_TERMS = 16
"""Most terms of a sum that is written out term by term: products of two values that both differ from chunk to chunk."""

DTYPES = frozenset({"bool", "bfloat16", "float16", "float32", "float64", "int32", "int64"} | {"uint16", "uint32"})
"""What a kernel computes with."""


@dataclass(frozen=True)
class Shaped:
    """A value of the program that differs from chunk to chunk, with its shape."""

    value: Value
    shape: tuple[int, ...]


def entries_of(closed: ClosedJaxpr) -> Entries:
    """A program as operations on entries, all of its arguments being different in every chunk.

    Args:
        closed: the program of one chunk.

    Raises:
        UnfitError: there is an operation that a kernel cannot run.
    """
    arguments = [_new(aval.shape, aval.dtype) for aval in closed.in_avals]
    found = Entries([each.value for each in arguments])
    results = interpreted(closed, arguments, _Writer(found).apply)
    found.outputs = [each.value if isinstance(each, Shaped) else _known(each) for each in results]
    for each in found.outputs:
        _checked(each.dtype)
    return found


def _checked(dtype: Any) -> Any:
    """A dtype that a kernel computes with."""
    name = str(dtype)
    if name not in DTYPES:
        raise UnfitError(f"it computes with {name}")
    return dtype


def _new(shape: Sequence[int], dtype: Any) -> Shaped:
    """A value yet to be computed."""
    if math.prod(shape) == 0:
        raise UnfitError("a value of it has no entries")
    return Shaped(Value(math.prod(shape), _checked(dtype)), tuple(shape))


def _known(value: Any) -> Value:
    """A value that is the same in all chunks."""
    array = jnp.asarray(value)
    return Value(array.size, _checked(array.dtype), array.reshape(-1))


class _Writer:
    """Writes the operations of a program into a list.

    Args:
        found: where they go.
    """

    def __init__(self, found: Entries) -> None:
        self._found = found

    def apply(self, eqn: Any, operands: list[Any]) -> list[Any]:
        """The results of an operation: arrays where they are the same in all chunks."""
        if not any(isinstance(each, Shaped | Tracer) for each in operands):
            with jax.ensure_compile_time_eval():
                return bind(eqn, eqn.params, operands)
        if not any(isinstance(each, Shaped) for each in operands):
            return bind(eqn, eqn.params, operands)
        if (inner := called(eqn) or expanded(eqn)) is not None:
            return interpreted(inner, operands, self.apply)
        name = eqn.primitive.name
        if (apply := at_entries(eqn)) is not None:
            return [self._elementwise(eqn, apply, operands)]
        if name in PLACED:
            return self._moved(eqn, operands)
        if name == "dot_general":
            return [self._product(eqn, *operands)]
        if name == "reduce_sum":
            return [self._sum(eqn, *operands)]
        raise UnfitError(f"its operation {name!r} cannot be part of a kernel")

    def _put(self, kind: Callable[..., Operation], *parts: Any, like: Any, size: int | None = None) -> Value:
        """A new operation's result."""
        out = Value(math.prod(like.shape) if size is None else size, _checked(like.dtype))
        self._found.operations.append(kind(*parts, out))
        return out

    def _elementwise(self, eqn: Any, apply: Callable[..., Any], operands: list[Any]) -> Shaped:
        """An operation at each entry."""
        aval = eqn.outvars[0].aval

        def spread(each: Any) -> Value:
            value = _value(each)
            if value.size in (1, aval.size):
                return value
            # Axes of length one are for all entries along them.
            shape = each.shape if isinstance(each, Shaped) else jnp.shape(each)
            index = np.broadcast_to(np.arange(value.size).reshape(shape), aval.shape).reshape(-1)
            return self._gathered((value,), index, value)

        return Shaped(self._put(Elementwise, apply, tuple(map(spread, operands)), like=aval), aval.shape)

    def _moved(self, eqn: Any, operands: list[Any]) -> list[Any]:
        """Entries put elsewhere: the operation itself, run on their numbers, says where."""
        name = eqn.primitive.name
        arrays = INDEXED.get(name, len(operands))
        places = {*range(arrays), *([2] if name == "scatter" else [])}
        sources, numbers, first = [], [], 0
        for place, each in enumerate(operands):
            if place not in places:
                if isinstance(each, Shaped | Tracer):
                    raise UnfitError(f"its operation {name!r} has places that are computed in the step")
                numbers.append(each)
                continue
            shape = each.shape if isinstance(each, Shaped) else jnp.shape(each)
            source = each.value if isinstance(each, Shaped) else _known(each)
            numbers.append(np.arange(first, first + source.size, dtype=np.int32).reshape(shape))
            first += source.size
            sources.append(source)
        with jax.ensure_compile_time_eval():
            moved = bind(eqn, eqn.params, numbers)
        found = []
        for index, var in zip(moved, eqn.outvars, strict=True):
            index = np.asarray(index).reshape(-1)
            if index.size and not 0 <= index.min() <= index.max() < first:
                raise UnfitError(f"its operation {name!r} reads entries that are not there")
            found.append(Shaped(self._gathered(tuple(sources), index, var.aval), var.aval.shape))
        return found

    def _gathered(self, sources: tuple[Value, ...], index: np.ndarray, like: Any) -> Value:
        """Entries of some values, by their numbers."""
        if len(sources) == 1 and np.array_equal(index, np.arange(sources[0].size)):
            return sources[0]
        if index.size == 0:
            raise UnfitError("a value of it has no entries")
        return self._put(Move, sources, index, like=like, size=index.size)

    def _product(self, eqn: Any, first: Any, second: Any) -> Shaped:
        """A product of a matrix and a few vectors, or a short sum of products."""
        (contracted, batch), out = eqn.params["dimension_numbers"], eqn.outvars[0].aval
        shapes = [each.shape if isinstance(each, Shaped) else jnp.shape(each) for each in (first, second)]
        place = 0 if isinstance(first, Shaped) else 1
        state, weight = (first, second) if place == 0 else (second, first)
        free = [axis for axis in range(len(shapes[place])) if axis not in contracted[place]]
        if (
            isinstance(weight, Shaped)
            or batch[0]
            or (count := math.prod(state.shape[axis] for axis in free)) > FEW_TERMS
        ):
            return self._short_sums(eqn, (first, second), shapes)
        # Of a few vectors, one after the other.
        index = np.arange(state.value.size).reshape(state.shape).transpose(*free, *contracted[place]).reshape(count, -1)
        axes = contracted[1 - place]
        matrix = jnp.moveaxis(jnp.asarray(weight), axes, range(-len(axes), 0)).reshape(-1, index.shape[1])
        vectors = [self._gathered((state.value,), each, state.value) for each in index]
        parts = [self._put(MatrixProduct, matrix, vector, like=out, size=len(matrix)) for vector in vectors]
        order = np.arange(out.size).reshape(count, len(matrix))
        order = order.reshape(-1) if place == 0 else order.T.reshape(-1)
        return Shaped(self._gathered(tuple(parts), order, out), out.shape)

    def _short_sums(self, eqn: Any, operands: tuple[Any, Any], shapes: Sequence[Sequence[int]]) -> Shaped:
        """A product of two values that is written out term by term: both may differ from chunk to chunk."""
        (contracted, batch), out = eqn.params["dimension_numbers"], eqn.outvars[0].aval
        indices = []
        for place, shape in enumerate(shapes):
            free = [axis for axis in range(len(shape)) if axis not in (*contracted[place], *batch[place])]
            index = np.arange(math.prod(shape)).reshape(shape).transpose(*batch[place], *free, *contracted[place])
            sizes = [math.prod(shape[axis] for axis in axes) for axes in (batch[place], free, contracted[place])]
            indices.append(index.reshape(sizes))
        both = np.broadcast_arrays(indices[0][:, :, None], indices[1][:, None])
        terms, pairs = both[0].shape[-1], [*zip(map(_value, operands), both, strict=True)]

        def multiplied(which: slice | int) -> Value:
            parts = ((value, index[..., which].reshape(-1)) for value, index in pairs)
            factors = [self._cast(self._gathered((value,), index, value), out.dtype) for value, index in parts]
            return self._put(Elementwise, times, tuple(factors), like=out, size=factors[0].size)

        if out.size == 1:
            return self._total(multiplied(slice(None)), out)
        if terms > FEW_TERMS:
            raise UnfitError(f"two values of the step are multiplied with one another, over {terms} terms")
        return self._added([multiplied(number) for number in range(terms)], out)

    def _sum(self, eqn: Any, operand: Shaped) -> Shaped:
        """The sum along some axes."""
        axes, out = tuple(eqn.params["axes"]), eqn.outvars[0].aval
        index = np.moveaxis(np.arange(operand.value.size).reshape(operand.shape), axes, range(len(axes)))
        index = index.reshape(-1, out.size)
        if out.size == 1:
            return self._total(self._gathered((operand.value,), index.reshape(-1), operand.value), out)
        if len(index) > FEW_TERMS:
            raise UnfitError(f"it sums {len(index)} terms for each of {out.size} entries")
        return self._added([self._gathered((operand.value,), each, operand.value) for each in index], out)

    def _added(self, parts: list[Value], out: Any) -> Shaped:
        """The sum of some values."""
        total = parts[0]
        for part in parts[1:]:
            total = self._put(Elementwise, plus, (total, part), like=out)
        return Shaped(total, out.shape)

    def _total(self, vector: Value, out: Any) -> Shaped:
        """The sum of all entries of a value, by a row of ones."""
        ones = jnp.ones((1, vector.size), vector.dtype)
        return Shaped(self._put(MatrixProduct, ones, vector, like=out), out.shape)

    def _cast(self, value: Value, dtype: Any) -> Value:
        """A value in another dtype."""
        if value.dtype == dtype:
            return value
        return self._put(
            Elementwise, lambda x: x.astype(dtype), (value,), like=jax.ShapeDtypeStruct((value.size,), dtype)
        )


def _value(each: Any) -> Value:
    """The vector of an operand."""
    return each.value if isinstance(each, Shaped) else _known(each)
