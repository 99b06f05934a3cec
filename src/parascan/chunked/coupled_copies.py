"""How fast a system forgets its start, measured by coupled copies: no Jacobian, no assumption, a few dozen steps.

Two copies of a system start from different states and get the same inputs. The number of steps until they agree to
rounding *is* the memory horizon there; whether they agree at all tells a predictable system from an unpredictable one.
Here some of the chunks, which run anyway, get a copy. The copies only choose the way; ``acceptance`` decides whether
the answer is accepted.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..programs.patterns import mixed
from ..programs.unrounded import Mask
from ..solution import Tree

COPIES = 8
"""Number of chunks that get a copy."""

AGREEMENT = 8.0
"""Units of rounding within which two states count as met, on the scale of ``CoupledCopies.apart``."""

WRITTEN = 4096
"""Most entries of all copies of a leaf whose pattern is a constant of the program; a larger one would swell it."""

PART_OF_LEAF = 0.25
"""Least scale of an entry, as a part of the largest entry of its leaf: a small sum is as inexact as its terms."""


class CoupledCopies:
    """Extra chunks that run some of the chunks from another start.

    Args:
        chunks: number of chunks that run already.
        exact: for each entry of a state whether it is never rounded, so that copies of it must agree to the bit.
        tolerance: distance that the user accepts, as a part of the magnitude of an entry.
    """

    def __init__(self, chunks: int, exact: list[Mask], tolerance: float = 0.0) -> None:
        count = min(COPIES, chunks)
        self._count, self._stride = count, chunks // count
        self._chunks = chunks
        self._exact = exact
        self._tolerance = tolerance

    def join(self, inputs: Tree) -> Tree:
        """Inputs ``[..., chunks + copies]``: a copy has those of its chunk."""
        return jax.tree.map(lambda leaf: jnp.concatenate([leaf, self._chosen(leaf)], axis=-1), inputs)

    def start(self, states: Tree) -> Tree:
        """States ``[..., chunks + copies]``: each entry of a copy is shifted by its scale or half of it, or mirrored.

        Entries are moved differently so that regimes that differ in the difference of two entries are found, and some
        are mirrored so that regimes that differ in sign are.
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

    def exchanged(self, states: Tree) -> Tree:
        """States ``[..., chunks + copies]``, where each copy is in the state of another chunk that has one."""
        return jax.tree.map(
            lambda leaf: jnp.concatenate(
                [leaf[..., : self._chunks], jnp.roll(self._chosen(leaf), 1, axis=-1)], axis=-1
            ),
            states,
        )

    def part(self, states: Tree) -> Tree:
        """The states of the chunks alone."""
        return jax.tree.map(lambda leaf: leaf[..., : self._chunks], states)

    def magnitudes(self, states: Tree) -> Tree:
        """Magnitudes of the states of the chunks that have a copy ``[..., copies]``."""
        return jax.tree.map(jnp.abs, self._own(states))

    def apart(self, states: Tree, recent: Tree) -> Float[Array, ""]:
        """Largest distance of a copy from its chunk, in units of what counts as agreement: one or less is agreement.

        The scale of an entry is its own recent magnitude in the chunk, or a part of that of its whole leaf.

        Args:
            states: of chunks and copies ``[..., chunks + copies]``.
            recent: magnitudes a few steps ago ``[..., copies]``.
        """

        def one(own: Array, copy: Array, recent: Array, exact: Mask) -> Float[Array, ""]:
            distance = jnp.where(own == copy, 0, jnp.abs(own - copy))
            size = jnp.maximum(jnp.abs(own), recent)
            largest = jnp.max(size, axis=tuple(range(size.ndim - 1)), keepdims=True)
            unit = AGREEMENT * float(jnp.finfo(own.dtype).eps) * jnp.maximum(size, PART_OF_LEAF * largest)
            unit = jnp.maximum(unit, self._tolerance * size)
            # What is not held alike is as far apart as it ever was.
            units = jnp.where(exact[..., None], 1 / (AGREEMENT * float(jnp.finfo(own.dtype).eps)), distance / unit)
            return jnp.max(jnp.where(distance == 0, 0, units)).astype(jnp.float32)

        own, copy, recent = map(jax.tree.leaves, (self._own(states), self._copy(states), recent))
        leaves = zip(own, copy, recent, self._exact, strict=True)
        parts = [one(*each) for each in leaves if each[0].size]
        # What is no number must not be lost among numbers.
        return jnp.max(jnp.where(jnp.isnan(jnp.stack(parts)), jnp.inf, jnp.stack(parts)))

    def parted(self, states: Tree) -> list[Float[Array, ""]]:
        """Largest distance of a copy from its chunk in each leaf that has entries, in units of the state."""
        leaves = zip(jax.tree.leaves(self._own(states)), jax.tree.leaves(self._copy(states)), strict=True)
        return [jnp.max(jnp.abs(own - copy)) for own, copy in leaves if own.size]

    def _own(self, states: Tree) -> Tree:
        """The states of the chunks that have a copy ``[..., copies]``."""
        return jax.tree.map(self._chosen, states)

    def _chosen(self, leaf: Array) -> Array:
        """Entries ``[..., copies]`` of evenly spaced chunks, by a slice, which is cheaper than a gather."""
        return leaf[..., : self._count * self._stride : self._stride]

    def _copy(self, states: Tree) -> Tree:
        """The states of the copies."""
        return jax.tree.map(lambda leaf: leaf[..., self._chunks :], states)


def _pattern(shape: tuple[int, ...], first: int) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    """How each entry of each copy is moved ``[..., copies]``: by one scale or half of it, and whether it is mirrored.

    Copies differ. The two entries of a pair are never moved alike: with two entries in all, chance would move them
    alike in too many copies.

    Args:
        shape: of one leaf of the copies' states.
        first: how many entries the leaves before it have.
    """
    # A small pattern is computed here and a constant of the program: that is quicker than to compile its operations.
    indices = np.indices if math.prod(shape) <= WRITTEN else jnp.indices
    entries, copies = indices((math.prod(shape[:-1]), shape[-1]), sparse=True)
    entries = entries + first
    bits = mixed(entries >> 1, copies)
    unlike = (entries & 1).astype(bits.dtype) * (1 + (bits >> 2) % 3)
    bits = (bits ^ unlike).reshape(shape)
    return 1 - (bits & 1).astype(np.float32) / 2, (bits & 2) == 2


def goal(tree: Tree, tolerance: float = 0.0) -> Float[Array, ""]:
    """Logarithm of the part of their first distance at which two copies have met, in the coarsest dtype of a state.

    Args:
        tree: a state.
        tolerance: as for ``CoupledCopies``.
    """
    coarsest = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(tree))
    return jnp.asarray(math.log(max(AGREEMENT * coarsest, tolerance)), jnp.float32)
