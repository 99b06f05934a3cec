"""Layers made of layers: both directions side by side, and one on top of the other."""

import itertools
from typing import Any, Protocol, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ..planning import Plan
from ..problem.arguments import check_counts
from ..solution import Tree
from ..solvers import AbstractSolver
from ._cell import AbstractCell, AbstractUnitCell
from ._layer import AbstractLayer, Recurrent, Run
from ._marks import Marks


class Bidirectional(AbstractLayer):
    """Two layers over the same sequence, one in each direction, with their outputs joined.

    Its state is the pair of their states: that of the backward one belongs to the first row.

    Args:
        forward: a layer that runs from the first input to the last.
        backward: a layer made with ``reverse=True``.

    Raises:
        TypeError: one of them is not a ``Recurrent``.
        ValueError: one of them runs the other way, or they take inputs of different size.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> first, second = (ps.nn.GRUCell(3, 8, key=jax.random.key(seed)) for seed in range(2))
        >>> layer = ps.nn.Bidirectional(ps.nn.Recurrent(first), ps.nn.Recurrent(second, reverse=True))
        >>> layer(jnp.ones((10, 3)), length=7)[0].shape
        (10, 16)
    """

    forward: Recurrent
    backward: Recurrent

    def __check_init__(self) -> None:
        for name, layer, reverse in (("forward", self.forward, False), ("backward", self.backward, True)):
            if not isinstance(layer, Recurrent):
                raise TypeError(f"{name}: given {type(layer).__name__}, expected a Recurrent.")
            if layer.reverse is not reverse:
                raise ValueError(f"{name}: given reverse={layer.reverse}, expected {reverse}.")
        takes, expected = _sizes(self.backward)[0], _sizes(self.forward)[0]
        if None not in (takes, expected) and takes != expected:
            raise ValueError(f"backward: given one that takes {takes} entries, expected {expected}, as forward does.")

    def through(self, xs: Tree, state: Any, marks: Marks, guess: Any, *, run: Run) -> tuple[Any, Any, Any]:
        """Outputs of both directions side by side, and pairs of the rest."""
        pairs = zip((self.forward, self.backward), each_of(state, 2, "state"), each_of(guess, 2, "guess"), strict=True)
        results = [layer.through(xs, before, marks, first, run=run) for layer, before, first in pairs]
        outputs = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=-1), results[0][0], results[1][0])
        return outputs, tuple(result[1] for result in results), tuple(result[2] for result in results)

    def step(self, x: Tree, state: Any = None) -> tuple[Any, Any]:
        """Refused: the backward direction needs the whole sequence.

        Args:
            x: the input.
            state: the state before it.

        Raises:
            ValueError: always.
        """
        raise ValueError("step: given to a bidirectional layer, expected one that needs no later input.")

    def using(self, solver: AbstractSolver | Plan | None) -> Self:
        """Both directions evaluated by another solver.

        Args:
            solver: as in ``Recurrent``.
        """
        return type(self)(self.forward.using(solver), self.backward.using(solver))


class Stacked(AbstractLayer):
    """Layers one on top of the other, each fed with the outputs of the one below; the state is a tuple of theirs.

    Args:
        layers: from the inputs upward.

    Raises:
        TypeError: one of them is not a layer.
        ValueError: there is none, or one takes another number of entries than the one below puts out.
    """

    layers: tuple[AbstractLayer, ...] = eqx.field(converter=tuple)

    def __check_init__(self) -> None:
        if not self.layers:
            raise ValueError("layers: given none, expected one or more.")
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, AbstractLayer):
                raise TypeError(f"layers[{index}]: given {type(layer).__name__}, expected a layer.")
        for index, (below, layer) in enumerate(itertools.pairwise(self.layers), 1):
            expected, takes = _sizes(below)[1], _sizes(layer)[0]
            if None not in (takes, expected) and takes != expected:
                raise ValueError(
                    f"layers[{index}]: given one that takes {takes} entries, expected {expected}, as "
                    f"layers[{index - 1}] puts out."
                )

    def through(self, xs: Tree, state: Any, marks: Marks, guess: Any, *, run: Run) -> tuple[Any, Any, Any]:
        """Outputs of the top layer, and tuples of the rest."""
        count = len(self.layers)
        states, solutions = [], []
        for layer, before, first in zip(
            self.layers, each_of(state, count, "state"), each_of(guess, count, "guess"), strict=True
        ):
            xs, after, solution = layer.through(xs, before, marks, first, run=run)
            states.append(after)
            solutions.append(solution)
        return xs, tuple(states), tuple(solutions)

    def step(self, x: Tree, state: Any = None) -> tuple[Any, Any]:
        """Output of the top layer and states of all after one more input ``[I]``.

        Args:
            x: the input.
            state: the states before it; the cells' initial states when None.
        """
        states = []
        for layer, before in zip(self.layers, each_of(state, len(self.layers), "state"), strict=True):
            x, after = layer.step(x, before)
            states.append(after)
        return x, tuple(states)

    def using(self, solver: AbstractSolver | Plan | None) -> Self:
        """All layers evaluated by another solver.

        Args:
            solver: as in ``Recurrent``.
        """
        return type(self)(tuple(layer.using(solver) for layer in self.layers))


class _MakesCells(Protocol):
    """A cell's class, or a function that makes one."""

    def __call__(self, input_size: int, hidden_size: int, *, key: PRNGKeyArray) -> AbstractCell: ...


def stack(
    cell: _MakesCells,
    input_size: int,
    hidden_size: int,
    *,
    layers: int = 1,
    bidirectional: bool = False,
    solver: AbstractSolver | Plan | None = None,
    key: PRNGKeyArray,
) -> Stacked:
    """Layers of one kind of cell, one on top of the other, in one direction or both.

    Args:
        cell: a cell's class such as ``ps.nn.GRUCell``, or ``functools.partial`` of one with further arguments.
        input_size: I, entries of an input.
        hidden_size: H, entries of what a layer puts out in each direction.
        layers: how many.
        bidirectional: whether each runs in both directions and puts out ``2 H`` entries.
        solver: how all are evaluated; None for the library's default.
        key: random key of the weights.

    Returns:
        A ``Stacked`` layer.

    Raises:
        TypeError: a number that is no integer, or a cell that is made already.
        ValueError: a number below one.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> layer = ps.nn.stack(ps.nn.LSTMCell, 3, 8, layers=2, bidirectional=True, key=jax.random.key(0))
        >>> outputs, state = jax.vmap(layer)(jnp.ones((4, 20, 3)))
        >>> outputs.shape
        (4, 20, 16)
    """
    if isinstance(cell, AbstractCell) or not callable(cell):
        raise TypeError(f"cell: given {type(cell).__name__}, expected the class of a cell such as ps.nn.GRUCell.")
    check_counts(input_size=input_size, hidden_size=hidden_size, layers=layers)
    made: list[AbstractLayer] = []
    for layer_key in jax.random.split(key, layers):
        first, second = jax.random.split(layer_key)
        forward = Recurrent(cell(input_size, hidden_size, key=first), solver)
        if bidirectional:
            backward = Recurrent(cell(input_size, hidden_size, key=second), solver, reverse=True)
            made.append(Bidirectional(forward, backward))
        else:
            made.append(forward)
        input_size = 2 * hidden_size if bidirectional else hidden_size
    return Stacked(tuple(made))


def _sizes(layer: AbstractLayer) -> tuple[int | None, int | None]:
    """Entries of a layer's inputs and outputs; None where its cells do not say."""
    if isinstance(layer, Stacked):
        return _sizes(layer.layers[0])[0], _sizes(layer.layers[-1])[1]
    if isinstance(layer, Bidirectional):
        taken, put_out = zip(_sizes(layer.forward), _sizes(layer.backward), strict=True)
        return taken[0], sum(known) if len(known := [each for each in put_out if each is not None]) == 2 else None
    cell = layer.cell if isinstance(layer, Recurrent) else None
    return (cell.input_size, cell.hidden_size) if isinstance(cell, AbstractUnitCell) else (None, None)


def each_of(value: Any, count: int, name: str) -> tuple[Any, ...]:
    """One value for each part, all None for None.

    Args:
        value: a tuple of them, or None.
        count: how many parts there are.
        name: of the argument.

    Raises:
        ValueError: it is no tuple of as many.
    """
    if value is None:
        return (None,) * count
    if not isinstance(value, tuple) or len(value) != count:
        given = f"{len(value)} of them" if isinstance(value, tuple) else type(value).__name__
        raise ValueError(f"{name}: given {given}, expected a tuple of {count}, as an earlier call returned it.")
    return value
