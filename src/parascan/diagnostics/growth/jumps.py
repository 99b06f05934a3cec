"""Copies of a system that start apart and take the same inputs: whether they meet, which no derivative tells.

The exponent is that of infinitely small perturbations. Where a step jumps (a reset, a spike, an acceptance, a bounce),
its derivative has the slopes of both sides but not the jump, so that perturbations of a finite size may grow although
the exponent is negative. Iterations and chunks start a finite distance away.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ...solution import Tree
from ..estimate import Estimate
from .side_by_side import SideBySideStep, last
from .statistics import half_width

LEVEL = 0.95
"""Level of the interval."""

NEAREST, NEAR = 0.003, 0.1
"""Distances at which the nearer copies of the first and the last path start, in units of the spread of the states."""

MET = 1e-6
"""Copies count as met below this part of their first distance."""

ROUNDED = 256.0
"""Distances below so many units of rounding of the largest entry are not used."""

CLOSER = 1.0
"""Copies count as coming together if their distance has shrunk at least by this natural logarithm."""


class Coupling(eqx.Module):
    """Whether copies that start a finite distance apart come together.

    Attributes:
        rate: mean rate at which their distance changes until they meet, in 1/step; negative where they come together.
        apart: part of the pairs whose distance has not shrunk by a factor of e.
        jump: largest factor by which one step moved a near pair apart; 0 where no pair was far enough from rounding.
        rows: steps for which the pairs were followed.
    """

    rate: Estimate
    apart: Float[Array, ""]
    jump: Float[Array, ""]
    rows: int = eqx.field(static=True)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON."""
        return {"rate": self.rate.to_dict(), "apart": float(self.apart), "jump": float(self.jump), "rows": self.rows}


def couple(
    step: SideBySideStep, before: Float[Array, "P R D"], inputs: Tree, spread: Float[Array, ""], key: Key[Array, ""]
) -> Coupling:
    """Follow two copies of every path: one from where another path starts, one from close by.

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
    # Half way round, since neighboring paths of a short run start from nearly the same state.
    far = jnp.roll(starts, max(starts.shape[0] // 2, 1), axis=0)
    near = starts + size * jnp.geomspace(NEAREST, NEAR, starts.shape[0], dtype=starts.dtype)[:, None] * direction
    floor = ROUNDED * jnp.finfo(before.dtype).eps * jnp.maximum(scale, size)
    distances = jnp.stack([_distances(step, each, before, inputs) for each in (far, near)])
    use_far = jnp.any(distances[0, :, 0] > NEAR * size)
    followed = jnp.where(use_far, distances[0], distances[1])
    valid = followed[:, 0] > floor
    logs, steps, met = _until_met(followed, floor)
    return Coupling(
        _rate(logs / steps, valid),
        jnp.sum(valid & ~met & (logs > -CLOSER)) / jnp.maximum(jnp.sum(valid), 1),
        _jump(distances, floor, 2 * NEAR * size),
        before.shape[1],
    )


def _distances(step: SideBySideStep, start: Float[Array, "P D"], before: Array, inputs: Tree) -> Float[Array, "P R"]:
    """Distance of copies from their paths before every step."""

    def one(copies: Array, row: tuple[Array, Tree]) -> tuple[Array, Array]:
        known, x = last(row)
        return step(copies, x), jnp.linalg.norm(copies - known, axis=0)

    by_row = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), (before, inputs))
    return jax.lax.scan(one, start.T, by_row)[1].T


def _until_met(
    distances: Float[Array, "P R"], floor: Float[Array, ""]
) -> tuple[Float[Array, " P"], Float[Array, " P"], Bool[Array, " P"]]:
    """Logarithm of the last distance over the first, the steps between them, and whether the pair has met by then."""
    least = jnp.maximum(MET * distances[:, :1], floor)
    met = distances <= least
    ever = jnp.any(met, axis=1)
    end = jnp.where(ever, jnp.argmax(met, axis=1), distances.shape[1] - 1)
    at_end = jnp.maximum(jnp.take_along_axis(distances, end[:, None], axis=1), least)[:, 0]
    return jnp.log(at_end / distances[:, 0]), jnp.maximum(end, 1).astype(distances.dtype), ever


def _rate(rates: Float[Array, " P"], valid: Bool[Array, " P"]) -> Estimate:
    """The mean rate over the pairs whose distances are valid."""
    count = jnp.sum(valid)
    value = jnp.sum(jnp.where(valid, rates, 0)) / count
    # A pair that says nothing takes the mean's place: the width is then too small by the root of their share.
    width = half_width(jnp.where(valid, rates, value), LEVEL) * jnp.sqrt(rates.shape[0] / count)
    unknown = jnp.isnan(value) | jnp.isnan(width)
    return Estimate(
        value,
        jnp.where(unknown, -jnp.inf, value - width),
        jnp.where(unknown, jnp.inf, value + width),
        f"{rates.shape[0]} pairs of copies over {rates.shape[0]} stretches, until they meet",
        "1/step",
        LEVEL,
        ("the states seen are like the rest",),
    )


def _jump(distances: Float[Array, "K P R"], floor: Float[Array, ""], close: Float[Array, ""]) -> Float[Array, ""]:
    """Largest factor by which one step changes a distance that is small, but larger than rounding."""
    before, after = distances[..., :-1], distances[..., 1:]
    looked = (before > floor) & (before < close) & jnp.isfinite(after)
    return jnp.max(jnp.where(looked, after / jnp.where(looked, before, 1), 0), initial=0.0)
