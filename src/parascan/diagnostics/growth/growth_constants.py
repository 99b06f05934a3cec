"""How perturbations grow: the regularity constants, the transient, and the norm of the Jacobians."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ..estimate import Estimate
from .paths import Paths
from .products import STORED_SIZE, geometric, log_norms, products_needed
from .side_by_side import SideBySideStep
from .spectral_norms import EXACTNESS, norms_of_products, shortfall, stored_norms
from .statistics import extrapolated_maximum

LEVEL = 0.95
"""Level of the intervals."""

ENTRIES_OF_WINDOWS = 2**23
"""Most entries of stored products of windows from all steps; all windows are measured where their products fit in, else
all short ones."""

LONGEST = 1024
"""Most steps of a window where only a sample of windows is measured."""

STARTS = 32
"""Number of first steps of windows where only a sample of windows is measured."""

PLACES = 1024
"""Most steps whose Jacobian norms are measured."""


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
    """The constants a and b at an exponent, over all windows of a trajectory, or bounds on them.

    Of a whole trajectory that is not too long all windows are measured: ``T^2 D^2`` entries of their products. Of a
    longer one all windows up to some length are measured, and longer windows are bounded by the products of these
    norms, which gives a proven interval of a. Of paths that are only part of a trajectory a sample of windows is
    measured, by power iteration where products are not stored; then the value of a is a lower bound, that of b an upper
    bound, and no other bound is known. Depth is that of the longest window.

    Args:
        paths: where the Jacobians are taken.
        exponent: the largest, in 1/step; the constants depend on it.
        key: of the vectors that power iterations start from.
        starts: number of first steps to look at in a sample.
        longest: longest window of a sample; half a path and at most ``LONGEST`` when None.
        stretches: log stretches of a direction that has turned, in every step of the paths. They bound the norms of
            all windows of the paths from below, also of those that are not measured.

    Source: equation 10 and remark 3 of the paper; norms of products are at most products of norms.
    """
    # The direction of one stretch says nothing of windows that reach into the next.
    rise, fall = _swings(stretches, exponent)
    followed = stretches is not None and paths.complete
    paths = paths.joined()
    reach = _reach(paths)
    tops, bottoms, most = [rise, jnp.zeros_like(rise)], [jnp.zeros_like(rise)], jnp.full_like(rise, jnp.inf)
    samples = _samples(paths, reach, starts, longest)
    for firsts, lengths, stored in samples:
        norms = log_norms(paths, firsts, lengths, key, stored=stored)
        excess = norms - exponent * jnp.asarray(lengths, paths.before.dtype)[:, None]
        # A window that leaves its path says nothing, but NaN in the Jacobians must not get lost.
        inside = jnp.asarray(firsts % paths.length + lengths[:, None] <= paths.length)
        excess = jnp.where(inside, excess, -jnp.inf)
        tops.append(jnp.max(excess))
        bottoms.append(jnp.min(jnp.where(inside, excess, jnp.inf)))
        if len(firsts) == paths.length and reach:
            most = jnp.minimum(most, _bound_by_pieces(excess))
    log_a, log_b = (jnp.max(jnp.stack(tops)), jnp.min(jnp.stack(bottoms)))
    about = _about(paths, samples, reach)
    if reach == paths.length:
        return _constants(exponent, (log_a, log_a), (log_b, log_b), about)
    # Only a turned direction says something of all windows from below, and only of those of the paths.
    least = jnp.minimum(log_b, fall) if followed else jnp.full_like(log_b, -jnp.inf)
    return _constants(exponent, (log_a, jnp.maximum(log_a, most)), (least, log_b), about)


def products_of_regularity(paths: Paths, starts: int, longest: int) -> int:
    """Jacobian-vector products that ``regularity`` takes, transposed ones included.

    Args:
        paths: where the Jacobians are taken.
        starts: number of first steps to look at in a sample.
        longest: longest window of a sample.
    """
    paths = paths.joined()
    samples = _samples(paths, _reach(paths), starts, longest)
    return sum(products_needed(paths.size, len(firsts), lengths, stored=stored) for firsts, lengths, stored in samples)


def _reach(paths: Paths) -> int:
    """The length up to which all windows are measured; 0 where the paths are only part of a trajectory."""
    return min(ENTRIES_OF_WINDOWS // (paths.length * paths.size**2), paths.length) if paths.complete else 0


def _samples(paths: Paths, reach: int, starts: int, longest: int | None) -> list[tuple[np.ndarray, np.ndarray, bool]]:
    """First steps and lengths of the windows that are measured, and whether their products are stored."""
    longest = min(longest or LONGEST, max(paths.length // 2, 1))
    samples = []
    if reach:
        samples.append((np.arange(paths.length), np.arange(1, reach + 1), True))
    if reach < paths.length:
        samples.append((paths.spread_starts(starts, longest), geometric(longest), paths.size <= STORED_SIZE))
    return samples


def _about(paths: Paths, samples: list[tuple[np.ndarray, np.ndarray, bool]], reach: int) -> dict:
    """Method, level and assumptions of the constants."""
    firsts, lengths, stored = samples[-1]
    how = "stored products" if stored else "power iteration on products, from below"
    assumptions = ("at the value of the exponent",)
    if reach == paths.length:
        return {"method": f"all windows, {how}", "level": 1.0, "assumptions": assumptions}
    method = f"windows of {lengths[-1]} steps or fewer from {len(firsts)} of {paths.total} steps, {how}"
    if reach:
        method += f"; a at most by products of all windows of {reach} steps or fewer"
    else:
        method += "; the largest found, a lower bound of a and an upper one of b"
    if not paths.complete:
        assumptions += ("the paths are parts of the trajectory",)
    return {"method": method, "level": 1.0, "assumptions": assumptions}


def _bound_by_pieces(excess: Float[Array, "L T"]) -> Float[Array, ""]:
    """An upper bound on the excess of any window, by cutting it from its first step into pieces of L steps and a rest.

    Args:
        excess: excess of the windows of 1 to L steps from every step; minus infinity beyond the end.
    """
    reach, length = excess.shape
    rows = -(-length // reach)
    padded = jnp.pad(excess, ((0, 0), (0, rows * reach - length)), constant_values=-jnp.inf)
    # Windows from steps that are L apart, one chain of pieces for every first step of the first L.
    tops = jnp.max(padded, axis=0).reshape(rows, reach)
    pieces = padded[-1].reshape(rows, reach)

    def before(following: Array, row: tuple[Array, Array]) -> tuple[Array, None]:
        top, piece = row
        here = jnp.maximum(top, piece + jnp.maximum(following[0], 0))
        return jnp.stack([here, jnp.maximum(following[1], here)]), None

    start = jnp.full((2, reach), -jnp.inf, excess.dtype)
    return jnp.max(jax.lax.scan(before, start, (tops, pieces), reverse=True)[0][1])


def _constants(
    exponent: Float[Array, ""], log_a: tuple[Array, Array], log_b: tuple[Array, Array], about: dict
) -> Regularity:
    """The record, from a value of a and its upper bound, and a lower bound of b and its value."""
    a = _known(jnp.exp(log_a[0]), jnp.exp(log_a[0]), jnp.exp(log_a[1]), 1.0, jnp.inf, about)
    b = _known(jnp.exp(log_b[1]), jnp.exp(log_b[0]), jnp.exp(log_b[1]), 0.0, 1.0, about)
    rate = jnp.where(exponent < 0, -exponent, 0)
    overshoot, most = (jnp.where(rate > 0, log / rate, jnp.inf) for log in log_a)
    return Regularity(a, b, _known(overshoot, overshoot, most, 0.0, jnp.inf, {**about, "unit": "steps"}))


def _known(value: Array, low: Array, high: Array, least: float, most: float, about: dict) -> Estimate:
    """An estimate whose interval has no ends where the value is NaN."""
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
    """Lower bounds on the spectral norms of the Jacobians at places, and by which part their squares may be too small.

    Args:
        paths: where the Jacobians are taken.
        places: flat indices of steps.
        key: of the start vectors.
    """
    states, x = paths.at(places)
    step = SideBySideStep(paths.advance)
    if paths.size <= STORED_SIZE:
        return stored_norms(step.matrices(states, x)), 2 * EXACTNESS
    start = jax.random.normal(key, states.shape, states.dtype)
    norms = norms_of_products(lambda v: step.push(states, x, v), lambda u: step.pull(states, x, u), start)
    return norms, shortfall(paths.size, LEVEL)
