"""The mean rate of a series that may not have settled yet, with an interval that allows for that."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from .statistics import means_of_stretches

CELLS = 64
"""Most means of consecutive terms that a series is reduced to."""

SELF_NORMALIZED_QUANTILE = 45.4
"""95 % quantile of ``B(1)^2 / integral of (B(r) - r B(1))^2`` for a Brownian motion B (Lobato 2001, table 1)."""

DIGIT = 10.0
"""Error of a smooth mean that is allowed for, in units of the spread of several."""

SETTLING_SHARE = 4
"""The beginning of a series, in which a transient dies out, is its length over this number."""


def cells_of(series: Float[Array, "N *rest"]) -> Float[Array, "C *rest"]:
    """Means over equal stretches of a series in order; the first few terms, for which no stretch is left, are not used.

    Args:
        series: N terms, one or more.
    """
    return means_of_stretches(series, min(CELLS, series.shape[0]))


def self_normalized_half_width(cells: Float[Array, " C"]) -> Float[Array, ""]:
    """Half the width of a 95 % interval for the mean of a correlated series, from the range of its partial sums.

    No correlation has to be estimated: slow swings, bursts and a drift within the series all widen the partial sums,
    and so the interval. A drift from one end to the other by d gives about ``0.6 d``. Infinite for one term.

    Args:
        cells: terms of the series, or means of equal stretches, in order.

    Source: Lobato 2001; Shao 2010, section 2.1.
    """
    count = cells.shape[0]
    if count < 2:
        return jnp.asarray(jnp.inf, cells.dtype)
    sums = jnp.cumsum(cells - jnp.mean(cells))
    return jnp.sqrt(SELF_NORMALIZED_QUANTILE * jnp.sum(sums**2) / count) / count


def smooth_mean(series: Float[Array, "*several N"]) -> Float[Array, "*several"]:
    """Mean with weights that rise from nothing and fall to nothing again, ``exp(-1 / (u (1 - u)))`` over 0 < u < 1.

    Cutting off a periodic or quasi-periodic series after N terms changes its plain mean by about ``1 / N`` of a swing,
    and this one by less than any power of ``1 / N``. For a random series this mean is as good as a plain one of about
    half as many terms.

    Source: weighted Birkhoff averages, Das, Saiki, Sander and Yorke 2017.
    """
    u = (jnp.arange(series.shape[-1], dtype=series.dtype) + 0.5) / series.shape[-1]
    weights = jnp.exp(-1 / (u * (1 - u)))
    return jnp.sum(series * (weights / jnp.sum(weights)), axis=-1)


def mean_of_regular(series: Float[Array, " N"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Smooth mean of a series, and how far it may be off if the series is periodic or quasi-periodic.

    Ten times the spread of the smooth means over three halves that overlap: for a regular series they agree to many
    digits, for a random one they differ as much as means do.

    Args:
        series: N terms, four or more.

    Source: Sander and Meiss 2020, who tell regular orbits from chaotic ones so.
    """
    half, quarter = series.shape[0] // 2, series.shape[0] // 4
    means = smooth_mean(jnp.stack([series[first : first + half] for first in (0, quarter, series.shape[0] - half)]))
    return smooth_mean(series), DIGIT * (jnp.max(means) - jnp.min(means))


def algebraic_limit(
    early: Float[Array, ""], late: Float[Array, ""], first: int, middle: int, end: int
) -> Float[Array, ""]:
    """The exponential rate that is left when part of a growth follows a power of time, ``rate t + p log t``.

    Two equations for the rate and p. Perturbations of a shear, of a Jordan block and of a regular orbit of a
    Hamiltonian system grow so, and their mean rate falls as ``1 / t`` for as long as one looks.

    Args:
        early: mean rate from step ``first`` to ``middle``.
        late: mean rate from step ``middle`` to ``end``.
        first: steps before the first mean, positive.
        middle: steps before the second.
        end: steps of all.
    """
    shares = (math.log(middle / first) / (middle - first), math.log(end / middle) / (end - middle))
    return late - (early - late) * shares[1] / (shares[0] - shares[1])


def trend_beyond_doubt(change: Float[Array, " P"]) -> Float[Array, ""]:
    """Difference of the second halves of several series from the first, less what chance explains; signed.

    Args:
        change: mean of the second half less that of the first, of P series.
    """
    count = change.shape[0]
    if count < 2:
        return jnp.zeros((), change.dtype)
    mean, error = jnp.mean(change), jnp.std(change, ddof=1) / math.sqrt(count)
    return jnp.sign(mean) * jnp.maximum(jnp.abs(mean) - error, 0)


def beginning(count: int) -> int:
    """Number of leading terms that count as the beginning of a series of ``count``; none of fewer than four."""
    return count // SETTLING_SHARE
