"""Transitions made of small blocks on the diagonal, after a reordering of the state."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..solution import State
from ._abstract import AbstractComposableTransition, require_rows
from .transitions import PRECISION, matrix_product


def _as_tuple(permutation: Any) -> tuple[int, ...] | None:
    """A permutation as hashable static data, flat, in block order."""
    if permutation is None:
        return None
    return tuple(int(index) for index in np.asarray(permutation).ravel())


class BlockTransition(AbstractComposableTransition):
    """T block-diagonal matrices with N blocks of k x k, for states made of N independent groups of k coordinates.

    An LSTM's cell and hidden value form such pairs (k = 2) when the hidden-to-hidden weights are diagonal. Products
    cost N k^2 a slice, compositions N k^3; storage is T N k^2.

    Args:
        matrices: the blocks, shape [T N k k], floating.
        permutation: which coordinates of the state form block n, shape [N k] (any nesting or flat, integers), or None
            for consecutive groups of k. Static: it is part of the structure, not of the data.

    Raises:
        ValueError: the array is not floating or not [T N k k], or the permutation does not name every coordinate once.

    Examples:
        >>> import jax.numpy as jnp
        >>> swap = jnp.array([[[[0.0, 1.0], [1.0, 0.0]]] * 2])
        >>> print(BlockTransition(swap, permutation=((0, 2), (1, 3))).apply(jnp.arange(4.0)[None]))
        [[2. 3. 0. 1.]]
    """

    matrices: Float[Array, "T N k k"] = eqx.field(converter=jnp.asarray)
    permutation: tuple[int, ...] | None = eqx.field(static=True, converter=_as_tuple, default=None)

    def __check_init__(self):
        require_rows("matrices", self.matrices, "[T N k k]", 4)
        if self.matrices.shape[2] != self.matrices.shape[3]:
            raise ValueError(f"matrices: given shape {self.matrices.shape}, expected square blocks, [T N k k].")
        if self.permutation is not None and sorted(self.permutation) != list(range(self.size)):
            raise ValueError(
                f"permutation: given {self.permutation}, expected each of the {self.size} state coordinates "
                f"0 .. {self.size - 1} exactly once."
            )

    @property
    def length(self) -> int:
        """T, the number of matrices."""
        return self.matrices.shape[0]

    @property
    def size(self) -> int:
        """D = N k, the size of the state."""
        return self.matrices.shape[1] * self.matrices.shape[2]

    @property
    def dtype(self) -> Any:
        """Dtype of the entries."""
        return self.matrices.dtype

    @property
    def slices(self) -> Float[Array, "T N k k"]:
        """The blocks."""
        return self.matrices

    def product(self, row: Float[Array, "N k k"], v: State) -> State:
        """``A v`` for one row."""
        return self.ungroup(jnp.einsum("nij,nj->ni", row, self.group(v), precision=PRECISION))

    def transposed_product(self, row: Float[Array, "N k k"], v: State) -> State:
        """``A^T v`` for one row."""
        return self.ungroup(jnp.einsum("nji,nj->ni", row, self.group(v), precision=PRECISION))

    def compose(self, later: Float[Array, "N k k"], earlier: Float[Array, "N k k"]) -> Float[Array, "N k k"]:
        """Blocks of ``A_later A_earlier``."""
        return jax.vmap(matrix_product)(later, earlier)

    def group(self, v: State) -> Float[Array, "N k"]:
        """Coordinates gathered by block."""
        ordered = v if self.permutation is None else v[np.array(self.permutation)]
        return ordered.reshape(-1, self.matrices.shape[-1])

    def ungroup(self, v: Float[Array, "N k"]) -> State:
        """Coordinates back in the order of the state."""
        return v.ravel() if self.permutation is None else v.ravel()[np.argsort(self.permutation)]
