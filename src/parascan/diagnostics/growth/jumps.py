"""Copies of a system that start apart and take the same inputs: whether they meet, which no derivative tells.

The exponent is that of infinitely small perturbations. Where a step jumps (a reset, a spike, an acceptance, a bounce),
its derivative has the slopes of both sides but not the jump, so that perturbations of a finite size may grow although
the exponent is negative. Iterations and chunks start a finite distance away.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ...solution import Tree
from .coupling import Coupling, coupled
from .side_by_side import SideBySideStep, last

NEAREST, NEAR = 0.003, 0.1
"""Distances at which the nearer copies of the first and the last path start, in units of the spread of the states."""

MET = 1e-6
"""Copies count as met below this part of their first distance."""

ROUNDED = 256.0
"""Distances below so many units of rounding of the largest entry are not used."""


def couple(
    step: SideBySideStep, before: Float[Array, "P R D"], inputs: Tree, spread: Float[Array, ""], key: Key[Array, ""]
) -> Coupling:
    """Follow two copies of every path: one from where another path starts or has been, one from close by.

    Depth R; work ``2 P R`` steps, side by side.

    Args:
        step: the step at several places.
        before: states before the steps of P paths.
        inputs: inputs of the steps ``[P R ...]``.
        spread: root mean square distance of states from their mean.
        key: of the direction of the nearer copy.
    """
    starts = before[:, 0]
    scale = jnp.max(jnp.abs(before))
    size = jnp.where(spread > 0, spread, jnp.where(scale > 0, scale, 1))
    direction = jax.random.normal(key, starts.shape, starts.dtype)
    direction = direction / jnp.linalg.norm(direction, axis=1, keepdims=True)
    # Half way round, since neighboring paths of a short run start from nearly the same state. All starts may lie on
    # one side of a memory that rarely flips, so every other copy starts from the most distant state of all paths.
    far = jnp.roll(starts, max(starts.shape[0] // 2, 1), axis=0)
    far = jnp.where(jnp.arange(starts.shape[0])[:, None] % 2 == 1, most_distant(starts, before), far)
    near = starts + size * jnp.geomspace(NEAREST, NEAR, starts.shape[0], dtype=starts.dtype)[:, None] * direction
    floor = ROUNDED * jnp.finfo(before.dtype).eps * jnp.maximum(scale, size)
    distances = jnp.stack([_distances(step, each, before, inputs) for each in (far, near)])
    use_far = jnp.any(distances[0, :, 0] > NEAR * size)
    distances = jnp.where(use_far, distances, distances[::-1])
    return coupled(distances, jnp.maximum(MET * distances[0, :, 0], floor), floor, 2 * NEAR * size)


def most_distant(starts: Float[Array, "S D"], before: Float[Array, "P R D"]) -> Float[Array, "S D"]:
    """The finite state of all paths that is most distant from each start.

    Args:
        starts: states, looked at one after the other to save memory.
        before: as for ``couple``.
    """
    states = before.reshape(-1, before.shape[-1])

    def one(start: Float[Array, " D"]) -> Float[Array, " D"]:
        away = jnp.linalg.norm(states - start, axis=1)
        return states[jnp.argmax(jnp.where(jnp.isfinite(away), away, -1))]

    return jax.lax.map(one, starts)


def _distances(step: SideBySideStep, start: Float[Array, "P D"], before: Array, inputs: Tree) -> Float[Array, "P R"]:
    """Distance of copies from their paths before every step."""

    def one(copies: Array, row: tuple[Array, Tree]) -> tuple[Array, Array]:
        known, x = last(row)
        return step(copies, x), jnp.linalg.norm(copies - known, axis=0)

    by_row = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), (before, inputs))
    return jax.lax.scan(one, start.T, by_row)[1].T
