"""Means of long correlated series, and intervals for them that the correlation does not make too narrow."""

import jax.numpy as jnp
from jaxtyping import Array, Float

MOST_BATCHES = 24
"""Most batches: few long ones are nearly independent, many short ones are not."""

FEWEST_BATCHES = 3
"""Fewest batches from which an interval is given."""

SHORTEST_BATCH = 4
"""Least terms of a batch."""

MOST_CORRELATION = 0.9
"""Largest correlation of neighboring batches that is corrected for; a larger one counts as this."""


def mean(series: Float[Array, "T *rest"]) -> Float[Array, "*rest"]:
    """Mean over the first axis, in two passes.

    The second pass sums deviations from the first mean, whose rounding is that of their spread: a float32 sum of 10^5
    terms would lose the digits that a mean near zero consists of.
    """
    first = jnp.mean(series, axis=0)
    shift = jnp.where(jnp.isfinite(first), first, 0)
    return jnp.mean(series - shift, axis=0) + shift


def batch_means(series: Float[Array, "T *rest"]) -> Float[Array, "B *rest"]:
    """Means of equal batches in order; the first few terms, for which no batch is left, are not used."""
    return means_of_stretches(series, max(min(MOST_BATCHES, series.shape[0] // SHORTEST_BATCH), 1))


def means_of_stretches(series: Float[Array, "T *rest"], count: int) -> Float[Array, "B *rest"]:
    """Means over equal stretches in order; the first few terms, for which no stretch is left, are not used.

    Args:
        series: T terms.
        count: number of stretches, at most T.
    """
    length = series.shape[0]
    size = length // count
    stretches = series[length - count * size :].reshape(count, size, *series.shape[1:])
    return mean(jnp.moveaxis(stretches, 1, 0))


def half_width(batches: Float[Array, "B *rest"], level: float) -> Float[Array, "*rest"]:
    """Half the width of Student's interval for the mean of batches, widened where neighbors are correlated.

    Infinite for fewer than ``FEWEST_BATCHES`` batches. With correlation r between neighbors the variance of the mean is
    ``(1 + r) / (1 - r)`` times that of independent batches, as for a process of first order.

    Args:
        batches: means of batches in order.
        level: probability that the interval should hold with.
    """
    count = batches.shape[0]
    if count < FEWEST_BATCHES:
        return jnp.full(batches.shape[1:], jnp.inf, batches.dtype)
    deviations = batches - mean(batches)
    total = jnp.sum(deviations**2, axis=0)
    neighbors = jnp.sum(deviations[1:] * deviations[:-1], axis=0)
    r = jnp.clip(jnp.where(total > 0, neighbors / jnp.where(total > 0, total, 1), 0), 0, MOST_CORRELATION)
    variance = total / (count - 1) / count * (1 + r) / (1 - r)
    return student_quantile(0.5 + level / 2, count - 1) * jnp.sqrt(variance)


def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's distribution.

    Args:
        probability: in (0, 1).
        degrees: degrees of freedom, one or more.
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def gamma_quantile(probability: float, shape: int) -> float:
    """Quantile of the gamma distribution of scale one.

    Args:
        probability: in (0, 1).
        shape: one or more.
    """
    from scipy.special import gammaincinv

    return float(gammaincinv(shape, probability))


def extrapolated_maximum(values: Float[Array, " N"], population: int, level: float) -> Float[Array, ""]:
    """A number that the maximum over a population stays below, from a sample of it; at least the sample's maximum.

    The excess of the largest values over a threshold is taken for exponential, as it is to leading order for
    distributions with a light tail. Half of what the level leaves is for the scale of the tail, which few values tell,
    half for the maximum itself. Exactly the sample's maximum when the sample is the population.

    Args:
        values: a sample, N of them.
        population: number of values that there are.
        level: probability that the bound should hold with.
    """
    count = values.shape[0]
    top = jnp.max(values)
    if count >= population:
        return top
    if count < FEWEST_BATCHES:
        return jnp.full((), jnp.inf, values.dtype)
    tail = max(int(count**0.5), 2)
    ordered = jnp.sort(values)
    threshold = ordered[-tail - 1] if tail < count else ordered[0]
    missing = (1 - level) / 2
    # The sum of so many exponential excesses has a gamma distribution.
    scale = jnp.sum(ordered[-tail:] - threshold) / gamma_quantile(missing, tail)
    reach = jnp.log(population * tail / count) - jnp.log(-jnp.log1p(-missing))
    return jnp.maximum(top, threshold + scale * reach)
