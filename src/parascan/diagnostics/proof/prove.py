"""A proof of contraction by bounds on every operation of a step.

The step is followed operation by operation, for every state at once: each value gets a range, and each derivative a
bound that holds for all states and inputs (intervals for the values, absolute values for the derivatives). For the
whole step this gives a matrix M with ``|J| <= M`` entry by entry, and a bound on the norm of J, for every Jacobian J
that the system can have. Three norms are tried:

- With weights ``v > 0`` the largest ``|e_i| / v_i`` grows by ``max_i (M v)_i / v_i`` at most, since ``|J e| <= M |e|``.
  Any v is a proof; the one taken is near the leading eigenvector, for which the factor is the spectral radius of M.
- The Euclidean norm grows by the bound on the norm of J at most.
- Where J is one known matrix A, the norm ``||P e||`` grows by ``||P A P^-1||``. Any P is a proof; the one taken solves
  Lyapunov's equation, for which the factor is below one where all eigenvalues of A are within the unit circle.

By the mean value theorem they hold for the distance of any two states, since what is bounded holds on the line between
them. A step that jumps has no such bound, and is refused. The constant follows from the range of a step's result or,
where that is not bounded, from the distance between the initial state and its images: a state never leaves the ball of
radius ``q / (1 - rate)`` about a point whose images all lie within q of it.

The bounds are computed in double precision and widened by one part in a million, far beyond their rounding. They say
nothing of the rounding of the step itself, which any evaluation shares.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from ...problem.flat_recurrence import FlatStep
from ...problem.signature import Signature
from ...programs.ranges import Bounds, UnboundedError, any_state, anything, followed, known
from ...solution import Tree
from .proven_contraction import ProvenContraction

WIDENED = 1 + 1e-6
"""Factor of every bound that covers the rounding of its own computation."""

SWEEPS = 200
"""Products by which the leading eigenvector is approached."""

FLATTEST = 1e-6
"""Least weight of an entry, against the largest."""

WORST_METRIC = 1e8
"""Condition number of a metric beyond which rounding of its own might reach what bounds are widened by."""


def prove_contraction(signature: Signature) -> list[ProvenContraction]:
    """What can be proven of a step: a contraction for each norm in which there is one, at least one.

    First for all inputs that there may be; where that proves nothing and the inputs are known, for all that lie
    within the range of each of their entries.

    Args:
        signature: the call, its carry of floating entries alone.

    Raises:
        UnboundedError: nothing could be proven; the text says why.
    """
    step = FlatStep(signature.step, signature.layout)
    state = jax.ShapeDtypeStruct((signature.layout.size,), signature.layout.dtype)
    closed = jax.make_jaxpr(step)(state, (signature.row, ()))
    every = [anything(leaf.shape) for leaf in jax.tree.leaves(signature.row)]
    # Under jit, what is computed from known arrays would be traced too.
    with jax.ensure_compile_time_eval():
        try:
            return _proven(closed, every, signature)
        except UnboundedError:
            seen = _ranges(signature.xs)
            if seen is None:
                raise
            return _proven(closed, seen, signature)


def _proven(closed: Any, inputs: list[Bounds], signature: Signature) -> list[ProvenContraction]:
    """The contractions for inputs within ranges."""
    size = signature.layout.size
    (after,) = followed(closed, [any_state(size), *inputs])
    slopes = np.zeros((size, size)) if after.slopes is None else after.slopes
    norms = [_in_weights(slopes), Norm(after.norm * WIDENED, lambda distance: float(np.linalg.norm(distance)), 1.0)]
    if after.linear is not None:
        norms.append(_in_metric(after.linear))
    found = [norm for norm in norms if norm.rate < 1]
    if not found:
        least = min(norm.rate for norm in norms)
        raise UnboundedError(
            f"the best bound on the growth of a distance in one step is {least:.3g}, which is not below 1"
        )
    width, image = after.high - after.low, None
    proven = []
    for rate, length, cost in found:
        constant = length(width)
        if not np.isfinite(constant):
            image = _images_of_start(closed, inputs, signature) if image is None else image
            constant = length(image) / (1 - rate)
        if np.isfinite(constant):
            proven.append(ProvenContraction(rate, constant * cost * WIDENED))
    if not proven:
        raise UnboundedError("it contracts, but inputs without a bound may bring its states anywhere")
    return proven


class Norm(NamedTuple):
    """A norm of differences of states.

    Attributes:
        rate: bound on its growth in one step.
        length: bound on the norm of a difference, from bounds on the absolute value of each of its entries.
        cost: the largest entry of a difference whose norm is one.
    """

    rate: float
    length: Callable[[np.ndarray], float]
    cost: float


NO_NORM = Norm(np.inf, lambda distance: np.inf, 1.0)


def _in_metric(matrix: np.ndarray) -> Norm:
    """A norm in which a matrix contracts, if there is one that can be told from rounding."""
    radius = float(np.max(np.abs(np.linalg.eigvals(matrix)), initial=0.0)) if np.isfinite(matrix).all() else np.inf
    if not radius < 1:
        return NO_NORM
    # Imported here, since scipy takes long to import.
    import scipy.linalg

    widened = matrix / (0.5 * (1 + radius))
    try:
        root = np.linalg.cholesky(scipy.linalg.solve_discrete_lyapunov(widened.T, np.eye(len(matrix)))).T
    except np.linalg.LinAlgError:
        return NO_NORM
    inverse = np.linalg.inv(root)
    if np.linalg.norm(root, 2) * np.linalg.norm(inverse, 2) > WORST_METRIC:
        return NO_NORM
    rate = float(np.linalg.norm(root @ matrix @ inverse, 2)) * WIDENED

    def length(distance: np.ndarray) -> float:
        return float(np.linalg.norm(np.abs(root) @ distance)) if np.isfinite(distance).all() else np.inf

    return Norm(rate, length, float(np.linalg.norm(inverse, 2)))


def _in_weights(slopes: np.ndarray) -> Norm:
    """The largest weighted entry."""
    weights = np.ones(len(slopes))
    if not np.all(np.isfinite(slopes)):
        return NO_NORM
    for _ in range(SWEEPS):
        # The mean of v and M v approaches the leading eigenvector also where M turns entries about.
        weights = 0.5 * weights + 0.5 * (slopes @ weights) / max(np.max(slopes @ weights), 1e-300)
        weights = np.maximum(weights / np.max(weights), FLATTEST)
    candidates = (weights, np.ones(len(slopes)))
    rates = [float(np.max(slopes @ each / each, initial=0.0)) for each in candidates]
    best = int(np.argmin(rates))
    chosen = candidates[best]
    return Norm(rates[best] * WIDENED, lambda distance: float(np.max(distance / chosen)), float(np.max(chosen)))


def _images_of_start(closed: Any, inputs: list[Bounds], signature: Signature) -> np.ndarray:
    """Bound on the distance of each entry of the initial state from its images under all inputs."""
    initial = signature.layout.ravel(signature.init)[0]
    if isinstance(initial, Tracer):
        raise UnboundedError("its states have no bound, and the initial one is traced")
    (after,) = followed(closed, [known(initial), *inputs])
    start = np.asarray(initial).astype(np.float64)
    return np.maximum(np.abs(after.high - start), np.abs(after.low - start))


def _ranges(xs: Tree) -> list[Bounds] | None:
    """The range over time of each entry of the inputs, or None where they are not known or not numbers."""
    leaves = jax.tree.leaves(xs)
    if not leaves or any(isinstance(leaf, Tracer) or not len(leaf) for leaf in leaves):
        return None
    found = []
    for leaf in leaves:
        if not (jax.numpy.issubdtype(leaf.dtype, np.number) or leaf.dtype == np.bool_):
            return None
        low, high = (np.asarray(each(leaf, axis=0)).astype(np.float64) for each in (jax.numpy.min, jax.numpy.max))
        if np.isnan(low).any() or np.iscomplexobj(leaf):
            return None
        found.append(Bounds(low, high))
    return found
