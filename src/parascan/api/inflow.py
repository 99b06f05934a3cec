"""Inputs of a stream: rows that are read once, in order, a window at a time, from arrays or from an iterator."""

import abc
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..solution import Tree
from .checkpoint import Seen


class AbstractSource(abc.ABC):
    """Rows of inputs in the order of time."""

    total: int | None

    @abc.abstractmethod
    def read(self, count: int) -> tuple[Tree, int]:
        """The next rows, ``count`` of them or as many as there are, and their number."""


class Arrays(AbstractSource):
    """Rows of arrays that lie in the memory of the host, of a device, or in a file (``numpy.memmap``)."""

    def __init__(self, xs: Tree, length: int) -> None:
        self.xs, self.total, self.position = xs, length, 0

    def read(self, count: int) -> tuple[Tree, int]:
        """A slice; nothing else is touched."""
        start, stop = self.position, min(self.position + count, self.total or 0)
        self.position = stop
        return jax.tree.map(lambda leaf: leaf[start:stop], self.xs), stop - start


class Chunks(AbstractSource):
    """Rows that an iterator hands out in chunks of any length."""

    def __init__(self, chunks: Iterator[Tree], length: int | None) -> None:
        self.chunks, self.total, self.left = chunks, length, length
        self.rows, self.count = None, 0

    def read(self, count: int) -> tuple[Tree, int]:
        """Rows from as many chunks as it takes; what is left of the last one is kept."""
        count = count if self.left is None else min(count, self.left)
        while self.count < count:
            chunk = next(self.chunks, None)
            if chunk is None:
                break
            self.rows = joined(self.rows, chunk)
            self.count += leading(chunk)
        given = min(count, self.count)
        rows = jax.tree.map(lambda leaf: leaf[:given], self.rows)
        self.rows, self.count = jax.tree.map(lambda leaf: leaf[given:], self.rows), self.count - given
        self.left = None if self.left is None else self.left - given
        return rows, given


class Inflow:
    """The rows of the current window: read from a source at the end, dropped at the front."""

    def __init__(self, source: AbstractSource) -> None:
        self.source, self.rows, self.count = source, None, 0
        self.seen: Seen | None = None

    def fill(self, window: int) -> int:
        """Read until the window is full or the source is empty; returns the number of rows in it."""
        if self.count < window:
            rows, count = self.source.read(window - self.count)
            self.rows = rows if self.count == 0 else joined(self.rows, rows)
            self.count += count
        return self.count

    def padded(self, window: int) -> Tree:
        """The window's rows, the last one repeated to fill it: windows of one shape share one compiled program."""

        def pad(leaf: Any) -> Any:
            concatenate = jnp.concatenate if isinstance(leaf, jax.Array) else np.concatenate
            return concatenate([leaf] + [leaf[-1:]] * (window - self.count)) if self.count < window else leaf

        return jax.tree.map(pad, self.rows)

    def drop(self, count: int) -> None:
        """Drop the first rows; where a fingerprint is kept, it takes them in."""
        if self.seen is not None:
            self.seen.add(jax.tree.map(lambda leaf: leaf[:count], self.rows))
        self.rows, self.count = jax.tree.map(lambda leaf: leaf[count:], self.rows), self.count - count


def joined(first: Tree, then: Tree) -> Tree:
    """Two trees of rows joined along time; None stands for no rows."""
    if first is None:
        return then

    def join(a: Any, b: Any) -> Any:
        return (jnp if isinstance(a, jax.Array) else np).concatenate([a, b])

    return jax.tree.map(join, first, then)


def leading(tree: Tree) -> int:
    """Number of rows of a tree of arrays.

    Raises:
        ValueError: it has no array, a scalar, or leaves of different length.
    """
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in jax.tree.leaves(tree)}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(
            f"xs: given a chunk with leading axes {sorted(map(str, lengths))}, expected arrays of one number of rows."
        )
    return lengths.pop() or 0
