"""How fast a system forgets where it started, measured by coupling: no Jacobian, no assumption, a few dozen steps.

Two copies of the system are started from different states under the same inputs. The number of steps until they agree
to rounding *is* the memory horizon there; whether they agree at all tells predictable from unpredictable. Here the
copies are some of the blocks that run anyway, each with a twin.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Tree

TWINS = 8
"""Blocks that get a twin."""


class Twins:
    """Extra lanes that run some of the blocks from another start.

    Args:
        lanes: number of lanes that run already.
        floor: sizes ``[..., lanes]`` below which the states' own scale need not be resolved.
    """

    def __init__(self, lanes: int, floor: Tree) -> None:
        count = min(TWINS, lanes)
        self._count, self._stride = count, lanes // count
        self._lanes = lanes
        self._floor = self._own(floor)

    def join(self, inputs: Tree) -> Tree:
        """Inputs ``[..., lanes + twins]``, those of the twins being those of their blocks."""
        return jax.tree.map(lambda leaf: jnp.concatenate([leaf, self._chosen(leaf)], axis=-1), inputs)

    def start(self, states: Tree) -> Tree:
        """States ``[..., lanes + twins]``, each entry of a twin one scale away from its block, or half of one.

        Were all entries moved alike, two regimes that differ in the difference of entries would not show.
        """

        def one(leaf: Array, own: Array, floor: Array) -> Array:
            size = jnp.max(jnp.maximum(jnp.abs(own), floor), initial=0)
            moved = _shares(own.shape) * jnp.where(size > 0, size, 1)
            return jnp.concatenate([leaf, own + moved.astype(leaf.dtype)], axis=-1)

        return jax.tree.map(one, states, self._own(states), self._floor)

    def part(self, states: Tree) -> Tree:
        """The states of the blocks alone."""
        return jax.tree.map(lambda leaf: leaf[..., : self._lanes], states)

    def apart(self, states: Tree) -> Float[Array, ""]:
        """Largest distance of a twin from its block, in units of the scale."""
        return relative_distance(self._own(states), self._twin(states), self._floor)

    def parted(self, states: Tree) -> list[Float[Array, ""]]:
        """Largest distance of a twin from its block in each leaf that has entries, in the units of the system."""
        leaves = zip(jax.tree.leaves(self._own(states)), jax.tree.leaves(self._twin(states)), strict=True)
        return [jnp.max(jnp.abs(own - twin)) for own, twin in leaves if own.size]

    def _own(self, states: Tree) -> Tree:
        """What the blocks that have a twin have themselves."""
        return jax.tree.map(self._chosen, states)

    def _chosen(self, leaf: Array) -> Array:
        """Entries ``[..., twins]`` of evenly spaced lanes: a slice, which is cheaper than a choice by numbers."""
        return leaf[..., : self._count * self._stride : self._stride]

    def _twin(self, states: Tree) -> Tree:
        """The states of the twins."""
        return jax.tree.map(lambda leaf: leaf[..., self._lanes :], states)


def _shares(shape: tuple[int, ...]) -> Float[Array, "..."]:
    """One or a half for each entry of each twin ``[..., twins]``, in another pattern for each twin."""
    entries, twins = jnp.indices((math.prod(shape[:-1]), shape[-1]), sparse=True)
    odd = ((entries >> twins % 3) + twins) % 2
    return (1 - odd / 2).reshape(shape)


def agreement(tree: Tree) -> Float[Array, ""]:
    """Distance in units of the scale at which two states count as one: rounding that a step may leave."""
    return _units(tree, 8, 128)


def tolerance(tree: Tree) -> Float[Array, ""]:
    """Distance in units of the scale that a block may have from the next stretch of its answer."""
    return _units(tree, 16, 512)


def relative_distance(first: Tree, second: Tree, floor: Tree, groups: int = 1) -> Float[Array, ""]:
    """Largest distance between states ``[..., lanes]``, each entry in units of its scale.

    That is its largest magnitude over the lanes of its group, or its floor where that is larger.
    """

    def one(a: Array, b: Array, least: Array) -> Array:
        a, b, least = (value.reshape(*value.shape[:-1], groups, value.shape[-1] // groups) for value in (a, b, least))
        sizes = jnp.maximum(jnp.maximum(jnp.abs(a), jnp.abs(b)), least)
        apart = jnp.abs(a - b)
        scale = jnp.max(sizes, axis=-1, keepdims=True)
        return jnp.max(jnp.where(apart == 0, 0, apart / scale), initial=0.0)

    distances = jax.tree.leaves(jax.tree.map(one, first, second, floor))
    widest = jnp.result_type(*distances)
    return jnp.max(jnp.stack([distance.astype(widest) for distance in distances]))


def _units(tree: Tree, narrow: int, wide: int) -> Float[Array, ""]:
    """That many units of rounding of the narrowest dtype: ``narrow`` below float64, ``wide`` for it."""
    dtypes = [jnp.finfo(leaf.dtype) for leaf in jax.tree.leaves(tree)]
    coarsest = max(dtypes, key=lambda info: float(info.eps))
    # In the dtype that distances come in.
    real = jnp.result_type(*(info.dtype for info in dtypes))
    return jnp.asarray((wide if coarsest.bits == 64 else narrow) * float(coarsest.eps), real)
