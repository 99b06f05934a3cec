"""Classifiers that differ only in their recurrent layer, or only in how it is run."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, PRNGKeyArray

import parascan as ps
from parascan.nn.flax import RNN


class Classifier(eqx.Module):
    """A recurrent layer, the mean of what it puts out, a linear readout."""

    layer: Any
    readout: eqx.nn.Linear

    def __call__(self, x: Array) -> Array:
        """Logits of one sequence."""
        outputs, _ = self.layer(x)
        return self.readout(jnp.mean(outputs, axis=0))

    def logits(self, xs: Array) -> Array:
        """Logits of a batch ``[B, T, C]``."""
        return jax.vmap(self)(xs)


class UsualLoop(eqx.Module):
    """A cell of equinox in ``jax.lax.scan``, as equinox's documentation has it."""

    cell: eqx.nn.GRUCell

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Outputs and last state."""

        def step(state: Array, row: Array) -> tuple[Array, Array]:
            state = self.cell(row, state)
            return state, state

        state, outputs = jax.lax.scan(step, jnp.zeros(self.cell.hidden_size, x.dtype), x)
        return outputs, state


class FlaxClassifier(eqx.Module):
    """The same in Flax, taken apart into its graph and its variables so that one loop trains all models."""

    graph: Any = eqx.field(static=True)
    weights: Any
    rest: Any

    @classmethod
    def of(cls, rnn: Callable[[Any], nnx.Module], channels: int, hidden: int, classes: int, seed: int) -> Any:
        """A classifier around a GRU that ``rnn`` runs over a sequence."""
        rngs = nnx.Rngs(seed)
        parts = rnn(nnx.GRUCell(channels, hidden, rngs=rngs)), nnx.Linear(hidden, classes, rngs=rngs)
        return cls(*nnx.split(parts, nnx.Param, ...))

    def logits(self, xs: Array) -> Array:
        """Logits of a batch ``[B, T, C]``, which Flax's layers take as it is."""
        # Flax refuses variables that were made outside the transformation they are used in; a copy is made inside.
        variables = jax.tree.map(lambda leaf: leaf, (self.weights, self.rest))
        rnn, readout = nnx.merge(self.graph, *variables)
        return readout(jnp.mean(rnn(xs), axis=-2))


def equinox_gru(solver: Any, channels: int, hidden: int, classes: int, key: PRNGKeyArray) -> Classifier:
    """A GRU of ``ps.nn``, run by a solver."""
    first, second = jax.random.split(key)
    cell = ps.nn.GRUCell(channels, hidden, key=first)
    return Classifier(ps.nn.Recurrent(cell, solver), eqx.nn.Linear(hidden, classes, key=second))


def usual(model: Classifier) -> Classifier:
    """A GRU classifier with the same weights in equinox's own cell and a plain loop."""
    cell = model.layer.cell
    theirs = eqx.nn.GRUCell(cell.input_size, cell.hidden_size, key=jax.random.key(0))
    pick = lambda c: (c.weight_ih, c.weight_hh, c.bias, c.bias_n)  # noqa: E731
    return Classifier(UsualLoop(eqx.tree_at(pick, theirs, pick(cell))), model.readout)


def flax_gru(parallel: bool, channels: int, hidden: int, classes: int, seed: int) -> FlaxClassifier:
    """A GRU of Flax, in this library's ``RNN`` or in Flax's own."""
    return FlaxClassifier.of(RNN if parallel else nnx.RNN, channels, hidden, classes, seed)


def plain(contractive: bool, channels: int, hidden: int, classes: int, key: PRNGKeyArray) -> Classifier:
    """A tanh network, free or with its norm bounded by construction; the free one starts where it nearly is chaotic."""
    first, second, third = jax.random.split(key, 3)
    if contractive:
        cell: Any = ps.nn.ContractiveCell(channels, hidden, rate=0.95, key=first)
    else:
        cell = ps.nn.ElmanCell(channels, hidden, key=first)
        weights = 1.3 * jax.random.normal(third, (hidden, hidden)) / jnp.sqrt(hidden)
        cell = eqx.tree_at(lambda c: c.weight_hh, cell, weights)
    return Classifier(ps.nn.Recurrent(cell), eqx.nn.Linear(hidden, classes, key=second))
