"""The largest Lyapunov exponent of a step along its own trajectory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from .._compile import ProgramCache
from .._problem import Recurrence, ScanProblem
from .._signature import as_arrays, resolve
from .._types import StepFunction, Tree


class LyapunovEstimate(eqx.Module):
    """An estimated largest Lyapunov exponent.

    Attributes:
        per_step: mean over start directions of the mean log stretch, in 1/step.
        per_time: the same over ``dt``, in 1/unit of time; equal to ``per_step`` when ``dt`` is 1.
        spread: standard deviation of ``per_step`` over start directions, in 1/step. Directions that have aligned
            give the same number, so a spread that is not small says that the average is too short.
        directions: the estimate of every start direction, in 1/step ``[directions]``.
    """

    per_step: Float[Array, ""]
    per_time: Float[Array, ""]
    spread: Float[Array, ""]
    directions: Float[Array, " directions"]


def lyapunov_exponents(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    key: Key[Array, ""],
    directions: int = 3,
    warm_up: int = 0,
    dt: float = 1.0,
) -> LyapunovEstimate:
    """How fast neighboring trajectories part: the largest exponent, negative for predictable systems.

    Pushes unit vectors through the Jacobians along the trajectory by Jacobian-vector products, renormalizes at every
    step and averages the logarithms of the stretches. Depth T, work ``T`` steps plus ``T`` products a direction,
    memory independent of T.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree; only floating leaves are perturbed.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        key: random key of the start directions.
        directions: number of random start directions.
        warm_up: leading steps that turn the directions but do not count; a few times ``1/|gap to the next exponent|``
            steps remove the bias of a random start.
        dt: time that one step stands for, in the user's unit of time.

    Returns:
        A ``LyapunovEstimate``.

    Raises:
        TypeError: the step returns neither form.
        ValueError: ``directions`` below one, ``warm_up`` outside [0, T), ``dt`` not positive, or lengths that disagree.

    Source: algorithm 1 of the paper; Benettin et al. 1980.

    Example:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> halve = lambda s, x: 0.5 * s
        >>> estimate = ps.lyapunov_exponents(halve, jnp.ones(2), length=100, key=jax.random.key(0))
        >>> round(float(estimate.per_step), 4)
        -0.6931
    """
    if directions < 1:
        raise ValueError(f"directions: given {directions}, expected one or more.")
    if not dt > 0:
        raise ValueError(f"dt: given {dt}, expected a positive duration of one step.")
    return _programs(step, as_arrays("init", init), as_arrays("xs", xs), key, _Options(length, directions, warm_up, dt))


class _Options(eqx.Module):
    """Everything about a call that is known before compilation."""

    length: int | None = eqx.field(static=True)
    directions: int = eqx.field(static=True)
    warm_up: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)


def _estimate(step: StepFunction, init: Tree, xs: Tree, key: Key[Array, ""], options: _Options) -> LyapunovEstimate:
    """The estimate, as one traceable function of everything."""
    signature = resolve(step, init, xs, options.length, scan_form=False)
    counted = signature.length - options.warm_up
    if not 0 < counted <= signature.length:
        given, most = options.warm_up, signature.length
        raise ValueError(f"warm_up: given {given}, expected zero or more and less than T = {most}.")
    problem = ScanProblem.of(signature, reverse=False).recurrence
    vectors = jax.random.normal(key, (options.directions, problem.size), problem.dtype)
    per_direction = _log_stretches(problem, vectors, options.warm_up) / counted
    per_step = jnp.mean(per_direction)
    return LyapunovEstimate(per_step, per_step / options.dt, jnp.std(per_direction), per_direction)


def _log_stretches(
    problem: Recurrence, vectors: Float[Array, "directions D"], warm_up: int
) -> Float[Array, " directions"]:
    """Sum of log stretches of every direction after the warm-up.

    Compensated summation: a float32 sum of 10^5 terms would lose the digits that an exponent near zero consists of.
    """

    def unit(vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
        norms = jnp.linalg.norm(vectors, axis=1)
        return jnp.where(norms[:, None] > 0, vectors / norms[:, None], vectors), norms

    def advance(value: tuple, scanned: tuple) -> tuple[tuple, None]:
        state, vectors, total, lost = value
        inputs, counts = scanned
        following, push = jax.linearize(lambda s: problem.advance(s, inputs), state)
        vectors, norms = unit(jax.vmap(push)(vectors))
        term = jnp.where(counts, jnp.log(norms), 0.0) - lost
        new_total = total + term
        lost = jnp.where(jnp.isfinite(new_total), (new_total - total) - term, 0.0)
        return (following, vectors, new_total, lost), None

    zeros = jnp.zeros((vectors.shape[0],), problem.dtype)
    counts = jnp.arange(problem.length) >= warm_up
    start = (problem.initial, unit(vectors)[0], zeros, zeros)
    return jax.lax.scan(advance, start, (problem.inputs, counts))[0][2]


_programs = ProgramCache(_estimate)
