"""The exponent to be expected over T steps and in the long run, from a run over the first steps and from pilots."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..estimate import Estimate
from .exponents import LEVEL, ROUNDING
from .following import Followed, Layout
from .settling import (
    SETTLING_SHARE,
    algebraic_limit,
    beginning,
    cells_of,
    mean_of_regular,
    self_normalized_half_width,
    smooth_mean,
    trend_beyond_doubt,
)
from .statistics import half_width
from .swings import without_swings

REGULAR = 0.5
"""Growth counts as periodic, or nearly so, if smooth means are less wide than plain ones by this factor."""

LARGEST_POWER = 3
"""Growth or decay up to this power of time is not taken for that of an exponent."""


def rate_of_run(run: Followed, layout: Layout) -> tuple[Estimate, Float[Array, ""]]:
    """The exponent of a system that is only followed from its start, and its rate after the beginning."""
    begun = beginning(layout.run)
    after = _after_beginning(run, layout)
    tail = cells_of(after)
    rate, width = jnp.mean(tail), self_normalized_half_width(tail)
    limit = rate
    if begun:
        middle = begun + after.shape[0] // 2
        halves = (after[: middle - begun], after[middle - begun :])
        smooth, off = mean_of_regular(after)
        regular = off < width
        early, late = (jnp.where(regular, smooth_mean(half), jnp.mean(half)) for half in halves)
        limit = algebraic_limit(early, late, begun, middle, layout.run)
        rate, width = jnp.where(regular, smooth, rate), jnp.minimum(off, width)
    value = _over_all(run.logs[0, :, 0], rate, layout)
    method = f"algorithm 1 over {layout.run} steps from the start, T = {layout.length}"
    slow = _power_of_time(rate, after.shape[0])
    return _interval(value, (rate, limit, rate + _anew(run), slow), width, method), rate


def _after_beginning(run: Followed, layout: Layout) -> Float[Array, " N"]:
    """Growth rates of the run without its beginning and without swings."""
    begun = beginning(layout.run)
    return without_swings(run.logs[:, begun:, 0], run.log_speed[:, begun:])[0]


def _over_all(along: Float[Array, " N"], rate: Float[Array, ""], layout: Layout) -> Float[Array, ""]:
    """The mean over T steps: measured over those of the run, and at a rate over the others."""
    rest = layout.length - layout.run
    return (layout.run * jnp.mean(along) + rest * rate) / layout.length if rest else jnp.mean(along)


def _power_of_time(rate: Float[Array, ""], steps: int) -> Float[Array, ""]:
    """A rate, or zero where a power of time explains the growth or decay over the last three quarters of the steps."""
    return jnp.where(jnp.abs(rate) * steps < LARGEST_POWER * math.log(SETTLING_SHARE), 0, rate)


def _anew(run: Followed) -> Float[Array, ""]:
    """Rate by which the direction that began half way outgrows the one from the start, once it has turned."""
    late = run.logs[0, -max(run.logs.shape[1] // 4, 1) :]
    return jnp.maximum(smooth_mean(late[:, 1] - late[:, 0]), 0)


def rate_with_pilots(run: Followed, pilots: Followed, layout: Layout) -> tuple[Estimate, Float[Array, ""]]:
    """The exponent from the run over the first steps and from pilots for all others, and the rate of these."""
    counted = without_swings(pilots.logs[:, layout.burn_in :, 0], pilots.log_speed[:, layout.burn_in :])
    half = max(counted.shape[1] // 2, 1)
    parts = (counted, counted[:, :half], counted[:, -half:])
    plain = jnp.stack([jnp.mean(part, axis=1) for part in parts])
    smooth = jnp.stack([smooth_mean(part) for part in parts])
    regular = half_width(smooth[0], LEVEL) < REGULAR * half_width(plain[0], LEVEL)
    each, *halves = jnp.where(regular, smooth, plain)
    rate = jnp.mean(each)
    value = _over_all(run.logs[0, :, 0], rate, layout)
    change = halves[1] - halves[0]
    in_order = jnp.concatenate([cells_of(row) for row in (_after_beginning(run, layout), *counted)])
    random = jnp.maximum(half_width(each, LEVEL), self_normalized_half_width(in_order))
    width = jnp.where(regular, half_width(each, LEVEL), random)
    method = (
        f"algorithm 1 over {layout.run} steps from the start and in {layout.pilots} pilots of {counted.shape[1]} steps "
        f"after {layout.burn_in}, T = {layout.length}"
    )
    slow = _power_of_time(rate, counted.shape[1])
    return _interval(value, (rate, rate + trend_beyond_doubt(change), slow), width, method), rate


def _interval(
    value: Float[Array, ""], others: tuple[Float[Array, ""], ...], width: Float[Array, ""], method: str
) -> Estimate:
    """An estimate whose interval holds the mean over T, the rate after the first steps, and what it still tends to."""
    ends = jnp.stack([value, *(jnp.where(jnp.isnan(other), value, other) for other in others)])
    width = width + ROUNDING * jnp.finfo(value.dtype).eps
    width = jnp.where(jnp.isnan(width) & jnp.isneginf(value), 0, width)
    unknown = jnp.isnan(value)
    return Estimate(
        value,
        jnp.where(unknown, -jnp.inf, jnp.min(ends) - width),
        jnp.where(unknown, jnp.inf, jnp.max(ends) + width),
        method,
        "1/step",
        LEVEL,
        ("what has been looked at is like the rest",),
    )
