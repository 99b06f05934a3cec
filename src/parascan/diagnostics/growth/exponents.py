"""``LyapunovEstimate``: what a measurement of exponents returns, and what follows from the exponents."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..estimate import Estimate
from .spectrum import Stretches, Windows
from .statistics import batch_means, half_width, mean

LEVEL = 0.95
"""Level of the intervals."""

ROUNDING = 4
"""Units of rounding by which the logarithms of all stretches may be off in the same direction."""

START_MARGIN = 1.5
"""Largest effect of the first directions on a sum of stretches, in units of the range of that sum about its trend."""

ASSUMPTIONS = (
    "stationary: later steps are like those measured",
    "batches outlast the memory of the stretches",
    "the directions have turned",
    "the derivative of the step is that of its value, as differences of the first steps tell",
)


class LyapunovEstimate(eqx.Module):
    """Estimated leading Lyapunov exponents, with intervals and how they vary.

    Where one exponent is asked for, ``k`` is not an axis of any array.

    Attributes:
        per_step: mean over start directions of the mean log stretch, in 1/step ``[k]``.
        per_time: the same over ``dt``, in 1/unit of time; equal to ``per_step`` when ``dt`` is 1.
        spread: standard deviation of ``per_step`` over start directions, in 1/step. Directions that have aligned
            give the same number, so a spread that is not small says that the average is too short.
        directions: the estimate of every start direction, in 1/step ``[directions k]``.
        estimate: ``per_step`` with its interval.
        batches: means over consecutive batches of steps after the warm-up, in 1/step ``[batches k]``.
        finite_time: exponents of windows along the data, in 1/step ``[windows k]``; None where none were asked for.
        size: D, number of exponents that there are.
        dt: time that one step stands for.
    """

    per_step: Float[Array, "*k"]
    per_time: Float[Array, "*k"]
    spread: Float[Array, "*k"]
    directions: Float[Array, "directions *k"]
    estimate: Estimate
    batches: Float[Array, "batches *k"]
    finite_time: Float[Array, "windows *k"] | None
    size: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)

    @property
    def resolution(self) -> float:
        """Least exponent per step that the precision of the states can tell from zero, in 1/step."""
        return ROUNDING * float(jnp.finfo(self.per_step.dtype).eps)

    @property
    def estimate_per_time(self) -> Estimate:
        """``per_time`` with its interval."""
        e = self.estimate
        return Estimate(
            e.value / self.dt, e.low / self.dt, e.high / self.dt, e.method, "1/time", e.level, e.assumptions
        )

    @property
    def kaplan_yorke(self) -> Estimate:
        """Dimension of the attractor by the formula of Kaplan and Yorke, its interval by leaving batches out in turn.

        Zero where the largest exponent is negative; NaN where more exponents are needed to know it.
        """
        exponents, batches = self.per_step.reshape(-1), self.batches.reshape(len(self.batches), -1)
        value = kaplan_yorke_dimension(exponents, self.size)
        count = len(batches)
        without = (count * mean(batches) - batches) / max(count - 1, 1)
        left_out = jax.vmap(lambda exponents: kaplan_yorke_dimension(exponents, self.size))(without)
        width = half_width(count * value - (count - 1) * left_out, LEVEL)
        low, high = jnp.maximum(value - width, 0), jnp.minimum(value + width, self.size)
        method = f"Kaplan and Yorke's formula on {len(exponents)} exponents, jackknife over {count} batches"
        low, high = (jnp.where(jnp.isnan(end), end_of, end) for end, end_of in ((low, 0.0), (high, self.size)))
        return Estimate(value, low, high, method, "", LEVEL, ASSUMPTIONS)


def kaplan_yorke_dimension(exponents: Float[Array, " k"], size: int) -> Float[Array, ""]:
    """``j + (lambda_1 + ... + lambda_j) / |lambda_{j+1}|`` with the largest j whose sum is not negative.

    Args:
        exponents: the k largest, in descending order.
        size: D, number of exponents that there are.
    """
    sums = jnp.concatenate([jnp.zeros(1, exponents.dtype), jnp.cumsum(exponents)])
    # Sums rise and then fall, so that the last that is not negative is the one meant.
    j = jnp.max(jnp.where(sums >= 0, jnp.arange(len(sums)), 0))
    following = exponents[jnp.minimum(j, len(exponents) - 1)]
    beyond = jnp.asarray(size if len(exponents) == size else jnp.nan, exponents.dtype)
    value = jnp.where(j < len(exponents), j + sums[j] / jnp.abs(following), beyond)
    return jnp.where(jnp.any(jnp.isnan(exponents)), jnp.nan, value)


def summarize(
    stretches: Stretches, warm_up: int, windows: int | None, dt: float, size: int, how: str
) -> LyapunovEstimate:
    """The estimate from log stretches.

    Args:
        stretches: in cells that divide the warm-up and the windows.
        warm_up: leading steps that do not count.
        windows: number of finite-time windows over all steps, the last of which takes what is left over, or None.
        dt: time that one step stands for.
        size: D.
        how: the method, in a few words.
    """
    logs, cell, bias, cut = stretches
    if logs.shape[2] == 1:
        logs, bias = logs[..., 0], bias[0]
    counted = logs[warm_up // cell :]
    directions = mean(counted)
    value, spread = jnp.mean(directions, axis=0), jnp.std(directions, axis=0)
    over_directions = jnp.mean(logs, axis=1)
    batches = batch_means(over_directions[warm_up // cell :])
    of_start = bias_of_starts(over_directions[warm_up // cell :] if cut.chunks == 1 else over_directions, cell, cut)
    # Directions that have not turned yet disagree by as much as they are biased.
    width = jnp.maximum(half_width(batches, LEVEL), of_start) + spread + bias + ROUNDING * jnp.finfo(logs.dtype).eps
    width = jnp.where(jnp.isnan(width) & jnp.isneginf(value), 0, width)
    low, high = (
        jnp.where(jnp.isnan(end), sign * jnp.inf, end) for end, sign in ((value - width, -1), (value + width, 1))
    )
    method = f"{how}, {cell * len(counted)} steps after {warm_up}, {len(batches)} batch means"
    return LyapunovEstimate(
        per_step=value,
        per_time=value / dt,
        spread=spread,
        directions=directions,
        estimate=Estimate(value, low, high, method, "1/step", LEVEL, ASSUMPTIONS),
        batches=batches,
        finite_time=None if windows is None else _window_means(over_directions, windows),
        size=size,
        dt=dt,
    )


def bias_of_starts(series: Float[Array, "C *k"], cell: int, cut: Windows) -> Float[Array, "*k"]:
    """The largest error of a mean from the directions that chunks start from, where all chunks are alike.

    A sum of log stretches is a trend and a part that stays bounded, which comes from the turning of the first
    directions, and of two directions about one another where exponents are equal. It changes the mean by at most its
    range over the length of a chunk. It is taken of averages over all chunks, so that chance adds no more to it than to
    the mean itself.

    Args:
        series: log stretches per step, in cells.
        cell: steps of a cell.
        cut: how the trajectory is cut into chunks.
    """
    if cut.chunks > 1:
        whole = len(series) // cut.segment * cut.segment
        segments = series[:whole].reshape(-1, cut.segment, *series.shape[1:])
        each = segments[:, : cut.segment // cut.rows * cut.rows]
        series = jnp.mean(each.reshape(-1, cut.rows, *series.shape[1:]), axis=0)
    sums = jnp.cumsum(series - mean(series), axis=0)
    low, high = jnp.minimum(jnp.min(sums, axis=0), 0), jnp.maximum(jnp.max(sums, axis=0), 0)
    return START_MARGIN * (high - low) / len(series)


def _window_means(series: Float[Array, "T *k"], count: int) -> Float[Array, "W *k"]:
    """Means over windows in order."""
    size = len(series) // count
    first = series[: (count - 1) * size].reshape(count - 1, size, *series.shape[1:])
    last = mean(series[(count - 1) * size :])[None]
    return last if count == 1 else jnp.concatenate([mean(jnp.moveaxis(first, 1, 0)), last])
