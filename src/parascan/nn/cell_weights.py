"""Cells with given weights; weights from and to equinox's cells, whose layers then put out the same numbers."""

from typing import Any, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array

from ._cell import AbstractUnitCell
from .gated import GRUCell, LSTMCell

C = TypeVar("C", bound=eqx.Module)

KINDS = ((GRUCell, eqx.nn.GRUCell), (LSTMCell, eqx.nn.LSTMCell))
"""Cells of this package, each with equinox's own, whose weights are laid out alike."""


def with_weights(cell: C, **weights: Array | None) -> C:
    """A cell with other arrays in place of some of its weights.

    Args:
        cell: of this package or of equinox.
        **weights: by the name of the field, of its shape; None for a bias that there is not.

    Raises:
        ValueError: an array of another shape, or for a bias that the cell has not.
    """
    for name, array in weights.items():
        before = getattr(cell, name)
        given, expected = (None if each is None else list(each.shape) for each in (array, before))
        if given != expected:
            raise ValueError(f"{name}: given {given}, expected {expected}, as the cell has it.")
    return eqx.tree_at(
        lambda cell: [getattr(cell, name) for name in weights],
        cell,
        list(weights.values()),
        is_leaf=lambda leaf: leaf is None,
    )


def from_equinox(cell: eqx.nn.GRUCell | eqx.nn.LSTMCell) -> GRUCell | LSTMCell:
    """A cell with the weights of one of equinox's, and the same outputs up to rounding.

    Args:
        cell: an ``eqx.nn.GRUCell`` or ``eqx.nn.LSTMCell``.

    Raises:
        TypeError: another cell.

    Examples:
        >>> import equinox as eqx, jax
        >>> from parascan import nn
        >>> cell = nn.from_equinox(eqx.nn.GRUCell(3, 8, key=jax.random.key(0)))
        >>> nn.Recurrent(cell)(jax.numpy.ones((20, 3)))[0].shape
        (20, 8)
    """
    for mine, other in KINDS:
        if isinstance(cell, other):
            return _filled(mine, cell)
    raise TypeError(f"cell: given {type(cell).__name__}, expected an eqx.nn.GRUCell or eqx.nn.LSTMCell.")


def to_equinox(cell: AbstractUnitCell) -> eqx.nn.GRUCell | eqx.nn.LSTMCell:
    """A cell of equinox with the weights of one of this package, and the same outputs up to rounding.

    Args:
        cell: a ``GRUCell`` or ``LSTMCell``.

    Raises:
        TypeError: another cell, which equinox has not.

    Examples:
        >>> import jax
        >>> from parascan import nn
        >>> nn.to_equinox(nn.LSTMCell(3, 8, key=jax.random.key(0))).weight_hh.shape
        (32, 8)
    """
    for mine, other in KINDS:
        if isinstance(cell, mine):
            return _filled(other, cell)
    raise TypeError(f"cell: given {type(cell).__name__}, expected a GRUCell or LSTMCell.")


def _filled(kind: Any, cell: Any) -> Any:
    """A cell of a kind with the weights of one of the other kind."""
    names = [name for name in ("weight_ih", "weight_hh", "bias", "bias_n") if hasattr(cell, name)]
    made = kind(
        cell.input_size,
        cell.hidden_size,
        use_bias=cell.bias is not None,
        dtype=cell.weight_hh.dtype,
        key=jax.random.key(0),
    )
    return with_weights(made, **{name: getattr(cell, name) for name in names})
