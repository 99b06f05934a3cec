"""Any layer of ``ps.nn`` as a module of PyTorch."""

import re
from typing import Any

import equinox as eqx
import jax
import torch

from ..nn import AbstractLayer
from .autograd_call import Program, Tree
from .tensors import to_jax, to_tensor


class Layer(torch.nn.Module):
    """Any layer of ``ps.nn`` as a ``torch.nn.Module``, its weights being ``torch.nn.Parameter``.

    Parameters are named by their place in the layer, such as ``layers_0_cell_weight_ih``; optimizers, ``state_dict``
    and ``torch.save`` see them as those of any other module.

    Args:
        layer: a layer such as ``ps.nn.stack(ps.nn.LEMCell, 3, 8, key=key)``.

    Raises:
        TypeError: ``layer`` is not a layer.

    Examples:
        >>> import jax, torch
        >>> from parascan import nn
        >>> from parascan.torch import Layer
        >>> layer = Layer(nn.stack(nn.LEMCell, 3, 8, key=jax.random.key(0)))
        >>> outputs, state = layer(torch.ones(4, 20, 3))
        >>> outputs.shape, len(list(layer.parameters()))
        (torch.Size([4, 20, 8]), 3)
    """

    def __init__(self, layer: AbstractLayer) -> None:
        super().__init__()
        if not isinstance(layer, AbstractLayer):
            raise TypeError(f"layer: given {type(layer).__name__}, expected a layer of ps.nn.")
        weights, self._rest = eqx.partition(layer, eqx.is_inexact_array)
        named, _ = jax.tree_util.tree_flatten_with_path(weights)
        self._shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), weights)
        self._names: list[str] = []
        for path, leaf in named:
            name = re.sub(r"\W+", "_", jax.tree_util.keystr(path)).strip("_")
            while name in self._names:
                name += "_"
            self._names.append(name)
            self.register_parameter(name, torch.nn.Parameter(to_tensor(leaf)))
        self._program = Program(_Call(self._shapes, self._rest), ("weights", "xs", "state", "length", "mask", "starts"))

    def layer(self) -> AbstractLayer:
        """The layer of ``ps.nn`` with the present weights."""
        arrays = [to_jax(name, each) for name, each in zip(self._names, self._weights(), strict=True)]
        return _joined(self._shapes, self._rest, arrays)

    def forward(
        self,
        xs: Tree,
        state: Tree = None,
        *,
        length: Any = None,
        mask: torch.Tensor | None = None,
        starts: torch.Tensor | None = None,
        batched: bool | None = None,
    ) -> tuple[Tree, Tree]:
        """Outputs and state, as the layer returns them; batches come first: ``[B, T, I]``, as with ``batch_first``.

        Args:
            xs: inputs ``[T, I]`` or ``[B, T, I]``.
            state: the state before the first step, as a call returned it.
            length: number of leading rows of each sequence that are inputs, ``[B]`` for a batch.
            mask: True for rows that are inputs, ``[T]`` or ``[B, T]``.
            starts: True for rows that start a sequence of their own, ``[T]`` or ``[B, T]``.
            batched: whether every argument has a leading axis of sequences; when None, whether ``xs`` has three axes.

        Raises:
            TypeError: a tensor of a kind that the layer or JAX cannot take.
            ValueError: a tensor of another shape, a length that is none of the rows, a tensor that is not on the CPU.
            RolloutError: the solver did not succeed; its ``solution`` is None.
        """
        if batched is None:
            batched = isinstance(xs, torch.Tensor) and xs.ndim == 3
        if length is not None:
            length = torch.as_tensor(length, dtype=torch.int32)
            rows = jax.tree.leaves(xs)[0].shape[1 if batched else 0]
            if length.numel() and not 0 <= int(length.min()) <= int(length.max()) <= rows:
                raise ValueError(f"length: given {length.tolist()}, expected 0 to {rows}, the rows of xs.")
        return self._program(self._weights(), xs, state, length, mask, starts, batched=bool(batched))

    def _weights(self) -> list[torch.nn.Parameter]:
        """The parameters in the order of the layer's leaves."""
        return [self.get_parameter(name) for name in self._names]


class _Call:
    """A layer as a function of its weights and the arguments of a call.

    Args:
        shapes: the layer with shapes and dtypes in place of its weights.
        rest: the layer without its weights.
    """

    def __init__(self, shapes: AbstractLayer, rest: AbstractLayer) -> None:
        self.shapes, self.rest = shapes, rest

    def __call__(self, weights: list[jax.Array], *arguments: Tree, batched: bool) -> tuple[Tree, Tree]:
        layer = _joined(self.shapes, self.rest, weights)

        def one(xs: Tree, state: Tree, length: Any, mask: Any, starts: Any) -> tuple[Tree, Tree]:
            return layer(xs, state, length=length, mask=mask, starts=starts)

        return (jax.vmap(one) if batched else one)(*arguments)


def _joined(shapes: AbstractLayer, rest: AbstractLayer, weights: list[jax.Array]) -> AbstractLayer:
    """The layer with these weights."""
    return eqx.combine(jax.tree.unflatten(jax.tree.structure(shapes), weights), rest)
