"""When the answer of chunks is accepted: every jump between two of them is as small as rounding itself.

A chunk runs its first H steps twice: once from an arbitrary state, and once from the end of the chunk before it. Its
answer is the second run up to step H and what followed the first run from there. So the whole trajectory obeys the
user's recurrence exactly, but for one jump in each chunk: the distance of the two runs at step H. It is accepted when
on each of the last ``COMPARED`` steps before the junction, in every entry of every chunk, the two runs are no further
apart than the larger of

- ``UNITS`` units of rounding of the entry's own magnitude in the window of ``WINDOW`` steps that holds the step, and
- ``SPREAD_UNITS`` times what one unit of rounding in every entry of the state, of random sign, changes in this entry
  within one step, to first order, in the same window.

Nothing is measured in the magnitude of another chunk or of another time, and another entry or leaf counts only as far
as the step itself carries its rounding over. The second part is needed because an entry that passes through zero is as
inexact as the terms that it is a sum of. It is a derivative, not a difference, so a threshold that an entry sits on
does not make it large. A leaf whose program rounds nothing (it is held, selected, moved or counted by signs) has no
rounding to be excused by, and must agree to the bit.
"""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._types import Tree
from .._unknown import unknown_is
from .exact import exact_leaves
from .patterns import mixed

COMPARED = 8
"""Steps on which the two runs of a chunk are compared, the last ones before the junction."""

WINDOW = 4
"""Steps over which the largest magnitude of an entry, or change of it, is taken; a divisor of ``COMPARED``.

More than one, since an entry may pass through zero; fewer than all, so that one large value excuses one window only.
"""

UNITS, UNITS_OF_NARROW = 4.0, 2.0
"""Units of rounding of an entry's own magnitude that count as agreement, in float32 or wider and in narrower dtypes."""

SPREAD_UNITS, SPREAD_UNITS_OF_NARROW = 10.0, 5.0
"""Times the one-step effect of rounding that count as agreement: errors of several steps add up, and a step rounds
more than once. Networks and gated cells of 3 to 128 units agree within 9 on all of 32 or 64 chunks at once."""

DIRECTIONS = 2
"""Random directions in which the effect of rounding is taken."""

NEARLY = 1e4
"""Excess up to which a second run of the chunks may bring agreement; one that remembers its start is further off."""

Step = Callable[[Tree, Tree], tuple[Tree, Tree]]
"""``(carry, x) -> (carry, y)``, a tree whose leaves are the arrays that it uses."""


def excess(step: Step, before: Tree, runs: tuple[Tree, Tree], xs: Tree) -> Float[Array, ""]:
    """Largest distance of two runs in units of what is accepted: at most one for an accepted junction, never NaN.

    Args:
        step: of one sequence.
        before: states before each of the compared steps on the true run, leaves ``[R, P, ...]``.
        runs: the states after them on the true run and on the run from an arbitrary state, leaves ``[R, P, ...]``.
        xs: inputs of these steps, leaves ``[R, P, ...]``.
    """
    carry, x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), (before, xs))
    exact = exact_leaves(step, carry, x)
    spread = _spread(step, exact, before, xs)
    true, other = map(jax.tree.leaves, runs)
    parts = [_excess(*each) for each in zip(true, other, jax.tree.leaves(spread), exact, strict=True)]
    return reduce(jnp.maximum, parts, jnp.zeros((), jnp.float32))


def _excess(true: Array, other: Array, spread: Array, exact: bool) -> Float[Array, ""]:
    """The same of one leaf ``[R, P, ...]``."""
    info = jnp.finfo(true.dtype)
    narrow = info.bits < 32
    # Infinite entries that are the same on both runs have no distance.
    apart = jnp.where(true == other, 0, jnp.abs(true - other))
    if exact:
        return jnp.max(jnp.where(apart == 0, 0.0, jnp.inf), initial=0.0).astype(jnp.float32)
    own = (UNITS_OF_NARROW if narrow else UNITS) * float(info.eps) * _largest(jnp.abs(true))
    others = (SPREAD_UNITS_OF_NARROW if narrow else SPREAD_UNITS) * _largest(spread)
    # An infinite effect of rounding excuses nothing.
    allowed = jnp.maximum(own, jnp.where(jnp.isfinite(others), others, 0))
    apart = _largest(apart)
    ratio = jnp.where(apart == 0, 0, apart / allowed)
    return jnp.max(jnp.where(jnp.isnan(ratio), jnp.inf, ratio), initial=0.0).astype(jnp.float32)


def _largest(values: Array) -> Array:
    """Largest value in each window ``[R / WINDOW, P, ...]`` of ``[R, P, ...]``."""
    return jnp.max(values.reshape(-1, WINDOW, *values.shape[1:]), axis=1)


@unknown_is(
    lambda step, exact, states, xs: jax.tree.map(lambda leaf: jnp.zeros_like(leaf, jnp.finfo(leaf.dtype).dtype), states)
)
def _spread(step: Step, exact: list[bool], states: Tree, xs: Tree) -> Tree:
    """Largest change of each entry by one step, for a unit of rounding in every entry that is rounded ``[R, P, ...]``.

    Zero for a step that has no forward derivative: its entries are then judged by their own magnitude alone.
    """
    leaves, structure = jax.tree.flatten(states)
    places = [jnp.arange(leaf.size // max(leaf.shape[0] * leaf.shape[1], 1)) for leaf in leaves]

    def advance(x: Tree, *state: Array) -> Tree:
        return step(jax.tree.unflatten(structure, state), x)[0]

    def one(index: Int[Array, ""], state: Tree, x: Tree) -> Tree:
        def change(direction: Int[Array, ""]) -> Tree:
            def rounding(leaf: Array, place: Array, exact: bool) -> Array:
                eps = 0.0 if exact else float(jnp.finfo(leaf.dtype).eps)
                below = mixed(place.reshape(leaf.shape), index * DIRECTIONS + direction) & 1
                sign = (1 - 2 * below.astype(jnp.int32)).astype(jnp.finfo(leaf.dtype).dtype)
                return jnp.where(jnp.isfinite(leaf), leaf, 0) * sign * eps

            given = jax.tree.leaves(state)
            moved = [rounding(*each) for each in zip(given, places, exact, strict=True)]
            return jax.tree.map(jnp.abs, jax.jvp(partial(advance, x), tuple(given), tuple(moved))[1])

        return jax.tree.map(partial(jnp.max, axis=0), jax.vmap(change)(jnp.arange(DIRECTIONS)))

    rows, chunks = leaves[0].shape[:2]
    indices = jnp.arange(rows * chunks).reshape(rows, chunks)
    return jax.vmap(jax.vmap(one))(indices, states, xs)
