"""Marks on the rows of a sequence: padding, missing rows, and where sequences start."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Int

from ..solution import Tree


class Marks(NamedTuple):
    """Marks on the rows of a sequence: how many are inputs, which are, and which start a sequence."""

    length: Int[Array, ""] | None
    mask: Bool[Array, " T"] | None
    starts: Bool[Array, " T"] | None

    def valid(self, rows: int) -> Bool[Array, " T"] | None:
        """Rows that hold an input, None for all."""
        inside = None if self.length is None else jnp.arange(rows) < self.length
        if inside is None or self.mask is None:
            return self.mask if inside is None else inside
        return inside & self.mask


def resets(marks: Marks, rows: int, reverse: bool) -> Bool[Array, " T"] | None:
    """Rows whose step starts from the initial state."""
    if marks.starts is not None:
        # Run backwards, a sequence starts at its last row, the one before the start of the next.
        return jnp.roll(marks.starts, -1).at[-1].set(False) if reverse else marks.starts
    if marks.length is not None and reverse:
        # The padding comes first; whatever it did to the state is dropped where the inputs begin.
        return jnp.arange(rows) == marks.length - 1
    return None


def row_before(length: Int[Array, ""], states: Tree, first: Tree) -> Tree:
    """The state after ``length`` steps."""

    def pick(states: Array, first: Array) -> Array:
        return jnp.where(length > 0, states[jnp.maximum(length - 1, 0)], first)

    return jax.tree.map(pick, states, first)


def where_rows(rows: Bool[Array, " T"], first: Array, second: Array) -> Array:
    """Rows of the first array where a flag is true, else of the second."""
    return jnp.where(rows.reshape(-1, *[1] * (first.ndim - 1)), first, second)


def checked_marks(xs: Tree, length: Any, mask: Any, starts: Any) -> Marks:
    """Marks of the right shapes and kinds."""
    leaves = jax.tree.leaves(xs)
    if not leaves or any(jnp.ndim(leaf) == 0 for leaf in leaves):
        raise ValueError("xs: given no array with a leading axis, expected inputs [T, I].")
    if starts is not None and length is not None:
        raise ValueError("starts: given together with length, expected one of them; mask marks padding as well.")
    if length is not None:
        length = jnp.asarray(length)
        if length.ndim or not jnp.issubdtype(length.dtype, jnp.integer):
            raise ValueError(
                f"length: given {length.dtype}{list(length.shape)}, expected an integer; batches come from jax.vmap."
            )
    rows = jnp.shape(leaves[0])[0]
    if length is not None and not isinstance(length, Tracer) and not 0 <= int(length) <= rows:
        raise ValueError(f"length: given {int(length)}, expected 0 to {rows}, the rows of xs.")
    flags = {"mask": mask, "starts": starts}
    for name, value in flags.items():
        if value is None:
            continue
        flags[name] = value = jnp.asarray(value)
        if value.shape != (rows,) or value.dtype != jnp.bool_:
            raise ValueError(f"{name}: given {value.dtype}{list(value.shape)}, expected bool[{rows}].")
    return Marks(length, flags["mask"], flags["starts"])
