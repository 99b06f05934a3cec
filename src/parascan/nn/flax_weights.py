"""Weights from and to the cells of Flax NNX, whose layers then put out the same numbers up to rounding."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..api.extras import missing
from ._cell import AbstractUnitCell
from .cell_weights import with_weights
from .gated import ElmanCell, GRUCell, LSTMCell

try:
    from flax import nnx
except ImportError as error:
    raise ImportError(missing("flax", "parascan.nn.flax needs", "flax")) from error


def from_flax(cell: Any) -> ElmanCell | GRUCell | LSTMCell:
    """A cell with the weights of one of Flax NNX, and the same outputs up to rounding.

    The state of an LSTM is ``(h, c)`` here and ``(c, h)`` in Flax.

    Args:
        cell: an ``nnx.SimpleCell``, ``GRUCell``, ``LSTMCell`` or ``OptimizedLSTMCell``.

    Raises:
        TypeError: another cell.
        ValueError: one with other gates or activations than the usual ones, a residual, or that computes in another
            dtype than that of its weights.

    Examples:
        >>> from flax import nnx
        >>> from parascan.nn.flax import from_flax
        >>> from_flax(nnx.GRUCell(3, 8, rngs=nnx.Rngs(0))).weight_ih.shape
        (24, 3)
    """
    kinds = (nnx.SimpleCell, nnx.GRUCell, nnx.LSTMCell, nnx.OptimizedLSTMCell)
    if not isinstance(cell, kinds):
        expected = ", ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"cell: given {type(cell).__name__}, expected one of nnx: {expected}.")
    _check_usual(cell)
    return _converted(cell)


def _converted(cell: Any) -> ElmanCell | GRUCell | LSTMCell:
    """The cell of this package for one of Flax that computes the usual."""
    sizes = (cell.in_features, cell.hidden_features)
    options = {"dtype": cell.param_dtype, "key": jax.random.key(0)}
    if isinstance(cell, nnx.LSTMCell):
        of_input = _rows([cell.ii, cell.if_, cell.ig, cell.io])
        of_state = _rows([cell.hi, cell.hf, cell.hg, cell.ho])
        bias = _bias([cell.hi, cell.hf, cell.hg, cell.ho])
        return with_weights(LSTMCell(*sizes, **options), weight_ih=of_input, weight_hh=of_state, bias=bias)
    weights = {"weight_ih": _rows([cell.dense_i]), "weight_hh": _rows([cell.dense_h])}
    if isinstance(cell, nnx.OptimizedLSTMCell):
        return with_weights(LSTMCell(*sizes, **options), **weights, bias=_bias([cell.dense_h]))
    weights["bias"] = _bias([cell.dense_i])
    if isinstance(cell, nnx.SimpleCell):
        return with_weights(ElmanCell(*sizes, activation=cell.activation_fn, **options), **weights)
    none = jnp.zeros((cell.hidden_features,), cell.param_dtype)
    return with_weights(GRUCell(*sizes, **options), **weights, bias_n=none)


def to_flax(cell: AbstractUnitCell) -> Any:
    """A cell of Flax NNX with the weights of one of this package, and the same outputs up to rounding.

    Args:
        cell: an ``ElmanCell``, ``GRUCell`` or ``LSTMCell``; its biases are zeros in Flax where it has none.

    Returns:
        An ``nnx.SimpleCell``, ``nnx.GRUCell`` or ``nnx.OptimizedLSTMCell``.

    Raises:
        TypeError: another cell, which Flax has not.
        ValueError: a ``GRUCell`` whose ``bias_n`` is not zero: that of Flax has no bias behind its reset gate.

    Examples:
        >>> import jax
        >>> from parascan import nn
        >>> from parascan.nn.flax import to_flax
        >>> to_flax(nn.LSTMCell(3, 8, key=jax.random.key(0))).hidden_features
        8
    """
    if not isinstance(cell, ElmanCell | GRUCell | LSTMCell):
        raise TypeError(f"cell: given {type(cell).__name__}, expected an ElmanCell, GRUCell or LSTMCell.")
    dtype = cell.weight_hh.dtype
    options: dict[str, Any] = {"dtype": dtype, "param_dtype": dtype, "rngs": nnx.Rngs(0)}
    sizes = (cell.input_size, cell.hidden_size)
    if isinstance(cell, GRUCell):
        if cell.bias_n is not None and bool(jnp.any(cell.bias_n != 0)):
            raise ValueError("cell: given a GRUCell with a bias_n, expected zeros: nnx.GRUCell has no such bias.")
        made: Any = nnx.GRUCell(*sizes, **options)
        holder = made.dense_i
    elif isinstance(cell, LSTMCell):
        made = nnx.OptimizedLSTMCell(*sizes, **options)
        holder = made.dense_h
    else:
        made = nnx.SimpleCell(*sizes, activation_fn=cell.activation, **options)
        holder = made.dense_i
    made.dense_i.kernel[...] = cell.weight_ih.T
    made.dense_h.kernel[...] = cell.weight_hh.T
    holder.bias[...] = jnp.zeros_like(holder.bias[...]) if cell.bias is None else cell.bias
    return made


def _check_usual(cell: Any) -> None:
    """Refuse a cell that computes something else than its namesake here.

    Raises:
        ValueError: it does.
    """
    if cell.dtype is not None and jnp.dtype(cell.dtype) != jnp.dtype(cell.param_dtype):
        raise ValueError(f"cell: given one that computes in {cell.dtype}, expected {cell.param_dtype}, as its weights.")
    if isinstance(cell, nnx.SimpleCell):
        if cell.residual:
            raise ValueError("cell: given residual=True, expected False.")
    elif cell.gate_fn is not jax.nn.sigmoid or cell.activation_fn is not jnp.tanh:
        raise ValueError(
            f"cell: given gates {cell.gate_fn} and activation {cell.activation_fn}, expected jax.nn.sigmoid and "
            "jnp.tanh."
        )


def _rows(layers: list[Any]) -> Array:
    """Weights of linear layers, one below the other, with a row for each output."""
    return jnp.concatenate([layer.kernel[...].T for layer in layers])


def _bias(layers: list[Any]) -> Array:
    """Biases of linear layers, one after the other."""
    return jnp.concatenate([layer.bias[...] for layer in layers])
