"""A constant metric in which every step contracts as much as possible."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..estimate import Estimate
from .paths import Paths
from .side_by_side import SideBySideStep
from .spectral_norms import EXACTNESS, leading_vectors, stored_norms
from .statistics import extrapolated_maximum

LEVEL = 0.95
"""Level of the interval."""

FULL_SIZE = 32
"""Largest D for which all metrics are searched; for larger D only diagonal ones are."""

SEARCHED = 64
"""Most steps whose Jacobians the search uses."""

MEASURED = 1024
"""Most steps at which the metric found is measured."""

ENTRIES = 2**22
"""Most entries of the Jacobians held at a time, which bounds the number of steps for large D."""

SEARCH_STEPS = 300
"""Gradient steps of the search."""

FIRST_STEP = 0.1
"""Size of the first gradient step, in units of a logarithm; later ones shrink to zero."""

SHARPNESS = 30.0
"""How close the smooth maximum is to the maximum: within ``log(steps) / SHARPNESS`` of its logarithm."""


class Contraction(eqx.Module):
    """``||P J_t P^-1|| <= rate`` at every step looked at: in the metric ``M = P^T P`` distances shrink by that factor.

    Attributes:
        rate: largest contraction factor; the system contracts where it is below one.
        kappa: ``sqrt(lambda_max(M) / lambda_min(M))``, the constant of remark 2.
        factor: P, upper triangular.
    """

    rate: Estimate
    kappa: Estimate
    factor: Float[Array, "D D"]


@eqx.filter_jit
def contraction(paths: Paths) -> Contraction:
    """The constant metric in which the largest contraction factor is least, as far as a search finds it.

    Gradient descent on a smooth maximum of ``log ||P J_t P^-1||`` over some steps, with the largest singular value and
    its gradient from stored Jacobians: over all metrics for small D, over diagonal ones for large D. What is returned
    is measured, at more steps than were searched; never worse than the Euclidean norm at the steps searched.

    Args:
        paths: where the Jacobians are taken.

    Source: remark 2 of the paper, contraction in a constant metric.
    """
    size = paths.size
    searched = paths.spread_places(max(min(SEARCHED, ENTRIES // size**2), 1))
    measured = paths.spread_places(max(min(MEASURED, ENTRIES // size**2), 1))
    step = SideBySideStep(paths.advance)
    factor = _search(step.matrices(*paths.at(searched)))
    norms = stored_norms(_transformed(factor, step.matrices(*paths.at(measured))))
    value = jnp.max(norms)
    unknown = jnp.isnan(value)
    high = extrapolated_maximum(norms, paths.total, LEVEL) * (1 + EXACTNESS)
    kind = "full" if size <= FULL_SIZE else "diagonal"
    rate = Estimate(
        value,
        jnp.where(unknown, 0, value),
        jnp.where(unknown, jnp.inf, high),
        f"{kind} metric searched at {len(searched)} steps, measured at {len(measured)} of {paths.total}",
        "",
        LEVEL,
        () if len(measured) == paths.total else ("the steps looked at are like the others",),
    )
    singular = jnp.linalg.svd(factor, compute_uv=False)
    kappa = singular[0] / singular[-1]
    return Contraction(rate, Estimate(kappa, kappa, kappa, "singular values of the factor", "", 1.0), factor)


def _transformed(factor: Float[Array, "D D"], jacobians: Float[Array, "n D D"]) -> Float[Array, "n D D"]:
    """``P J_t P^-1``."""
    inverse = jax.scipy.linalg.solve_triangular(factor, jnp.eye(len(factor), dtype=factor.dtype))
    return jnp.einsum("ij,njk,kl->nil", factor, jacobians, inverse)


def _factor(logs: Float[Array, " D"], upper: Float[Array, "D D"]) -> Float[Array, "D D"]:
    """P from the logarithms of its diagonal, and the entries above it in units of the diagonal of their row."""
    above = upper if len(logs) <= FULL_SIZE else jnp.zeros_like(upper)
    return jnp.exp(logs - jnp.mean(logs))[:, None] * (jnp.eye(len(logs), dtype=logs.dtype) + jnp.triu(above, 1))


def _search(jacobians: Float[Array, "n D D"]) -> Float[Array, "D D"]:
    """The factor of the best metric met on the way."""
    size, dtype = jacobians.shape[1], jacobians.dtype

    def objective(parameters: tuple[Array, Array]) -> tuple[Array, Array]:
        transformed = _transformed(_factor(*parameters), jacobians)
        # At the leading vectors the derivative of the norm needs no derivative of theirs.
        leading = jax.lax.stop_gradient(leading_vectors(jax.lax.stop_gradient(transformed)))
        squares = jnp.sum(jnp.einsum("nij,nj->ni", transformed, leading) ** 2, axis=1)
        logs = 0.5 * jnp.log(jnp.maximum(squares, jnp.finfo(dtype).tiny))
        return jax.nn.logsumexp(SHARPNESS * logs) / SHARPNESS, jnp.max(logs)

    def descend(carry: tuple, number: Array) -> tuple[tuple, None]:
        parameters, first, second, best, least = carry
        (_, worst), gradient = jax.value_and_grad(objective, has_aux=True)(parameters)
        better = worst < least
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), parameters, best)
        # Adam (Kingma and Ba 2015): steps of known size, whatever the scale of the gradient.
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g**2, second, gradient)
        size = FIRST_STEP * (1 - number / SEARCH_STEPS)

        def move(p: Array, m: Array, v: Array) -> Array:
            corrected = m / (1 - 0.9 ** (number + 1)), v / (1 - 0.99 ** (number + 1))
            return p - size * corrected[0] / (jnp.sqrt(corrected[1]) + jnp.finfo(dtype).eps)

        following = jax.tree.map(move, parameters, first, second)
        sound = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in following]))
        following = jax.tree.map(lambda new, old: jnp.where(sound, new, old), following, parameters)
        return (following, first, second, best, jnp.where(better, worst, least)), None

    euclidean = (jnp.zeros(size, dtype), jnp.zeros((size, size), dtype))
    start = (_balance(jnp.max(jnp.abs(jacobians), axis=0)), euclidean[1])
    begin = (start, euclidean, euclidean, euclidean, objective(euclidean)[1])
    return _factor(*jax.lax.scan(descend, begin, jnp.arange(SEARCH_STEPS, dtype=dtype))[0][3])


def _balance(entries: Float[Array, "D D"]) -> Float[Array, " D"]:
    """Logarithms of a diagonal P that makes rows and columns of a matrix alike in size, after Osborne (1960)."""
    entries = entries + jnp.finfo(entries.dtype).eps ** 0.5 * jnp.max(entries)

    def improve(_: int, logs: Array) -> Array:
        scaled = jnp.exp(logs[:, None] - logs) * entries
        return logs + 0.25 * (jnp.log(jnp.sum(scaled, axis=0)) - jnp.log(jnp.sum(scaled, axis=1)))

    logs = jax.lax.fori_loop(0, 100, improve, jnp.zeros(len(entries), entries.dtype))
    return jnp.where(jnp.all(jnp.isfinite(logs)), logs, 0)
