"""Transitions that store their matrices: dense, diagonal, scaled identity and zero (blocks have their own file)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..solution import State, Trajectory
from ._abstract import AbstractComposableTransition, require_count, require_rows

# Recurrences multiply thousands of matrices in a row. TF32 or bfloat16 passes, which accelerators use by default for
# float32, would lose half the digits at every product, so each product here asks for full precision by itself: the
# answer must not depend on `jax_default_matmul_precision`, which belongs to the user.
PRECISION = jax.lax.Precision.HIGHEST

# Up to this size a product of two matrices is written as a sum of outer products, which fuses into vector code. As a
# batch of tiny matrix products it ran 14 times slower at D = 4 and 2 times at D = 8 (2-core CPU, float32); from
# D = 16 on the matrix product is as fast and the program shorter.
LARGEST_UNROLLED = 8

# A transposed product in a loop on a CPU is up to three times faster as ``A^T v`` up to this size, and up to four times
# as ``v A`` beyond it (measured for D = 2 to 256).
LARGEST_FROM_LEFT = 64


def matrix_product(later: Float[Array, "D D"], earlier: Float[Array, "D D"]) -> Float[Array, "D D"]:
    """``later @ earlier`` in full precision, fast also in batches of tiny matrices."""
    size = later.shape[1]
    if not 0 < size <= LARGEST_UNROLLED:
        return jnp.matmul(later, earlier, precision=PRECISION)
    total = later[:, :1] * earlier[:1]
    for j in range(1, size):
        total = total + later[:, j : j + 1] * earlier[j : j + 1]
    return total


class DenseTransition(AbstractComposableTransition):
    """T full matrices, for a step whose state coordinates all act on each other.

    Products cost D^2 a slice, compositions D^3; storage is T D^2.

    Args:
        matrices: ``A_t`` by rows, shape [T D D], floating.

    Raises:
        ValueError: the array is not floating or not [T D D].
    """

    matrices: Float[Array, "T D D"] = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        require_rows("matrices", self.matrices, "[T D D]", 3)
        if self.matrices.shape[1] != self.matrices.shape[2]:
            raise ValueError(f"matrices: given shape {self.matrices.shape}, expected square matrices, [T D D].")

    @property
    def length(self) -> int:
        """T, the number of matrices."""
        return self.matrices.shape[0]

    @property
    def size(self) -> int:
        """D, the size of the state."""
        return self.matrices.shape[-1]

    @property
    def dtype(self) -> Any:
        """Dtype of the entries."""
        return self.matrices.dtype

    @property
    def slices(self) -> Float[Array, "T D D"]:
        """The matrices."""
        return self.matrices

    def product(self, row: Float[Array, "D D"], v: State) -> State:
        """``A v`` for one row."""
        # From the right, since a CPU runs that up to three times as fast as ``row @ v`` (D = 8, and from 64 on).
        return jnp.matmul(v, row.T, precision=PRECISION)

    def transposed_product(self, row: Float[Array, "D D"], v: State) -> State:
        """``A^T v`` for one row."""
        if self.size <= LARGEST_FROM_LEFT:
            return jnp.matmul(row.T, v, precision=PRECISION)
        return jnp.matmul(v, row, precision=PRECISION)

    def compose(self, later: Float[Array, "D D"], earlier: Float[Array, "D D"]) -> Float[Array, "D D"]:
        """``A_later A_earlier``."""
        return matrix_product(later, earlier)

    def as_dense(self) -> Float[Array, "T D D"]:
        """The matrices themselves."""
        return self.matrices


class DiagonalTransition(AbstractComposableTransition):
    """T diagonal matrices, for a step that acts on each coordinate alone or for the diagonal of any Jacobian.

    Products and compositions cost D a slice; storage is T D.

    Args:
        diagonal: diagonals of ``A_t`` by rows, shape [T D], floating.

    Raises:
        ValueError: the array is not floating or not [T D].
    """

    diagonal: Float[Array, "T D"] = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        require_rows("diagonal", self.diagonal, "[T D]", 2)

    @property
    def length(self) -> int:
        """T, the number of matrices."""
        return self.diagonal.shape[0]

    @property
    def size(self) -> int:
        """D, the size of the state."""
        return self.diagonal.shape[1]

    @property
    def dtype(self) -> Any:
        """Dtype of the entries."""
        return self.diagonal.dtype

    @property
    def slices(self) -> Float[Array, "T D"]:
        """The diagonals."""
        return self.diagonal

    def product(self, row: Float[Array, " D"], v: State) -> State:
        """``A v`` for one row."""
        return row * v

    def transposed_product(self, row: Float[Array, " D"], v: State) -> State:
        """``A^T v = A v`` for one row."""
        return row * v

    def compose(self, later: Float[Array, " D"], earlier: Float[Array, " D"]) -> Float[Array, " D"]:
        """Diagonal of ``A_later A_earlier``."""
        return later * earlier


class ScalarTransition(AbstractComposableTransition):
    """T multiples of the identity: Picard iteration (all ones) and its damped forms.

    Products cost D a slice, compositions one multiplication; storage is T.

    Args:
        factors: the multiples, shape [T], floating.
        size: D, the size of the state.

    Raises:
        ValueError: the array is not floating or not [T], or the size is negative.
    """

    factors: Float[Array, " T"]
    _size: int = eqx.field(static=True)

    def __init__(self, factors: Float[Array, " T"], size: int):
        self.factors = jnp.asarray(factors)
        self._size = require_count("size", size)

    def __check_init__(self):
        require_rows("factors", self.factors, "[T]", 1)

    @property
    def length(self) -> int:
        """T, the number of matrices."""
        return self.factors.shape[0]

    @property
    def size(self) -> int:
        """D, the size of the state."""
        return self._size

    @property
    def dtype(self) -> Any:
        """Dtype of the factors."""
        return self.factors.dtype

    @property
    def slices(self) -> Float[Array, " T"]:
        """The factors."""
        return self.factors

    def product(self, row: Float[Array, ""], v: State) -> State:
        """``A v`` for one row."""
        return row * v

    def transposed_product(self, row: Float[Array, ""], v: State) -> State:
        """``A^T v = A v`` for one row."""
        return row * v

    def compose(self, later: Float[Array, ""], earlier: Float[Array, ""]) -> Float[Array, ""]:
        """Factor of ``A_later A_earlier``."""
        return later * earlier


class ZeroTransition(AbstractComposableTransition):
    """T zero matrices: Jacobi iteration, whose every row stands alone.

    Nothing is stored and a recurrence over it is its right-hand side.

    Args:
        length: T, the number of matrices.
        size: D, the size of the state.
        dtype: floating dtype of the states.

    Raises:
        ValueError: a negative length or size.
    """

    _length: int = eqx.field(static=True)
    _size: int = eqx.field(static=True)
    _dtype: Any = eqx.field(static=True)

    def __init__(self, length: int, size: int, dtype: Any):
        self._length = require_count("length", length)
        self._size = require_count("size", size)
        self._dtype = jnp.dtype(dtype)

    @property
    def length(self) -> int:
        """T, the number of matrices."""
        return self._length

    @property
    def size(self) -> int:
        """D, the size of the state."""
        return self._size

    @property
    def dtype(self) -> Any:
        """Dtype of the states."""
        return self._dtype

    @property
    def slices(self) -> tuple[()]:
        """Nothing."""
        return ()

    def product(self, row: tuple[()], v: State) -> State:
        """A zero vector."""
        return jnp.zeros_like(v)

    def transposed_product(self, row: tuple[()], v: State) -> State:
        """A zero vector."""
        return jnp.zeros_like(v)

    def compose(self, later: tuple[()], earlier: tuple[()]) -> tuple[()]:
        """Zero again."""
        return ()

    def apply(self, v: Trajectory) -> Trajectory:
        """Zeros."""
        return jnp.zeros_like(v)

    def apply_transposed(self, v: Trajectory) -> Trajectory:
        """Zeros."""
        return jnp.zeros_like(v)
