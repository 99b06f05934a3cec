"""The layers in Flax NNX: ``RNN`` in place of ``nnx.RNN``, any layer as an ``nnx.Module``, weights of its cells.

Import it by name, ``from parascan.nn.flax import RNN``; the rest of the package does not need Flax.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..solution import Tree
from ..solvers import AbstractSolver
from ._cell import AbstractCell
from ._layer import AbstractLayer, Recurrent
from .flax_weights import from_flax as from_flax
from .flax_weights import nnx
from .flax_weights import to_flax as to_flax


class RNN(nnx.Module):
    """``nnx.RNN`` with its recurrence evaluated in parallel over the sequence: same calls, same weights, same numbers.

    Each sequence of a batch is a recurrence of its own. Variables of the cell that are not parameters are read, never
    written; a cell that draws random numbers in a step, as for dropout, is refused.

    Args:
        cell: any ``nnx`` cell ``(carry, x) -> (carry, y)`` with ``initialize_carry``, such as ``nnx.GRUCell``.
        time_major: whether time is the leading axis of a batch, else the one before the features.
        return_carry: whether a call returns ``(carry, outputs)`` instead of the outputs.
        reverse: run from the last input to the first.
        keep_order: with ``reverse``, put the outputs in the order of the inputs.
        solver: how the recurrence is evaluated, such as ``ps.deer()``; None for the library's default.
        rngs: streams for ``initialize_carry``; none is needed for carries that start at zero.

    Raises:
        TypeError: ``cell`` has no ``initialize_carry``.
        ValueError: in a call, the cell draws random numbers in its step.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from parascan.nn.flax import RNN
        >>> layer = RNN(nnx.GRUCell(3, 8, rngs=nnx.Rngs(0)))
        >>> layer(jnp.ones((4, 50, 3))).shape
        (4, 50, 8)
    """

    def __init__(
        self,
        cell: Any,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        solver: AbstractSolver | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        if not hasattr(cell, "initialize_carry"):
            raise TypeError(f"cell: given {type(cell).__name__}, expected an nnx cell such as nnx.GRUCell(...).")
        self.cell = cell
        self.time_major, self.return_carry = time_major, return_carry
        self.reverse, self.keep_order = reverse, keep_order
        self.solver = nnx.static(solver)
        self.rngs = nnx.data(rngs)

    def __call__(
        self,
        inputs: Any,
        *,
        initial_carry: Any = None,
        seq_lengths: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: Any = None,
    ) -> Any:
        """Outputs, or carry and outputs, as ``nnx.RNN`` returns them.

        Rows at and beyond a sequence's length are put out as zeros, where ``nnx.RNN`` goes on with the padding.

        Args:
            inputs: ``[..., T, I]``, or ``[T, ..., I]`` when time is major.
            initial_carry: the carry before the first step; the cell's when None.
            seq_lengths: number of leading rows of each sequence that are inputs ``[...]``.
            return_carry: in place of the constructor's.
            time_major: in place of the constructor's.
            reverse: in place of the constructor's.
            keep_order: in place of the constructor's.
            rngs: streams for ``initialize_carry``.
        """
        return_carry = self.return_carry if return_carry is None else return_carry
        time_major = self.time_major if time_major is None else time_major
        reverse = self.reverse if reverse is None else reverse
        keep_order = self.keep_order if keep_order is None else keep_order
        xs = jnp.moveaxis(inputs, 0, -2) if time_major else inputs
        batch = xs.shape[:-2]
        carry = initial_carry
        if carry is None:
            rngs = self.rngs if rngs is None else rngs
            # New ones: those of the module cannot be counted up inside a transformation that it is not part of.
            carry = self.cell.initialize_carry((*batch, xs.shape[-1]), nnx.Rngs(0) if rngs is None else rngs)
        _refuse_random(self.cell, carry, jax.ShapeDtypeStruct((*batch, xs.shape[-1]), xs.dtype))
        graph, variables = nnx.split(self.cell)
        layer = Recurrent(_Cell(graph, variables), self.solver, reverse=reverse)

        def one(xs: Any, carry: Any, length: Any) -> tuple[Any, Any]:
            outputs, carry = layer(xs, carry, length=length)
            return (_flip(outputs, length) if reverse and not keep_order else outputs), carry

        run = one
        for _ in batch:
            run = jax.vmap(run, in_axes=(0, 0, None if seq_lengths is None else 0))
        outputs, carry = run(xs, carry, seq_lengths)
        if time_major:
            outputs = jnp.moveaxis(outputs, -2, 0)
        return (carry, outputs) if return_carry else outputs


class Layer(nnx.Module):
    """Any layer of ``ps.nn`` as an ``nnx.Module``, its weights being ``nnx.Param``.

    Args:
        layer: a layer such as ``ps.nn.stack(ps.nn.LEMCell, 3, 8, key=key)``.

    Raises:
        TypeError: ``layer`` is not a layer.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from flax import nnx
        >>> from parascan import nn
        >>> from parascan.nn.flax import Layer
        >>> layer = Layer(nn.stack(nn.LEMCell, 3, 8, key=jax.random.key(0)))
        >>> outputs, state = layer(jnp.ones((20, 3)))
        >>> outputs.shape, len(jax.tree.leaves(nnx.state(layer, nnx.Param)))
        ((20, 8), 3)
    """

    def __init__(self, layer: AbstractLayer) -> None:
        if not isinstance(layer, AbstractLayer):
            raise TypeError(f"layer: given {type(layer).__name__}, expected a layer of ps.nn.")
        weights, rest = eqx.partition(layer, eqx.is_inexact_array)
        named, self.treedef = jax.tree_util.tree_flatten_with_path(weights)
        self.weights = nnx.Dict({jax.tree_util.keystr(path): nnx.Param(leaf) for path, leaf in named})
        self.order = tuple(jax.tree_util.keystr(path) for path, _ in named)
        self.rest = nnx.static(rest)

    def layer(self) -> AbstractLayer:
        """The layer with the present weights."""
        leaves = [self.weights[name][...] for name in self.order]
        return eqx.combine(jax.tree.unflatten(self.treedef, leaves), self.rest)

    def __call__(self, *args: Any, **options: Any) -> tuple[Any, Any]:
        """Outputs and state, as the layer returns them.

        Args:
            *args: inputs ``[T, I]`` and a state.
            **options: ``length``, ``mask``, ``starts``, ``guess``.
        """
        return self.layer()(*args, **options)


class _Cell(AbstractCell):
    """An nnx cell in a form that a layer can run."""

    graph: nnx.GraphDef = eqx.field(static=True)
    variables: Any

    def initial_state(self) -> Tree:
        """None: the layer is always called with a carry."""
        return None

    def step(self, drive: Any, state: Any) -> tuple[Tree, Tree]:
        """The carry after a step, and its output."""
        return nnx.merge(self.graph, self.variables)(state, drive)


def _refuse_random(cell: Any, carry: Any, x: Any) -> None:
    """Refuse a cell whose step draws random numbers: here every step would draw the same ones.

    Raises:
        ValueError: the step draws numbers; the error says what to do.
    """
    graph, variables = nnx.split(cell)

    def counts(variables: Any, carry: Any, x: Any) -> Any:
        copy = nnx.merge(graph, variables)
        before = jax.tree.leaves(nnx.state(copy, nnx.RngCount))
        copy(carry, x)
        return before, jax.tree.leaves(nnx.state(copy, nnx.RngCount))

    closed = jax.make_jaxpr(counts)(variables, carry, x)
    results = closed.jaxpr.outvars
    before, after = results[: len(results) // 2], results[len(results) // 2 :]
    if any(one is not other for one, other in zip(before, after, strict=True)):
        raise ValueError(
            f"cell: given a {type(cell).__name__} that draws random numbers in every step, expected one that draws "
            "none: call cell.eval() or make it deterministic, draw masks beforehand and give them with the inputs, or "
            "use nnx.RNN."
        )


def _flip(rows: Any, length: Any) -> Any:
    """The leading rows that are no padding in reverse order."""
    count = rows.shape[0]
    index = jnp.arange(count)
    last = count if length is None else length
    return rows[jnp.where(index < last, last - 1 - index, index)]
