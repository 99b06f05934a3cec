"""``certify``: a bound on the error of a trajectory, by whatever method it was computed."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from ...problem.arguments import as_arrays
from ...problem.flat_recurrence import ScanProblem
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...programs.platform import on_its_platform
from ...solution import Certificate, Evidence, StepFunction, Tree
from ..conditioning.condition_number import flat_states
from ..estimate import Estimate
from .error_of_states import ErrorBound, bound_errors, kantorovich_factor

ASSUMPTIONS = (
    "the step is differentiable twice along the segment between the states and the true trajectory",
    "constants of the step are those of the working precision",
    "sums, products, quotients and square roots err with the sign that is measured; rounding errors of elementary "
    "functions are independent, or equal where the trajectory stands still",
    "the curvature along random likely errors stands for that along the true one, up to a factor of four",
    "the derivative of the step is that of its value up to the few percent that a difference of values can tell",
)


class Requirements(eqx.Module):
    """What a caller asks of a certificate and knows beforehand; all in units of the state.

    Attributes:
        tolerance: largest error allowed, or None for the root of the unit of rounding times the largest state.
        sigma_min: a lower bound on the smallest singular value of the residual Jacobian, or None.
        lipschitz: a Lipschitz constant of the Jacobian in the state, or None.
    """

    tolerance: Array | None = None
    sigma_min: Array | None = None
    lipschitz: Array | None = None


@on_its_platform
def certify(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    states: Tree = None,
    *,
    length: int | None = None,
    reverse: bool = False,
    tolerance: float | Array | None = None,
    sigma_min: float | Array | Estimate | None = None,
    lipschitz: float | Array | Estimate | None = None,
    key: Key[Array, ""] | None = None,
) -> Certificate:
    """How far states may be from the true trajectory, step by step: a small residual alone does not tell.

    Corrects the states by two Newton steps, measures how far they moved, and adds what may still be wrong: the next
    correction, and the rounding of every step pushed through the inverse of the residual Jacobian, with its sign where
    that can be measured. A Newton-Kantorovich test of the curvature has to pass; where it fails no bound is given. Nor
    is one given where differences of the step's values show that its derivative is not theirs. Takes six to nine linear
    recurrences, two of them with 4 and, beyond D = 8, 16 right-hand sides, and the memory of as many trajectories.
    Bounds for types narrower than float32 are in float32.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree.
        xs: inputs, each leaf with leading axis T, or None.
        states: the carry after every step, a tree with leading axis T such as ``solution.states``, from any method.
        length: T; needed when ``xs`` is None.
        reverse: whether the rollout runs from the last input to the first.
        tolerance: largest Euclidean norm of the error of a state, in its units; None for the root of the unit of
            rounding times the largest norm of a state.
        sigma_min: smallest singular value of the residual Jacobian, as ``ps.conditioning`` measures it, for a second
            bound from the residual; of an estimate its lower end is used.
        lipschitz: Lipschitz constant of the Jacobian in the state, which makes that second bound account for curvature;
            of an estimate its upper end is used.
        key: random key of the probes; the same fixed one when None, so that a certificate can be repeated.

    Returns:
        A ``Certificate``.

    Raises:
        TypeError: the step returns neither form.
        ValueError: a number out of its range, lengths that disagree, states that do not fit the carry, or a step that
            has no forward derivative.

    Source: Kantorovich 1948, in the affine covariant form of Deuflhard 2004, section 2.1; Higham and Mary 2019 for
    rounding errors as independent, Langlois 2001 for their signs; section 5 and figure 5 of the paper for why a
    residual is not enough.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> step = lambda s, x: jnp.tanh(0.5 * s + x)
        >>> xs = jnp.ones((200, 3))
        >>> solution = ps.rollout(step, jnp.zeros(3), xs)
        >>> certificate = ps.certify(step, jnp.zeros(3), xs, solution.states, tolerance=1e-5)
        >>> bool(certificate.certified), int(certificate.horizon)
        (True, 200)
    """
    if states is None:
        raise ValueError("states: given None, expected the carry after every step, such as solution.states.")
    required = Requirements(
        _positive("tolerance", tolerance),
        _positive("sigma_min", sigma_min.low if isinstance(sigma_min, Estimate) else sigma_min),
        _positive("lipschitz", lipschitz.high if isinstance(lipschitz, Estimate) else lipschitz),
    )
    arrays = (as_arrays("init", init), as_arrays("xs", xs), as_arrays("states", states))
    key = jax.random.key(0) if key is None else key
    return _programs(step, *arrays, key, required, _Options(length, bool(reverse)))


class _Options(eqx.Module):
    """Everything about a call that is known before compilation."""

    length: int | None = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)


def _positive(name: str, value: Any) -> Array | None:
    """The number as an array, refused if it is known and negative or NaN."""
    if value is None:
        return None
    if not isinstance(value, Tracer) and not bool(np.all(np.asarray(value) >= 0)):
        raise ValueError(f"{name}: given {value}, expected zero or a positive number.")
    return jnp.asarray(value)


def _certify(
    step: StepFunction, init: Tree, xs: Tree, states: Tree, key: Array, required: Requirements, options: _Options
) -> Certificate:
    """The certificate, as one traceable function of everything."""
    signature = resolve(step, init, xs, options.length, scan_form=False)
    problem = ScanProblem.of(signature, reverse=options.reverse)
    return certificate_of(problem, flat_states(problem, states), required, key)


def certificate_of(
    problem: ScanProblem, states: Float[Array, "T D"], required: Requirements, key: Key[Array, ""] | None = None
) -> Certificate:
    """The certificate of flat states in the order of computation.

    Args:
        problem: the scan.
        states: its states ``[T D]``.
        required: tolerance and prior knowledge.
        key: random key of the probes, a fixed one when None.
    """
    key = jax.random.key(0) if key is None else key
    error = jax.lax.stop_gradient(bound_errors(problem.recurrence, states, key))
    eps, dtype = float(jnp.finfo(problem.recurrence.dtype).eps), error.bound.dtype
    states = states.astype(dtype)
    bound, other = error.bound, _from_singular_value(error, required, dtype)
    better = (other < bound) & ~jnp.any(error.wrong_slopes)
    bound = jnp.where(better, other, bound)
    norms = jnp.linalg.norm(states, axis=1)
    largest = jnp.max(jnp.where(jnp.isfinite(norms), norms, 0.0), initial=0.0)
    floor = 16 * float(jnp.finfo(dtype).tiny) ** 0.5
    default = jnp.maximum(eps**0.5 * largest, floor)
    tolerance = default if required.tolerance is None else required.tolerance.astype(dtype)
    within = bound <= tolerance
    overall = jnp.max(bound, initial=0.0)
    used = Evidence.where(jnp.any(better & (bound == overall)), Evidence.singular_value, Evidence.correction)
    unused = Evidence.where(jnp.any(error.wrong_slopes), Evidence.derivative, Evidence.nothing)
    return Certificate(
        bound=problem.outward(bound),
        overall=overall,
        tolerance=tolerance,
        horizon=jnp.sum(jnp.cumprod(within.astype(jnp.int32))).astype(jnp.int32),
        certified=jnp.all(within),
        correction=jnp.max(error.correction, initial=0.0),
        rounding=jnp.max(error.rounding, initial=0.0),
        curvature=jnp.max(error.curvature, initial=0.0),
        used=Evidence.where(jnp.isfinite(overall), used, unused),
        assumptions=ASSUMPTIONS,
    )


def _from_singular_value(error: ErrorBound, required: Requirements, dtype: Any) -> Float[Array, " T"]:
    """``||r|| / sigma_min`` for all steps, enlarged by Kantorovich's factor where a Lipschitz constant is known."""
    if required.sigma_min is None:
        return jnp.full_like(error.bound, jnp.inf)
    inverse = 1 / required.sigma_min.astype(dtype)
    distance = inverse * (jnp.linalg.norm(error.residual) + jnp.linalg.norm(error.local_rounding))
    h = jnp.zeros_like(distance)
    if required.lipschitz is not None:
        h = inverse * required.lipschitz.astype(dtype) * distance
    bound = distance * kantorovich_factor(h)
    return jnp.full_like(error.bound, jnp.where(jnp.isnan(bound), jnp.inf, bound))


_programs = ProgramCache(_certify)
