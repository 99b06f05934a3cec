"""A transition known only through its product with a vector."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ..programs.closure import Function
from ..programs.inside import names_in
from ..programs.primitives import BRANCHES
from ..programs.unknown import unknown_is
from ..solution import State, Trajectory
from ._abstract import AbstractTransition, require_count
from .transitions import DenseTransition


class _Scaled(Function):
    """A product followed by a multiplication with one number."""

    apply_one: Callable[[PyTree[Array], State], State]
    factor: float | Float[Array, ""]

    def __call__(self, row: PyTree[Array], v: State) -> State:
        """``factor A v``."""
        return self.apply_one(row, v) * jnp.asarray(self.factor, v.dtype)


class _Guarded(Function):
    """A product that is zero where the row's mask says that the matrix is not finite."""

    apply_one: Callable[[PyTree[Array], State], State]

    def __call__(self, row: tuple[PyTree[Array], Bool[Array, ""]], v: State) -> State:
        """``A v``, or zero."""
        inner, finite = row
        # Masked on both sides, so that the transpose, too, never multiplies zero by infinity in what it returns.
        kept = jnp.where(finite, v, jnp.zeros_like(v))
        return jnp.where(finite, self.apply_one(inner, kept), jnp.zeros_like(v))


class MatrixFreeTransition(AbstractTransition):
    """T matrices of which only products with vectors are available, such as Jacobian-vector products.

    Costs what ``apply_one`` costs and stores only its operands, never T D^2 numbers. Matrices that are not stored
    cannot be multiplied with each other, so recurrences over them run one step after the other (depth T), or in chunks
    side by side where the products contract.

    Args:
        apply_one: ``(row, v) -> A v`` for one row of ``operands`` and v of shape [D]; linear in v. Values that
            derivatives must reach belong to ``operands`` or, if ``apply_one`` is a pytree, to its leaves.
        operands: pytree of arrays with leading axis T; row t determines ``A_t``.
        size: D, the size of the state.
        dtype: floating dtype of the state; by default that of the first floating array in ``operands``, the point
            of linearization as a rule.

    Raises:
        ValueError: ``operands`` has no arrays, arrays of different leading lengths, or no floating array while
            ``dtype`` is not given, or ``apply_one`` does not map a state to a state.

    Examples:
        >>> import jax.numpy as jnp
        >>> turn = MatrixFreeTransition(lambda angle, v: angle * jnp.flip(v), jnp.array([1.0, 2.0]), 2)
        >>> print(turn.apply(jnp.array([[1.0, 2.0], [3.0, 4.0]])))
        [[2. 1.]
         [8. 6.]]
    """

    apply_one: Callable[[PyTree[Array], State], State]
    operands: PyTree[Array]
    _size: int = eqx.field(static=True)
    _dtype: Any = eqx.field(static=True)

    def __init__(
        self,
        apply_one: Callable[[PyTree[Array], State], State],
        operands: PyTree[Array],
        size: int,
        dtype: Any = None,
    ):
        self.apply_one = apply_one
        self.operands = jax.tree.map(jnp.asarray, operands)
        self._size = require_count("size", size)
        self._dtype = _floating_dtype(jax.tree.leaves(self.operands)) if dtype is None else jnp.dtype(dtype)

    def __check_init__(self):
        lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(self.operands)}
        if len(lengths) != 1 or () in lengths:
            raise ValueError(
                f"operands: given leading shapes {sorted(lengths)}, expected arrays that share one axis T."
            )
        if self.length == 0:
            return
        state = self._one_state()
        result = jax.eval_shape(self.apply_one, self._one_row(), state)
        if (result.shape, result.dtype) != (state.shape, state.dtype):
            raise ValueError(
                f"apply_one: given one that maps shape {state.shape} and dtype {state.dtype} to shape {result.shape} "
                f"and dtype {result.dtype}, expected the shape and dtype of the state to stay."
            )

    @property
    def length(self) -> int:
        """T, the number of matrices."""
        return jax.tree.leaves(self.operands)[0].shape[0]

    @property
    def size(self) -> int:
        """D, the size of the state."""
        return self._size

    @property
    def dtype(self) -> Any:
        """Dtype of the states."""
        return self._dtype

    @property
    def slices(self) -> PyTree[Array]:
        """The operands."""
        return self.operands

    def product(self, row: PyTree[Array], v: State) -> State:
        """``A v`` for one row."""
        return self.apply_one(row, v)

    def transposed_product(self, row: PyTree[Array], v: State) -> State:
        """``A^T v`` for one row."""
        (product,) = jax.linear_transpose(lambda u: self.apply_one(row, u), v)(v)
        return product

    def transposable(self) -> "MatrixFreeTransition":
        """The same matrices, multiplied one row after the other where the product holds a branch.

        JAX has no transpose of a branch that is taken for many rows at once, each its own way.
        """
        if self.length == 0 or not _branches(self.apply_one, self._one_row(), self._one_state()):
            return self
        return _RowByRow(self.apply_one, self.operands, self.size, self.dtype)

    def scale(self, factor: float | Float[Array, ""]) -> "MatrixFreeTransition":
        """Products multiplied by one number."""
        return MatrixFreeTransition(_Scaled(self.apply_one, factor), self.operands, self.size, self.dtype)

    def clip(self, bound: float | Float[Array, ""]) -> AbstractTransition:
        """Dense matrices with limited entries: only matrices that are written out can be clipped (T D^2 numbers)."""
        return DenseTransition(self.as_dense()).clip(bound)

    def guarded(self) -> "MatrixFreeTransition":
        """Zero for every ``A_t`` whose product with a vector of ones is not finite, found in one parallel pass."""
        # XLA would fold the product of closed-over weights with ones as it compiles: half a minute for 20000 steps.
        ones = jax.lax.optimization_barrier(jnp.ones((self.length, self.size), self.dtype))
        products = self.apply(ones)
        operands = (self.operands, jnp.all(jnp.isfinite(products), axis=1))
        return MatrixFreeTransition(_Guarded(self.apply_one), operands, self.size, self.dtype)

    def _one_row(self) -> PyTree[Any]:
        """Shapes of one row of the operands."""
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), self.operands)

    def _one_state(self) -> jax.ShapeDtypeStruct:
        """Shape of a state."""
        return jax.ShapeDtypeStruct((self.size,), self.dtype)


class _RowByRow(MatrixFreeTransition):
    """The same matrices, whose products are taken one after the other."""

    def apply(self, v: Trajectory) -> Trajectory:
        """``A_t v_t`` for all t."""
        return jax.lax.map(lambda row: self.product(*row), (self.slices, v))

    def apply_transposed(self, v: Trajectory) -> Trajectory:
        """``A_t^T v_t`` for all t."""
        return jax.lax.map(lambda row: self.transposed_product(*row), (self.slices, v))


@unknown_is(lambda product, *example: True)
def _branches(product: Callable[..., State], *example: Any) -> bool:
    """Whether a product holds a branch."""
    return bool(BRANCHES & names_in(jax.make_jaxpr(product)(*example).jaxpr))


def _floating_dtype(leaves: list[Array]) -> Any:
    """Dtype of the first floating array."""
    floating = [leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    if not floating:
        raise ValueError("operands: given no floating array, expected one, or the dtype of the state as dtype.")
    return floating[0]
