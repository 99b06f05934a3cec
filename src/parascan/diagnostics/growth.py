"""How perturbations grow: the regularity constants, the transient, and the norm of the Jacobians."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from .estimate import Estimate
from .lanewise import LaneStep
from .paths import Paths
from .products import STORED_SIZE, geometric, log_norms
from .spectral_norms import EXACTNESS, norms_of_products, shortfall, stored_norms
from .statistics import extrapolated_maximum

LEVEL = 0.95
"""Level of the intervals."""

ENTRIES_OF_ALL_WINDOWS = 2**21
"""Most entries of the products of all windows for which all of them are looked at."""

LONGEST = 1024
"""Most steps of a window where not all windows are looked at."""

STARTS = 32
"""First steps from which windows are looked at, then."""

PLACES = 1024
"""Most steps whose Jacobians are looked at."""


class Regularity(eqx.Module):
    """``b e^{lambda k} <= ||J_{t+k-1} ... J_t|| <= a e^{lambda k}`` for all windows (t, k), equation 10.

    Attributes:
        a: one or more.
        b: one or less.
        overshoot: steps that transient growth lasts at most, ``log(a) / |lambda|``, remark 3; infinite unless the
            exponent is negative.
    """

    a: Estimate
    b: Estimate
    overshoot: Estimate


@eqx.filter_jit
def regularity(
    paths: Paths,
    exponent: Float[Array, ""],
    key: Key[Array, ""],
    *,
    starts: int = STARTS,
    longest: int | None = None,
    stretches: Float[Array, "P L"] | None = None,
) -> Regularity:
    """The constants a and b at an exponent, over all windows of short paths, over a sample of those of long ones.

    Stored products for small D, else power iterations from Jacobian-vector products alone, all first steps side by
    side. Depth the longest window, several times it where products are not stored.

    Args:
        paths: where the Jacobians are taken.
        exponent: the largest, in 1/step: the constants belong to it, and another one has others.
        key: of the vectors that power iterations start from.
        starts: number of first steps to look at where not all are.
        longest: longest window to look at; half a path and at most ``LONGEST`` when None.
        stretches: log stretches of a direction that has turned, in every step of the paths. They bound the norms of
            all windows from below, also of those that are not looked at.

    Source: equation 10 and remark 3 of the paper.
    """
    everything = paths.complete and paths.length**2 * paths.size**2 <= ENTRIES_OF_ALL_WINDOWS and longest is None
    if everything:
        firsts, lengths = np.arange(paths.length), np.arange(1, paths.length + 1)
    else:
        longest = min(longest or LONGEST, max(paths.length // 2, 1))
        firsts, lengths = paths.spread_starts(starts, longest), geometric(longest)
    excess = log_norms(paths, firsts, lengths, key) - exponent * jnp.asarray(lengths, paths.before.dtype)[:, None]
    # A window that leaves its path says nothing, but NaN in the Jacobians must not get lost.
    inside = jnp.asarray(firsts % paths.length + lengths[:, None] <= paths.length)
    tops = jnp.max(jnp.where(inside, excess, -jnp.inf), axis=0)
    bottoms = jnp.min(jnp.where(inside, excess, jnp.inf), axis=0)
    return _constants(tops, bottoms, exponent, _swings(stretches, exponent), paths, everything, int(lengths[-1]))


def _constants(
    tops: Float[Array, " n"],
    bottoms: Float[Array, " n"],
    exponent: Float[Array, ""],
    swings: tuple[Array, Array],
    paths: Paths,
    everything: bool,
    longest: int,
) -> Regularity:
    """The record, from the largest and least excess of the windows from every first step."""
    rise, fall = swings
    log_a = jnp.maximum(jnp.maximum(jnp.max(tops), rise), 0)
    log_b = jnp.minimum(jnp.min(bottoms), 0)
    high, low = log_a, log_b
    if not everything:
        high = jnp.maximum(log_a, extrapolated_maximum(tops, paths.total, LEVEL))
        low = jnp.minimum(jnp.minimum(log_b, fall), -extrapolated_maximum(-bottoms, paths.total, LEVEL))
    which = f"windows of {longest} steps or fewer from {len(tops)} of {paths.total} steps"
    how = "stored products" if paths.size <= STORED_SIZE else "power iteration on products, from below"
    method = f"all windows, {how}" if everything else f"{which}, {how}; longer ones by a turned direction"
    assumptions = ("at the value of the exponent",)
    if not everything:
        assumptions += ("the steps looked at are like the others", "growth of windows has an exponential tail")
    about = {"method": method, "level": 1.0 if everything else LEVEL, "assumptions": assumptions}
    a = _known(jnp.exp(log_a), jnp.exp(log_a), jnp.exp(high), 1.0, jnp.inf, about)
    b = _known(jnp.exp(log_b), jnp.exp(low), jnp.exp(log_b), 0.0, 1.0, about)
    rate = jnp.where(exponent < 0, -exponent, 0)
    overshoot, most = (jnp.where(rate > 0, log / rate, jnp.inf) for log in (log_a, high))
    return Regularity(a, b, _known(overshoot, overshoot, most, 0.0, jnp.inf, {**about, "unit": "steps"}))


def _known(value: Array, low: Array, high: Array, least: float, most: float, about: dict) -> Estimate:
    """An estimate whose interval is everything where the value is not a number."""
    unknown = jnp.isnan(value)
    return Estimate(value, jnp.where(unknown, least, low), jnp.where(unknown, most, high), **about)


def _swings(stretches: Float[Array, "P L"] | None, exponent: Float[Array, ""]) -> tuple[Array, Array]:
    """Largest rise and fall of ``sum (stretch - lambda)`` over any window of a path; zero without stretches."""
    if stretches is None:
        return jnp.zeros_like(exponent), jnp.zeros_like(exponent)
    sums = jnp.cumsum(stretches - exponent, axis=1)
    sums = jnp.concatenate([jnp.zeros_like(sums[:, :1]), sums], axis=1)
    rise = jnp.max(sums - jax.lax.cummin(sums, axis=1))
    return rise, jnp.min(sums - jax.lax.cummax(sums, axis=1))


@eqx.filter_jit
def jacobian_norm(paths: Paths, key: Key[Array, ""], *, places: int = PLACES) -> Estimate:
    """``rho = max ||J_t||``, the largest spectral norm of a step's Jacobian along the trajectory.

    Stored Jacobians for small D, else bidiagonalization from Jacobian-vector products and transposed ones, all places
    side by side.

    Args:
        paths: where the Jacobians are taken.
        key: of the vectors that the bidiagonalization starts from.
        places: most steps to look at, evenly spread.
    """
    norms, missing = place_norms(paths, paths.spread_places(places), key)
    value = jnp.max(norms)
    high = extrapolated_maximum(norms, paths.total, LEVEL) / (1 - missing) ** 0.5 if missing < 1 else jnp.inf
    method = "stored Jacobians" if paths.size <= STORED_SIZE else "bidiagonalization"
    about = {
        "method": f"{method} at {len(norms)} of {paths.total} steps",
        "level": LEVEL,
        "assumptions": () if len(norms) == paths.total else ("the steps looked at are like the others",),
    }
    return _known(value, value, jnp.asarray(high, value.dtype), 0.0, jnp.inf, about)


def place_norms(paths: Paths, places: np.ndarray, key: Key[Array, ""]) -> tuple[Float[Array, " n"], float]:
    """Spectral norms of the Jacobians at places, from below, and the part by which their squares may be too small.

    Args:
        paths: where the Jacobians are taken.
        places: flat indices of steps.
        key: of the start vectors.
    """
    states, x = paths.at(places)
    step = LaneStep(paths.advance)
    if paths.size <= STORED_SIZE:
        return stored_norms(step.matrices(states, x)), 2 * EXACTNESS
    start = jax.random.normal(key, states.shape, states.dtype)
    norms = norms_of_products(lambda v: step.push(states, x, v), lambda u: step.pull(states, x, u), start)
    return norms, shortfall(paths.size, LEVEL)
