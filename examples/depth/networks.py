"""The networks of the example: residual blocks, and blocks of a transformer."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

WIDTH, HEADS, TOKENS = 32, 4, 16
"""Entries of a state of the residual network and of a token; heads of attention; tokens of the transformer's input."""


class Residual(eqx.Module):
    """``x + scale out tanh(in x + bias)``: a block of a residual network."""

    within: Float[Array, "W W"]
    bias: Float[Array, " W"]
    out: Float[Array, "W W"]

    def __init__(self, scale: float, key: Key[Array, ""]) -> None:
        """A block whose last weights are ``scale`` times those that keep a variance."""
        keys = jax.random.split(key, 3)
        self.within = jax.random.normal(keys[0], (WIDTH, WIDTH)) / WIDTH**0.5
        self.bias = 0.1 * jax.random.normal(keys[1], (WIDTH,))
        self.out = scale * jax.random.normal(keys[2], (WIDTH, WIDTH)) / WIDTH**0.5

    def __call__(self, x: Float[Array, " W"]) -> Float[Array, " W"]:
        """The output of the block."""
        return x + self.out @ jnp.tanh(self.within @ x + self.bias)


class Transformer(eqx.Module):
    """A block with the norm before attention and before the perceptron, both of which are added to their inputs."""

    norms: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    perceptron: eqx.nn.MLP

    def __init__(self, scale: float, key: Key[Array, ""]) -> None:
        """A block whose last weights are ``scale`` times equinox's."""
        first, second = jax.random.split(key)
        self.norms = eqx.nn.LayerNorm(WIDTH, use_weight=False, use_bias=False)
        attention = eqx.nn.MultiheadAttention(HEADS, WIDTH, key=first)
        perceptron = eqx.nn.MLP(WIDTH, WIDTH, 4 * WIDTH, 1, jax.nn.gelu, key=second)
        of_attention, of_perceptron = attention.output_proj.weight, perceptron.layers[-1].weight
        self.attention = eqx.tree_at(lambda part: part.output_proj.weight, attention, scale * of_attention)
        self.perceptron = eqx.tree_at(lambda part: part.layers[-1].weight, perceptron, scale * of_perceptron)

    def __call__(self, x: Float[Array, "T W"]) -> Float[Array, "T W"]:
        """The output of the block, for all tokens; a token sees those before it."""
        normed = jax.vmap(self.norms)(x)
        x = x + self.attention(normed, normed, normed, mask=jnp.tril(jnp.ones((len(x), len(x)), bool)))
        return x + jax.vmap(self.perceptron)(jax.vmap(self.norms)(x))


def stacked(kind: Callable[..., Any], layers: int, scale: float, key: Key[Array, ""]) -> Any:
    """The blocks of a network, with a leading axis of layers.

    Args:
        kind: of block.
        layers: how many.
        scale: of the last weights of each.
        key: random key.
    """
    return eqx.filter_vmap(lambda each: kind(scale, each))(jax.random.split(key, layers))


def apply(block: Any, x: Array) -> Array:
    """A block as ``ps.nn.depth`` takes it.

    Args:
        block: weights of one layer.
        x: input.
    """
    return block(x)


def plain(blocks: Any, x: Array) -> Array:
    """The layers one after the other, by ``jax.lax.scan`` itself.

    Args:
        blocks: weights of all layers.
        x: input.
    """
    arrays, rest = eqx.partition(blocks, eqx.is_array)
    return jax.lax.scan(lambda x, weights: (eqx.combine(weights, rest)(x), None), x, arrays)[0]
