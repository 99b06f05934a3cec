"""Weights from and to ``torch.nn.RNN``, ``GRU`` and ``LSTM``, which then put out the same numbers up to rounding."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import torch

from ..nn import AbstractCell, AbstractLayer, Bidirectional, ElmanCell, GRUCell, LSTMCell, Recurrent, Stacked
from ..nn.cell_weights import with_weights
from ..solvers import AbstractSolver
from .tensors import to_jax, to_tensor

ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {each.__name__: each for each in (jnp.tanh, jax.nn.relu)}
"""What ``torch.nn.RNN`` calls its nonlinearities."""


def from_torch(module: torch.nn.RNN | torch.nn.GRU | torch.nn.LSTM, *, solver: AbstractSolver | None = None) -> Stacked:
    """A layer with the weights of a recurrent module of PyTorch, and the same outputs up to rounding.

    The two biases of PyTorch are one here where their sum is all that matters: everywhere but in the new gate of a GRU.
    The state of the layer is a tuple over layers, of pairs where it runs in both directions, of ``h`` or ``(h, c)``.

    Args:
        module: a ``torch.nn.RNN``, ``GRU`` or ``LSTM`` of any number of layers, in one direction or both.
        solver: how the layer is evaluated; None for the library's default.

    Raises:
        TypeError: another module; float64 weights while JAX has 64-bit numbers disabled.
        ValueError: dropout, or an LSTM with projections, which the layers here have not.

    Examples:
        >>> import torch, jax.numpy as jnp
        >>> from parascan.torch import from_torch
        >>> layer = from_torch(torch.nn.GRU(3, 8, num_layers=2, bidirectional=True))
        >>> layer(jnp.ones((20, 3)))[0].shape
        (20, 16)
    """
    if not isinstance(module, torch.nn.RNN | torch.nn.GRU | torch.nn.LSTM):
        raise TypeError(f"module: given {type(module).__name__}, expected a torch.nn.RNN, GRU or LSTM.")
    if module.dropout:
        raise ValueError(f"module: given dropout={module.dropout}, expected 0: set module.dropout = 0 for inference.")
    if module.proj_size:
        raise ValueError(f"module: given proj_size={module.proj_size}, expected 0.")
    layers: list[AbstractLayer] = []
    for index in range(module.num_layers):
        forward = Recurrent(_cell(module, f"l{index}"), solver)
        if module.bidirectional:
            backward = Recurrent(_cell(module, f"l{index}_reverse"), solver, reverse=True)
            layers.append(Bidirectional(forward, backward))
        else:
            layers.append(forward)
    return Stacked(tuple(layers))


def to_torch(layer: AbstractLayer, *, batch_first: bool = False) -> torch.nn.RNN | torch.nn.GRU | torch.nn.LSTM:
    """A recurrent module of PyTorch with the weights of a layer, and the same outputs up to rounding.

    Args:
        layer: what ``ps.nn.stack`` makes of ``ElmanCell``, ``GRUCell`` or ``LSTMCell``, or one ``Recurrent`` of them.
        batch_first: as in the module's constructor.

    Raises:
        TypeError: a layer of other cells, of several kinds of them, or made of others.
        ValueError: layers of several sizes, or with and without biases; an activation that PyTorch has not; a single
            layer that runs backward only.

    Examples:
        >>> import jax
        >>> from parascan import nn
        >>> from parascan.torch import to_torch
        >>> to_torch(nn.stack(nn.LSTMCell, 3, 8, key=jax.random.key(0)))
        LSTM(3, 8)
    """
    rows = [_directions(each) for each in (layer.layers if isinstance(layer, Stacked) else (layer,))]
    cells: list[Any] = [cell for row in rows for cell in row]
    first, both = cells[0], len(rows[0]) == 2
    kind, options = _kind(first)
    alike = {(type(each), each.hidden_size, each.bias is None, getattr(each, "activation", None)) for each in cells}
    if len(alike) > 1 or len({len(row) for row in rows}) > 1:
        raise ValueError("layer: given layers of different cells, sizes, biases or directions, expected alike ones.")
    dtype = to_tensor(first.weight_hh).dtype
    module = kind(
        first.input_size,
        first.hidden_size,
        num_layers=len(rows),
        bias=first.bias is not None,
        batch_first=batch_first,
        bidirectional=both,
        dtype=dtype,
        **options,
    )
    with torch.no_grad():
        for index, row in enumerate(rows):
            for cell, suffix in zip(row, (f"l{index}", f"l{index}_reverse"), strict=False):
                for name, array in _parameters(cell).items():
                    module.get_parameter(f"{name}_{suffix}").copy_(to_tensor(array))
    return module


def _cell(module: torch.nn.RNNBase, suffix: str) -> AbstractCell:
    """The cell of one layer in one direction."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if module.bias else ("weight_ih", "weight_hh")
    found = {name: to_jax(f"module.{name}_{suffix}", module.get_parameter(f"{name}_{suffix}")) for name in names}
    of_input, of_state = found["weight_ih"], found["weight_hh"]
    sizes = (of_input.shape[1], module.hidden_size)
    options = {"use_bias": module.bias, "dtype": of_state.dtype, "key": jax.random.key(0)}
    if isinstance(module, torch.nn.GRU):
        cell: Any = GRUCell(*sizes, **options)
    elif isinstance(module, torch.nn.LSTM):
        cell = LSTMCell(*sizes, **options)
    else:
        cell = ElmanCell(*sizes, activation=ACTIVATIONS[str(module.nonlinearity)], **options)
    new: dict[str, Any] = {"weight_ih": of_input, "weight_hh": of_state}
    if module.bias and isinstance(cell, GRUCell):
        outer = 2 * module.hidden_size
        new["bias"] = found["bias_ih"].at[:outer].add(found["bias_hh"][:outer])
        new["bias_n"] = found["bias_hh"][outer:]
    elif module.bias:
        new["bias"] = found["bias_ih"] + found["bias_hh"]
    return with_weights(cell, **new)


def _parameters(cell: Any) -> dict[str, jax.Array]:
    """Parameters of PyTorch for a cell, by the start of their names; all of a bias is in the first of the two."""
    found = {"weight_ih": cell.weight_ih, "weight_hh": cell.weight_hh}
    if cell.bias is None:
        return found
    second = jnp.zeros_like(cell.bias)
    if isinstance(cell, GRUCell):
        second = second.at[2 * cell.hidden_size :].set(cell.bias_n)
    return found | {"bias_ih": cell.bias, "bias_hh": second}


def _directions(layer: AbstractLayer) -> tuple[AbstractCell, ...]:
    """The cell of a layer, or those of both its directions."""
    if isinstance(layer, Bidirectional):
        return layer.forward.cell, layer.backward.cell
    if not isinstance(layer, Recurrent):
        raise TypeError(f"layer: given a {type(layer).__name__}, expected a Recurrent, or a Stacked one of these.")
    if layer.reverse:
        raise ValueError("layer: given one that runs backward only, expected one that runs forward, or in both ways.")
    return (layer.cell,)


def _kind(cell: AbstractCell) -> tuple[Any, dict[str, Any]]:
    """The class of PyTorch for a cell, and what else its constructor takes."""
    if isinstance(cell, GRUCell):
        return torch.nn.GRU, {}
    if isinstance(cell, LSTMCell):
        return torch.nn.LSTM, {}
    if not isinstance(cell, ElmanCell):
        raise TypeError(f"layer: given cells {type(cell).__name__}, expected ElmanCell, GRUCell or LSTMCell.")
    names = [name for name, known in ACTIVATIONS.items() if known is cell.activation]
    if not names:
        raise ValueError(f"layer: given the activation {cell.activation}, expected jnp.tanh or jax.nn.relu.")
    return torch.nn.RNN, {"nonlinearity": names[0]}
