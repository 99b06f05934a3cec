"""A scan's carry as a flat real vector, beside the leaves that cannot be iterated on, and back."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..solution import State, Tree
from .dtypes import widest


class LeafLayout(eqx.Module):
    """Shape, dtype and printable path of one carry leaf."""

    path: str = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: Any = eqx.field(static=True)

    @property
    def continuous(self) -> bool:
        """Whether the leaf is a part of the state that solvers iterate on."""
        return jnp.issubdtype(self.dtype, jnp.inexact)

    @property
    def complex(self) -> bool:
        """Whether the leaf takes two real entries for each of its own."""
        return jnp.issubdtype(self.dtype, jnp.complexfloating)

    @property
    def entries(self) -> int:
        """Number of real entries in the flat state."""
        return math.prod(self.shape) * (1 + self.complex) if self.continuous else 0


class CarryLayout(eqx.Module):
    """Where each leaf of a carry lies in the flat state; the only ravel and unravel of the package.

    Floating leaves are concatenated in tree order in their widest dtype, complex ones as real parts followed by
    imaginary parts. All other leaves (integers, booleans, keys) are *discrete* and travel beside the flat state.
    """

    treedef: Any = eqx.field(static=True)
    leaves: tuple[LeafLayout, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, carry: Tree) -> "CarryLayout":
        """Layout of a carry given as arrays, tracers or ``ShapeDtypeStruct``."""
        leaves, treedef = jax.tree_util.tree_flatten_with_path(carry)
        named = [LeafLayout(jax.tree_util.keystr(path) or "carry", leaf.shape, leaf.dtype) for path, leaf in leaves]
        return cls(treedef, tuple(named))

    @property
    def size(self) -> int:
        """D, the number of entries of the flat state."""
        return sum(leaf.entries for leaf in self.leaves)

    @property
    def dtype(self) -> Any:
        """Dtype of the flat state: the widest real dtype among the floating leaves."""
        return widest(jnp.finfo(leaf.dtype).dtype for leaf in self.leaves if leaf.continuous)

    def ravel(self, carry: Tree) -> tuple[State, tuple[Array, ...]]:
        """Flat state and discrete leaves of a carry."""
        leaves = jax.tree.leaves(carry)
        parts, discrete = [], []
        for leaf, layout in zip(leaves, self.leaves, strict=True):
            if not layout.continuous:
                discrete.append(leaf)
                continue
            pieces = (jnp.real(leaf), jnp.imag(leaf)) if layout.complex else (leaf,)
            parts.extend(jnp.ravel(piece).astype(self.dtype) for piece in pieces)
        return jnp.concatenate(parts), tuple(discrete)

    def partition(self, carry: Tree) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Floating leaves as they are, and discrete leaves."""
        leaves = list(zip(jax.tree.leaves(carry), self.leaves, strict=True))
        floating = tuple(leaf for leaf, layout in leaves if layout.continuous)
        return floating, tuple(leaf for leaf, layout in leaves if not layout.continuous)

    def combine(self, floating: tuple[Array, ...], discrete: tuple[Array, ...]) -> Tree:
        """The carry of these leaves; inverse of ``partition``."""
        of_kind = {True: iter(floating), False: iter(discrete)}
        return jax.tree.unflatten(self.treedef, [next(of_kind[layout.continuous]) for layout in self.leaves])

    def unravel(self, state: State, discrete: tuple[Array, ...]) -> Tree:
        """Carry whose floating leaves come from a flat state; inverse of ``ravel`` up to rounding of narrow leaves."""
        remaining = iter(discrete)
        leaves, start = [], 0
        for layout in self.leaves:
            if not layout.continuous:
                leaves.append(next(remaining))
                continue
            entries = state[start : start + layout.entries]
            start += layout.entries
            if layout.complex:
                real, imaginary = jnp.split(entries, 2)
                entries = jax.lax.complex(real, imaginary)
            leaves.append(entries.reshape(layout.shape).astype(layout.dtype))
        return jax.tree.unflatten(self.treedef, leaves)
