"""The contract of a transition: T linear maps ``A_1 .. A_T`` of one structure, known slice by slice.

A structure is defined by three functions of *one* slice: its product with a vector, its transposed product and, where
products of two such matrices have the same structure, the composition of two slices. Operations on all T slices are
derived from these here, and so is every order of evaluation of the backends.
"""

import abc
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from ..solution import State, Trajectory


class AbstractTransition(eqx.Module):
    """T square matrices ``A_1 .. A_T`` of one structure; row k of every array stores ``A_{k+1}``.

    A subclass stores its structure (a diagonal transition *is* a diagonal) and gives the product of one slice.
    """

    @property
    @abc.abstractmethod
    def length(self) -> int:
        """T, the number of matrices."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """D, the size of the state."""

    @property
    @abc.abstractmethod
    def dtype(self) -> Any:
        """Floating dtype of the matrices and of the states they act on."""

    @property
    @abc.abstractmethod
    def slices(self) -> PyTree[Array]:
        """The stored arrays, with leading axis T; ``product`` takes one row of them."""

    @abc.abstractmethod
    def product(self, row: PyTree[Array], v: State) -> State:
        """``A v`` for one row of ``slices``."""

    @abc.abstractmethod
    def transposed_product(self, row: PyTree[Array], v: State) -> State:
        """``A^T v`` for one row of ``slices``."""

    @abc.abstractmethod
    def scale(self, factor: float | Float[Array, ""]) -> "AbstractTransition":
        """The same structure with every ``A_t`` multiplied by one number, as damping does."""

    @abc.abstractmethod
    def clip(self, bound: float | Float[Array, ""]) -> "AbstractTransition":
        """Every entry of every ``A_t`` limited to a magnitude."""

    @abc.abstractmethod
    def guarded(self) -> "AbstractTransition":
        """The same structure with zeros for entries that are not finite, so that one does not spoil all later rows."""

    def transposable(self) -> "AbstractTransition":
        """The same matrices, whose products over all t JAX can transpose."""
        return self

    def row(self, index: int | Int[Array, ""]) -> PyTree[Array]:
        """Row ``index`` of ``slices``; the index may be traced and must lie in range."""
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False), self.slices)

    def apply(self, v: Trajectory) -> Trajectory:
        """``A_t v_t`` for all t in parallel."""
        return jax.vmap(self.product)(self.slices, v)

    def apply_transposed(self, v: Trajectory) -> Trajectory:
        """``A_t^T v_t`` for all t in parallel."""
        return jax.vmap(self.transposed_product)(self.slices, v)

    def as_dense(self) -> Float[Array, "T D D"]:
        """All T matrices written out, for checks and small problems (T D^2 numbers)."""
        identity = jnp.eye(self.size, dtype=self.dtype)
        columns = jax.vmap(self.product, in_axes=(None, 1), out_axes=1)
        return jax.vmap(columns, in_axes=(0, None), axis_size=self.length)(self.slices, identity)


class AbstractComposableTransition(AbstractTransition):
    """A transition whose products have the same structure, as a tree of partial products needs it.

    Its only arrays are those of ``slices``, and each is linear in the matrices.
    """

    @abc.abstractmethod
    def compose(self, later: PyTree[Array], earlier: PyTree[Array]) -> PyTree[Array]:
        """The row of ``A_later A_earlier``."""

    def with_slices(self, slices: PyTree[Array]) -> "AbstractComposableTransition":
        """The same structure over other rows, of any number."""
        return jax.tree.unflatten(jax.tree.structure(self), jax.tree.leaves(slices))

    def scale(self, factor: float | Float[Array, ""]) -> "AbstractComposableTransition":
        """The same structure with every ``A_t`` multiplied by one number, as damping does."""
        return jax.tree.map(lambda x: x * jnp.asarray(factor, x.dtype), self)

    def clip(self, bound: float | Float[Array, ""]) -> "AbstractComposableTransition":
        """The same structure with every stored entry limited to a magnitude."""
        return jax.tree.map(lambda x: jnp.clip(x, -jnp.asarray(bound, x.dtype), jnp.asarray(bound, x.dtype)), self)

    def guarded(self) -> "AbstractComposableTransition":
        """The same structure with zero for every stored entry that is not finite."""
        return jax.tree.map(lambda x: jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x)), self)


def require_count(name: str, count: int) -> int:
    """The count, refused if it is negative or no integer."""
    if operator.index(count) < 0:
        raise ValueError(f"{name}: given {count}, expected 0 or more.")
    return operator.index(count)


def require_rows(name: str, array: Array, shape: str, ndim: int) -> None:
    """Refuse an argument that is not a floating array with ``ndim`` axes."""
    if array.ndim != ndim:
        raise ValueError(f"{name}: given shape {array.shape}, expected {shape}.")
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        raise ValueError(f"{name}: given dtype {array.dtype}, expected a floating one such as float32 or float64.")
