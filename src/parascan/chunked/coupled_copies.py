"""How fast a system forgets where it started, measured by coupling: no Jacobian, no assumption, a few dozen steps.

Two copies of the system are started from different states under the same inputs. The number of steps until they agree
to rounding *is* the memory horizon there; whether they agree at all tells predictable from unpredictable. Here the
copies are some of the chunks that run anyway, each with a copy. What they say only chooses the way; whether its answer
is accepted is decided in ``acceptance``.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..programs.unrounded import Mask
from ..solution import Tree
from .patterns import mixed

COPIES = 8
"""Chunks that get a copy."""

AGREEMENT = 8.0
"""Units of rounding at which two states count as one, on the scale of ``CoupledCopies.apart``."""

PART_OF_LEAF = 0.25
"""Part of the largest entry of its leaf that an entry's scale has at least: a small one is as inexact as its terms."""


class CoupledCopies:
    """Extra chunks that run some of the chunks from another start.

    Args:
        chunks: number of chunks that run already.
        exact: for each entry of a state whether it is never rounded, so that copies of it agree to the bit or not.
    """

    def __init__(self, chunks: int, exact: list[Mask]) -> None:
        count = min(COPIES, chunks)
        self._count, self._stride = count, chunks // count
        self._chunks = chunks
        self._exact = exact

    def join(self, inputs: Tree) -> Tree:
        """Inputs ``[..., chunks + copies]``, those of the copies being those of their chunks."""
        return jax.tree.map(lambda leaf: jnp.concatenate([leaf, self._chosen(leaf)], axis=-1), inputs)

    def start(self, states: Tree) -> Tree:
        """States ``[..., chunks + copies]``, each entry of a copy one scale above its chunk, half of one, or mirrored.

        Were all entries moved alike, two regimes that differ in the difference of entries would not show; were none
        mirrored, two that differ in sign would not.
        """

        def one(leaf: Array, own: Array, first: int) -> Array:
            size = jnp.max(jnp.where(jnp.isfinite(own), jnp.abs(own), 0), initial=0)
            share, mirrored = _pattern(own.shape, first)
            moved = (share * jnp.where(size > 0, size, 1)).astype(leaf.dtype)
            below = jnp.where(own == 0, -moved, -own)
            return jnp.concatenate([leaf, jnp.where(mirrored, below, own + moved)], axis=-1)

        leaves, structure = jax.tree.flatten(states)
        entries = [math.prod(leaf.shape[:-1]) for leaf in leaves]
        before = itertools.accumulate(entries[:-1], initial=0)
        own = jax.tree.leaves(self._own(states))
        return jax.tree.unflatten(structure, list(map(one, leaves, own, before)))

    def part(self, states: Tree) -> Tree:
        """The states of the chunks alone."""
        return jax.tree.map(lambda leaf: leaf[..., : self._chunks], states)

    def magnitudes(self, states: Tree) -> Tree:
        """Magnitudes of the states of the chunks that have a copy ``[..., copies]``."""
        return jax.tree.map(jnp.abs, self._own(states))

    def apart(self, states: Tree, recent: Tree) -> Float[Array, ""]:
        """Largest distance of a copy from its chunk, in units of rounding that count as none: one or less is agreement.

        The scale of an entry is its chunk's own magnitude of late, or a part of that of the whole leaf there.

        Args:
            states: of chunks and copies ``[..., chunks + copies]``.
            recent: magnitudes a few steps ago ``[..., copies]``.
        """

        def one(own: Array, copy: Array, recent: Array, exact: Mask) -> Float[Array, ""]:
            distance = jnp.where(own == copy, 0, jnp.abs(own - copy))
            size = jnp.maximum(jnp.abs(own), recent)
            largest = jnp.max(size, axis=tuple(range(size.ndim - 1)), keepdims=True)
            unit = AGREEMENT * float(jnp.finfo(own.dtype).eps) * jnp.maximum(size, PART_OF_LEAF * largest)
            # What is not held alike is as far apart as it ever was.
            units = jnp.where(exact[..., None], 1 / (AGREEMENT * float(jnp.finfo(own.dtype).eps)), distance / unit)
            return jnp.max(jnp.where(distance == 0, 0, units)).astype(jnp.float32)

        own, copy, recent = map(jax.tree.leaves, (self._own(states), self._copy(states), recent))
        leaves = zip(own, copy, recent, self._exact, strict=True)
        parts = [one(*each) for each in leaves if each[0].size]
        # What is no number must not be lost among numbers.
        return jnp.max(jnp.where(jnp.isnan(jnp.stack(parts)), jnp.inf, jnp.stack(parts)))

    def parted(self, states: Tree) -> list[Float[Array, ""]]:
        """Largest distance of a copy from its chunk in each leaf that has entries, in the units of the system."""
        leaves = zip(jax.tree.leaves(self._own(states)), jax.tree.leaves(self._copy(states)), strict=True)
        return [jnp.max(jnp.abs(own - copy)) for own, copy in leaves if own.size]

    def _own(self, states: Tree) -> Tree:
        """What the chunks that have a copy have themselves."""
        return jax.tree.map(self._chosen, states)

    def _chosen(self, leaf: Array) -> Array:
        """Entries ``[..., copies]`` of evenly spaced chunks: a slice, which is cheaper than a choice by numbers."""
        return leaf[..., : self._count * self._stride : self._stride]

    def _copy(self, states: Tree) -> Tree:
        """The states of the copies."""
        return jax.tree.map(lambda leaf: leaf[..., self._chunks :], states)


def _pattern(shape: tuple[int, ...], first: int) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    """One or a half, and whether to mirror, for each entry of each copy ``[..., copies]``, differently for each copy.

    Two entries that are a pair are never moved alike: of two entries in all, too many copies would be left to chance.

    Args:
        shape: of one leaf of the copies' states.
        first: how many entries the leaves before it have.
    """
    entries, copies = jnp.indices((math.prod(shape[:-1]), shape[-1]), sparse=True)
    entries = entries + first
    bits = mixed(entries >> 1, copies)
    unlike = jnp.where(entries & 1, 1 + (bits >> 2) % 3, 0)
    bits = (bits ^ unlike).reshape(shape)
    return 1 - (bits & 1) / 2, (bits & 2) == 2


def goal(tree: Tree) -> Float[Array, ""]:
    """Logarithm of the part of their first distance at which two copies are one, in the coarsest dtype of a state."""
    coarsest = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(tree))
    return jnp.asarray(math.log(AGREEMENT * coarsest), jnp.float32)
