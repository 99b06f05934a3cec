"""When the answer of chunks is accepted: every jump between two chunks must be as small as rounding itself.

A chunk runs its first H steps twice: once from an arbitrary state, and once from the end of the chunk before it. Its
answer is the second run up to step H, and the continuation of the first run after it. So the whole trajectory obeys the
user's recurrence exactly, except for one jump in each chunk: the distance between the two runs at step H. The jump is
accepted when on each of the last ``COMPARED`` steps up to H, in every entry of every chunk, the two runs are no further
apart than the larger of

- ``UNITS`` units of rounding of the entry's own magnitude at that step, and
- ``SPREAD_UNITS`` times the change of this entry by one step if every entry of the state before it is off by one unit
  of rounding with a random sign (to first order; the largest change within a window of ``WINDOW`` steps).

No entry is measured by the magnitude of another chunk or another step, and another entry or leaf counts only as far as
the step itself carries its rounding over. So a small memory beside something large (a burst, an offset, a season) is
compared on its own scale. The second part is needed because an entry that passes through zero is as inexact as the
terms that it is a sum of. It is a derivative, not a difference, so a threshold that an entry sits on does not make it
large. An entry whose program never rounds (it is held, selected, moved or counted) must agree to the bit.

A user may accept more: a part of the largest magnitude of the entry on these steps of its own chunk.
"""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..programs.batching import closed_over_chunks
from ..programs.closure import Closed, close_over
from ..programs.patterns import mixed
from ..programs.unknown import unknown_is
from ..programs.unrounded import Mask, exact_entries
from ..solution import Tree

COMPARED = 8
"""Steps on which the two runs of a chunk are compared, the last ones before the junction."""

WINDOW = 4
"""Steps over which the largest effect of rounding on an entry is taken; a divisor of ``COMPARED``.

More than one, since random signs may cancel; fewer than all, so that one large value excuses one window only.
"""

UNITS, UNITS_OF_NARROW = 4.0, 2.0
"""Units of rounding of an entry's own magnitude that count as agreement, in float32 or wider and in narrower dtypes."""

SPREAD_UNITS, SPREAD_UNITS_OF_NARROW = 20.0, 5.0
"""Distance that counts as agreement, in units of what rounding changes within one step, in float32 or wider and in
narrower dtypes: a step rounds more than once, and what it does not forget adds up. Networks and gated cells of 3 to 128
units that forget a fifth of their state in each step agree within 10, those that forget 3 percent within 22."""

DIRECTIONS = 2
"""Number of random directions in which the effect of rounding is measured."""

NEARLY = 1e4
"""Largest excess after which a later junction is looked at: a system that still remembers its start is further off."""

Step = Callable[[Tree, Tree], tuple[Tree, Tree]]
"""``(carry, x) -> (carry, y)``, a tree whose leaves are the arrays that it uses."""


def allowances(step: Step, before: Tree, true: Tree, xs: Tree, tolerance: float = 0.0) -> Tree:
    """Largest distance of two runs that is accepted, in each entry of each chunk, leaves ``[R, P, ...]``.

    Zero for an entry that is never rounded.

    Args:
        step: of one sequence.
        before: states before each of the compared steps on the true run, leaves ``[R, P, ...]``.
        true: the states after them, leaves ``[R, P, ...]``.
        xs: inputs of these steps, leaves ``[R, P, ...]``.
        tolerance: distance that the user accepts, as a part of the largest magnitude of an entry in these steps of its
            chunk.
    """
    carry, x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), (before, xs))
    step = close_over(step, carry, x)
    exact = jax.tree.unflatten(jax.tree.structure(true), exact_entries(step, carry, x))
    spread = _spread(step, jax.tree.leaves(exact), before, xs)
    return jax.tree.map(partial(_allowance, tolerance), true, spread, exact)


def _allowance(tolerance: float, true: Array, spread: Array, exact: Mask) -> Array:
    """As ``allowances``, for one leaf."""
    info = jnp.finfo(true.dtype)
    narrow = info.bits < 32
    own = (UNITS_OF_NARROW if narrow else UNITS) * float(info.eps) * jnp.abs(true)
    # An infinite effect of rounding excuses nothing.
    spread = jnp.where(jnp.isfinite(spread), spread, 0)
    others = (SPREAD_UNITS_OF_NARROW if narrow else SPREAD_UNITS) * _largest(spread)
    allowed = jnp.maximum(own, others)
    if tolerance:
        recent = jnp.max(jnp.where(jnp.isfinite(true), jnp.abs(true), 0), axis=0)
        allowed = jnp.maximum(allowed, tolerance * recent)
    return jnp.where(exact, 0, allowed)


def excess(true: Tree, other: Tree, allowed: Tree) -> Float[Array, " P"]:
    """Largest distance of two runs of each chunk in units of what is accepted: at most one if it is, never NaN.

    Args:
        true: states after the compared steps on the true run, leaves ``[R, P, ...]``.
        other: those on the run from an arbitrary state, leaves ``[R, P, ...]``.
        allowed: as ``allowances`` gives them.
    """

    def one(true: Array, other: Array, allowed: Array) -> Array:
        # Infinite entries that are the same on both runs have no distance. Those that differ have one, also where the
        # processor takes a difference below the normal numbers for zero.
        apart = jnp.maximum(jnp.abs(true - other), float(jnp.finfo(true.dtype).tiny))
        ratio = jnp.where(true == other, 0, apart / allowed)
        axes = tuple(axis for axis in range(ratio.ndim) if axis != 1)
        return jnp.max(jnp.where(jnp.isnan(ratio), jnp.inf, ratio), axis=axes, initial=0.0).astype(jnp.float32)

    return reduce(jnp.maximum, jax.tree.leaves(jax.tree.map(one, true, other, allowed)))


def _largest(values: Array) -> Array:
    """Largest value ``[R, P, ...]`` in the window of each row of ``[R, P, ...]``."""
    return jnp.repeat(jnp.max(values.reshape(len(values) // WINDOW, WINDOW, *values.shape[1:]), axis=1), WINDOW, axis=0)


@unknown_is(
    lambda step, exact, states, xs: jax.tree.map(lambda leaf: jnp.zeros_like(leaf, jnp.finfo(leaf.dtype).dtype), states)
)
def _spread(step: Closed, exact: list[Mask], states: Tree, xs: Tree) -> Tree:
    """Largest change of each entry by one step, for a unit of rounding in every entry that is rounded ``[R, P, ...]``.

    Zero for a step that has no forward derivative: its entries are then judged by their own magnitude alone.
    """
    leaves, structure = jax.tree.flatten(states)
    rows, chunks = leaves[0].shape[:2]
    given, inputs = ([_chunks_last(leaf) for leaf in tree] for tree in (leaves, jax.tree.leaves(xs)))
    inputs = jax.tree.unflatten(jax.tree.structure(xs), inputs)

    def advance(*state: Array) -> Tree:
        # As a program of chunks, so that rules of the user's own (``jax.custom_jvp``) for its derivative do not count.
        return closed_over_chunks(step, jax.tree.unflatten(structure, state), inputs)[0]

    def change(direction: Int[Array, ""]) -> Tree:
        def rounding(leaf: Array, exact: Mask) -> Array:
            eps = jnp.asarray(np.where(exact, 0.0, float(jnp.finfo(leaf.dtype).eps))[..., None], leaf.dtype)
            entries, chunk = jnp.indices((leaf.size // max(leaf.shape[-1], 1), leaf.shape[-1]), sparse=True)
            below = mixed(entries, chunk * DIRECTIONS + direction).reshape(leaf.shape) & 1
            sign = (1 - 2 * below.astype(jnp.int32)).astype(jnp.finfo(leaf.dtype).dtype)
            return jnp.where(jnp.isfinite(leaf), leaf, 0) * sign * eps

        moved = [rounding(*each) for each in zip(given, exact, strict=True)]
        return jax.tree.map(jnp.abs, jax.jvp(advance, tuple(given), tuple(moved))[1])

    largest = jax.tree.map(partial(jnp.max, axis=0), jax.vmap(change)(jnp.arange(DIRECTIONS)))
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0).reshape(rows, chunks, *leaf.shape[:-1]), largest)


def _chunks_last(leaf: Array) -> Array:
    """A leaf ``[R, P, ...]`` with rows and chunks as one last axis, ``[..., R P]``."""
    return jnp.moveaxis(leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]), 0, -1)
