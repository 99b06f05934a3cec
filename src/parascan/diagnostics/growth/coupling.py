"""The coupling exponent: the rate at which pairs of copies with the same inputs come together, and whether they meet.

Where a step jumps, as a chain does that accepts or rejects, tangents do not see the jump. Copies do.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..estimate import Estimate
from .statistics import half_width

LEVEL = 0.95
"""Level of the interval."""

CLOSER = 1.0
"""Copies count as coming together if their distance has shrunk at least by this natural logarithm."""

MOST_MET = 0.9
"""Part of the pairs that have to meet before copies are said to meet."""

HARDLY = 0.25
"""Part of the way to meeting, on a logarithmic scale, below which pairs that have not met do not contract."""


class Coupling(eqx.Module):
    """Whether copies that start a finite distance apart come together.

    Attributes:
        rate: the coupling exponent: mean rate at which their distance changes until they meet, in 1/step; negative
            where they come together.
        apart: part of the pairs whose distance has not shrunk by a factor of e.
        jump: largest factor by which one step moved a near pair apart; 0 where no pair was far enough from rounding.
        stalled: part of the pairs that have not met, and whose distance has not shrunk by a factor of e in the second
            half of the steps.
        met: part of the pairs that met; of those that start further apart than rounding, as all parts are. Not a
            number where there is none.
        way: part of the way to meeting that a pair has gone, by the logarithm of its distance; the median.
        rows: steps for which the pairs were followed.
    """

    rate: Estimate
    apart: Float[Array, ""]
    jump: Float[Array, ""]
    stalled: Float[Array, ""]
    met: Float[Array, ""]
    way: Float[Array, ""]
    rows: int = eqx.field(static=True)

    @property
    def meets(self) -> bool:
        """Whether nearly all pairs met."""
        return float(self.met) >= MOST_MET

    @property
    def stays(self) -> bool:
        """Whether no pair met, and their distance hardly fell."""
        return float(self.met) == 0 and float(self.way) < HARDLY

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON."""
        parts = {name: float(getattr(self, name)) for name in ("apart", "jump", "stalled", "met", "way")}
        return {"rate": self.rate.to_dict(), **parts, "rows": self.rows}


def coupled(
    distances: Float[Array, "*kinds P R"], least: Float[Array, " P"], floor: Float[Array, ""], close: Float[Array, ""]
) -> Coupling:
    """What the distances of pairs of copies say.

    Args:
        distances: before every one of R steps, of P pairs. Where there are several kinds of pairs, the first kind
            gives the rate, and all of them the largest jump.
        least: distance at or below which a pair counts as met.
        floor: distance that may be no more than rounding.
        close: distance below which a pair counts as near.
    """
    followed = distances.reshape(-1, *distances.shape[-2:])[0]
    valid = followed[:, 0] > floor
    logs, steps, met = until_met(followed, least)
    later = jnp.log(followed[:, -1] / followed[:, (followed.shape[1] - 1) // 2])
    whole = jnp.log(least / followed[:, 0])
    gone = jnp.where(valid & (whole < 0), logs / jnp.where(whole < 0, whole, 1), jnp.nan)
    return Coupling(
        _rate(logs / steps, valid),
        _part(~met & (logs > -CLOSER), valid),
        _jump(distances, floor, close),
        _part(~met & (later > -CLOSER), valid),
        jnp.where(jnp.any(valid), _part(met, valid), jnp.nan),
        jnp.nanmedian(gone),
        distances.shape[-1],
    )


def _part(pairs: Bool[Array, " P"], valid: Bool[Array, " P"]) -> Float[Array, ""]:
    """Part of the valid pairs."""
    return jnp.sum(valid & pairs) / jnp.maximum(jnp.sum(valid), 1)


def until_met(
    distances: Float[Array, "P R"], least: Float[Array, " P"]
) -> tuple[Float[Array, " P"], Float[Array, " P"], Bool[Array, " P"]]:
    """Logarithm of the last distance over the first, the steps between them, and whether the pair has met by then.

    Args:
        distances: as for ``coupled``.
        least: as for ``coupled``.
    """
    met = distances <= least[:, None]
    ever = jnp.any(met, axis=1)
    end = jnp.where(ever, jnp.argmax(met, axis=1), distances.shape[1] - 1)
    at_end = jnp.maximum(jnp.take_along_axis(distances, end[:, None], axis=1)[:, 0], least)
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


def _jump(distances: Float[Array, "*kinds P R"], floor: Float[Array, ""], close: Float[Array, ""]) -> Float[Array, ""]:
    """Largest factor by which one step changes a distance that is small, but larger than rounding."""
    before, after = distances[..., :-1], distances[..., 1:]
    looked = (before > floor) & (before < close) & jnp.isfinite(after)
    return jnp.max(jnp.where(looked, after / jnp.where(looked, before, 1), 0), initial=0.0)
