"""The contract of a cell: one step of a layer, split into what needs the state and what does not; ``Custom`` cells."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..problem.arguments import check_counts
from ..programs.platform import platform_of
from ..solution import Tree


class AbstractCell(eqx.Module):
    """One step of a recurrent layer.

    A layer first calls ``ready()``, then gives all inputs to ``prepare`` at once, and calls ``step`` in the recurrence
    for what depends on the state. The first two have defaults that do nothing.
    """

    @abc.abstractmethod
    def initial_state(self) -> Tree:
        """The state before the first step, in the dtype of the weights."""

    @abc.abstractmethod
    def step(self, drive: Tree, state: Any) -> tuple[Tree, Tree]:
        """The state after a step, and the step's output; ``drive`` is one row of what ``prepare`` returned."""

    def ready(self) -> "AbstractCell":
        """The cell with everything computed that depends on the parameters alone."""
        return self

    def prepare(self, xs: Tree) -> Tree:
        """All that depends on the inputs alone, for all steps in one parallel pass: ``[T, ...]`` to ``[T, ...]``."""
        return xs

    def __call__(self, x: Tree, state: Any) -> Tree:
        """The state after one step, in the form of equinox's cells."""
        ready = self.ready()
        drive = jax.tree.map(lambda leaf: leaf[0], ready.prepare(jax.tree.map(lambda leaf: leaf[None], x)))
        return ready.step(drive, state)[0]


class Contributions(NamedTuple):
    """Contributions of inputs, computed before the recurrence; the type tells the steps that this has been done."""

    rows: Array


class AbstractUnitCell(AbstractCell):
    """A cell of known sizes, whose step needs its input only through a product with weights.

    On an accelerator the products of all steps with the inputs are one product before the recurrence. On a CPU they
    stay in the steps: rows of gates are wider than inputs, and reading them takes longer than computing them (GRU of 32
    and 64 units under 12 inputs: two to three times the whole step).

    Attributes:
        input_size: I, entries of an input.
        hidden_size: H, entries of an output.
    """

    input_size: eqx.AbstractVar[int]
    hidden_size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def drive(self, x: Float[Array, " I"]) -> Float[Array, " G"]:
        """The contribution of an input to the step, such as ``W x + b``."""

    @abc.abstractmethod
    def advance(self, drive: Float[Array, " G"], state: Any) -> tuple[Tree, Array]:
        """The state after a step, and the step's output."""

    def prepare(self, xs: Float[Array, "T I"]) -> "Float[Array, 'T I'] | Contributions":
        """Contributions of all inputs, or the inputs themselves on a CPU."""
        return xs if platform_of(self, xs) == "cpu" else Contributions(jax.vmap(self.drive)(xs))

    def step(self, drive: "Float[Array, ' I'] | Contributions", state: Any) -> tuple[Tree, Array]:
        """The state after a step, and what the step puts out."""
        return self.advance(drive.rows if isinstance(drive, Contributions) else self.drive(drive), state)


def _as_tree(function: Any) -> Any:
    """A function as a tree without leaves, so that maps over weights find only arrays; other values unchanged."""
    plain = callable(function) and jax.tree_util.all_leaves([function])
    return jax.tree_util.Partial(function) if plain else function


class Custom(AbstractCell):
    """Any cell ``(x, state) -> state``, such as one of equinox's, as the cell of a layer.

    Arrays inside ``call`` are trained with the layer when it is an equinox module. Work that does not need the state
    is done within every step; subclass ``AbstractCell`` and give it ``prepare`` to do it for all steps at once.

    Args:
        call: ``(x, state) -> state``.
        initial: the state before the first step, any tree of floating arrays.
        output: a function that gives a step's output from its new state; the state itself when None.

    Raises:
        TypeError: ``call`` or ``output`` is not callable.

    Examples:
        >>> import equinox as eqx, jax, jax.numpy as jnp
        >>> from parascan import nn
        >>> cell = eqx.nn.LSTMCell(3, 8, key=jax.random.key(0))
        >>> layer = nn.Recurrent(nn.Custom(cell, (jnp.zeros(8), jnp.zeros(8)), output=lambda state: state[0]))
        >>> outputs, state = layer(jnp.ones((20, 3)))
        >>> outputs.shape
        (20, 8)
    """

    call: Callable[[Any, Any], Any] = eqx.field(converter=_as_tree)
    initial: Tree
    output: Callable[[Any], Any] | None = eqx.field(default=None, converter=_as_tree)

    def __check_init__(self) -> None:
        for name, value in (("call", self.call), ("output", self.output)):
            if not (callable(value) or (name == "output" and value is None)):
                raise TypeError(f"{name}: given {type(value).__name__}, expected a callable.")

    def initial_state(self) -> Tree:
        """The state given; no derivative reaches it, since it is a setting and not a weight."""
        return jax.tree.map(lambda leaf: jax.lax.stop_gradient(jnp.asarray(leaf)), self.initial)

    def step(self, drive: Tree, state: Any) -> tuple[Tree, Tree]:
        """The new state, and the output computed from it."""
        state = self.call(drive, state)
        return state, state if self.output is None else self.output(state)


class Gates(NamedTuple):
    """Weights of several gates, one below the other."""

    of_input: Float[Array, "G I"]
    of_state: Float[Array, "G H"]
    bias: Float[Array, " G"] | None


def draw_gates(count: int, input_size: int, hidden_size: int, use_bias: bool, dtype: Any, key: PRNGKeyArray) -> Gates:
    """Weights uniform within ``1 / sqrt(H)``, as equinox's cells have them."""
    check_counts(input_size=input_size, hidden_size=hidden_size)
    keys = jax.random.split(key, 3)
    shapes = ((count * hidden_size, input_size), (count * hidden_size, hidden_size), (count * hidden_size,))
    drawn = [uniform(k, shape, hidden_size, dtype) for k, shape in zip(keys, shapes, strict=True)]
    return Gates(drawn[0], drawn[1], drawn[2] if use_bias else None)


def uniform(key: PRNGKeyArray, shape: tuple[int, ...], hidden_size: int, dtype: Any) -> Array:
    """Numbers uniform within ``1 / sqrt(H)``."""
    limit = 1 / np.sqrt(hidden_size)
    return jax.random.uniform(key, shape, resolve_dtype(dtype), -limit, limit)


def resolve_dtype(dtype: Any) -> Any:
    """JAX's default floating dtype in place of None."""
    kind = jnp.zeros(()).dtype if dtype is None else jnp.dtype(dtype)
    if not jnp.issubdtype(kind, jnp.floating):
        raise TypeError(f"dtype: given {kind}, expected a floating dtype or None.")
    return kind


def times_input(weights: Float[Array, "G I"], x: Float[Array, " I"], bias: Float[Array, " G"] | None) -> Array:
    """``W x + b``, in the full precision of the dtype."""
    product = jnp.matmul(weights, x, precision="highest")
    return product if bias is None else product + bias


def times_state(weights: Float[Array, "G H"], state: Float[Array, " H"]) -> Float[Array, " G"]:
    """``W s`` in the full precision of the dtype, so that a parallel answer rounds as a sequential one does."""
    return jnp.matmul(weights, state, precision="highest")
