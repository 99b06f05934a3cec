"""Vectors of entries, and the operations on them that a kernel for a tile of chunks runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Array


class UnfitError(Exception):
    """Why a step cannot be the body of a kernel, in a sentence that goes on from "because"."""


@dataclass(frozen=True, eq=False)
class Value:
    """A vector of entries; compared by identity.

    Attributes:
        size: how many entries.
        dtype: of each.
        known: the entries ``[size]``, where they are the same in all chunks.
    """

    size: int
    dtype: Any
    known: Array | None = None


@dataclass(frozen=True, eq=False)
class Elementwise:
    """An operation at each entry; operands of one entry are for all."""

    apply: Callable[..., Any]
    operands: tuple[Value, ...]
    out: Value


@dataclass(frozen=True, eq=False)
class Move:
    """Entries put elsewhere.

    Attributes:
        sources: where they come from.
        index: for each entry of the result its number among those of all sources.
        out: the result.
    """

    sources: tuple[Value, ...]
    index: np.ndarray
    out: Value


@dataclass(frozen=True, eq=False)
class MatrixProduct:
    """A matrix that is the same in all chunks ``[out, operand]``, times a vector."""

    matrix: Array
    operand: Value
    out: Value


Operation = Elementwise | Move | MatrixProduct


@dataclass
class Entries:
    """A program as operations on entries.

    Attributes:
        inputs: its arguments.
        operations: in order.
        outputs: its results.
    """

    inputs: list[Value]
    operations: list[Operation] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
