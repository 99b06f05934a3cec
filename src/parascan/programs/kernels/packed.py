"""What a kernel reads of the arrays that are the same in all chunks: all parts, padded, one after the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .parts import Part, Parts, padded
from .vectors import MatrixProduct, Value

Key = tuple[Value | MatrixProduct, Part, Part | None]


class Packed:
    """The parts of known arrays that the operations of a step read.

    Args:
        parts: the operations, and how values are held.
    """

    def __init__(self, parts: Parts) -> None:
        self._places: dict[Key, tuple[str, int, tuple[int, int]]] = {}
        self._lengths: dict[str, int] = {}

        def read(source: Value | MatrixProduct, rows: Part, columns: Part | None) -> Any:
            shape = padded(rows[1]), 1 if columns is None else padded(columns[1])
            array = _array(source)
            key = source, rows, columns
            if key not in self._places and _number(source, rows, columns) is None:
                kind = str(array.dtype)
                self._places[key] = kind, self._lengths.get(kind, 0), shape
                self._lengths[kind] = self._lengths.get(kind, 0) + shape[0] * shape[1]
            return jnp.zeros(shape, array.dtype)

        def once() -> None:
            inputs = [
                [jnp.zeros((padded(size), 1), value.dtype) for _, size in parts.of[value]]
                for value in parts.entries.inputs
            ]
            parts.run(inputs, read)

        jax.eval_shape(once)

    @property
    def bytes(self) -> int:
        """Bytes of all parts."""
        return sum(jnp.dtype(kind).itemsize * length for kind, length in self._lengths.items())

    @property
    def kinds(self) -> list[str]:
        """Dtypes of the buffers, in their order."""
        return list(self._lengths)

    def buffers(self) -> list[Array]:
        """The parts, one after the other; a buffer for each dtype."""
        found: dict[str, list[Array]] = {kind: [] for kind in self._lengths}
        for (source, rows, columns), (kind, _, shape) in self._places.items():
            part = _array(source)[rows[0] : rows[0] + rows[1]].reshape(rows[1], -1)
            if columns is not None:
                part = part[:, columns[0] : columns[0] + columns[1]]
            found[kind].append(
                jnp.pad(part, [(0, full - has) for full, has in zip(shape, part.shape, strict=True)]).reshape(-1)
            )
        return [jnp.concatenate(each) for each in found.values()]

    def loader(self, cut: Callable[[str, int, int], Any], *, at_once: bool) -> Callable[..., Any]:
        """Gives the parts inside of a kernel.

        Args:
            cut: gives entries of the buffer of a dtype, from their first one and their number.
            at_once: whether all are loaded now, rather than each when it is needed.
        """

        def loaded(place: tuple[str, int, tuple[int, int]]) -> Any:
            kind, first, shape = place
            return cut(kind, first, shape[0] * shape[1]).reshape(shape)

        held = {key: loaded(place) for key, place in self._places.items()} if at_once else {}

        def load(source: Value | MatrixProduct, rows: Part, columns: Part | None) -> Any:
            if (number := _number(source, rows, columns)) is not None:
                return jnp.full((1, 1), number, _array(source).dtype)
            key = source, rows, columns
            return held[key] if at_once else loaded(self._places[key])

        return load


def _array(source: Value | MatrixProduct) -> Any:
    """The known array itself."""
    return source.matrix if isinstance(source, MatrixProduct) else source.known


def _number(source: Value | MatrixProduct, rows: Part, columns: Part | None) -> Any:
    """A single entry that is known while tracing: it is written into the kernel."""
    array = _array(source)
    if isinstance(array, Tracer) or rows[1] > 1 or (columns is not None and columns[1] > 1):
        return None
    value = np.asarray(array).reshape(len(array), -1)[rows[0], 0 if columns is None else columns[0]]
    return value.item()
