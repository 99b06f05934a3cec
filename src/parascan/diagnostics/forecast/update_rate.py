"""How fast any fixed-point method converges near the solution: accuracy of its ``A_t``, and their stability.

An update solves ``s'_t = f_t(s_{t-1}) + A_t (s'_{t-1} - s_{t-1})``: Newton's method has ``A_t = J_t``, quasi-Newton's
the diagonal of ``J_t``, Picard's the identity, Jacobi's zero. Subtract the same line for the trajectory itself, a fixed
point whatever ``A_t`` is, and expand ``f_t``: with ``e`` the error of the iterate, its successor obeys

    ``e'_t = A_t e'_{t-1} + (J_t - A_t) e_{t-1} + O(|e|^2)``, that is, ``e' = M e + O(|e|^2)`` with ``M = L (J - A)``,

where L solves the linear recurrence of the ``A_t`` and ``J - A`` reads the step before. So an update changes an error
at most by ``||M||``, and

    ``sup |J_t - A_t| / ||L^-1|| <= ||M|| <= sup |J_t - A_t| ||L||``:

the mismatch of the approximation times the stability of its linear system. M is strictly lower triangular: its
eigenvalues are zero and say nothing, ``M^T = 0`` is the exactness of T updates, and what happens before is told by the
norms of its powers, ``||e^(i)|| <= ||M^i|| ||e^(0)||``. Every ``||M^k||^(1/k)`` bounds the mean factor of an update
over many.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ...linear import AbstractTransition, Bidiagonal
from ...problem.arguments import as_arrays, check_counts
from ...problem.flat_recurrence import Recurrence, ScanProblem
from ...problem.jacobian import full
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...programs.device_axis import one_earlier, one_later
from ...programs.hashed_keys import hashed
from ...programs.platform import on_its_platform
from ...solution import StepFunction, Trajectory, Tree
from ...solvers import Newton
from ..conditioning.bounds import LogBounds
from ..conditioning.condition_number import flat_states
from ..conditioning.singular import (
    ASSUMPTIONS,
    ROUNDING,
    Operator,
    extreme_singular_values,
    lanczos_steps,
    largest_eigenvalue,
)
from ..estimate import Estimate


class ErrorMap(eqx.Module):
    """The linear map ``M = L (J - A)`` from the error of an iterate to that of the next one, on ``[T D]`` arrays.

    Attributes:
        exact: the Jacobians ``J_1 .. J_T``.
        replaced: what an update has in their place, ``A_1 .. A_T``.
    """

    exact: AbstractTransition
    replaced: AbstractTransition

    @classmethod
    def of(cls, solver: Newton, problem: Recurrence, states: Trajectory) -> "ErrorMap":
        """The map of a method at a trajectory.

        Args:
            solver: of Newton's type, with any linearization; a random one is that of the first update.
            problem: the recurrence.
            states: the trajectory ``[T D]``.
        """
        return cls(full(problem, states), solver.transition(problem, states, jnp.zeros((), jnp.int32)))

    def mismatch(self, e: Trajectory) -> Trajectory:
        """``(J_t - A_t) e_{t-1}``."""
        before = one_later(jnp.zeros_like(e[0]), e, None)
        return self.exact.apply(before) - self.replaced.apply(before)

    def transposed_mismatch(self, e: Trajectory) -> Trajectory:
        """The transposed map of ``mismatch``."""
        after = self.exact.apply_transposed(e) - self.replaced.apply_transposed(e)
        return one_earlier(after, jnp.zeros_like(e[0]), None)

    def mv(self, e: Trajectory) -> Trajectory:
        """``M e``: a parallel pass and one linear recurrence."""
        return Bidiagonal(self.replaced).solve(self.mismatch(e))

    def transposed_mv(self, e: Trajectory) -> Trajectory:
        """``M^T e``."""
        return self.transposed_mismatch(Bidiagonal(self.replaced).transposed_solve(e))


class UpdateRate(eqx.Module):
    """How an update of a fixed-point method changes small errors.

    Attributes:
        log_factor: natural logarithm of ``||M^k||``, the largest factor by which k updates change an error.
        mismatch: ``sup |J_t - A_t|``, the spectral norm of what the approximation leaves out, over t = 2 .. T.
        log_stability: natural logarithm of ``||L||``, by which the linear system of the ``A_t`` amplifies.
        log_bounds: both bounds on the logarithm of ``||M||`` that follow from these: lower and upper.
        updates: k.
    """

    log_factor: Estimate
    mismatch: Estimate
    log_stability: Estimate
    log_bounds: LogBounds
    updates: int = eqx.field(static=True)

    @property
    def per_update(self) -> Float[Array, ""]:
        """``||M^k||^(1/k)``: below one, errors shrink at least like its powers, up to a constant."""
        return jnp.exp(self.log_factor.value / self.updates)

    def __str__(self) -> str:
        low, high = (math.exp(min(float(end), 700.0)) for end in self.log_bounds)
        return "\n".join(
            (
                f"factor     {float(self.per_update):.4g} per update, over {self.updates}",
                f"mismatch   {self.mismatch}",
                f"stability  {math.exp(min(float(self.log_stability.value), 700.0)):.4g}",
                f"theory     {low:.4g} <= factor of one update <= {high:.4g}",
            )
        )


class _Options(eqx.Module):
    """Everything about a call that is known before compilation."""

    length: int | None = eqx.field(static=True)
    updates: int = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)
    accuracy: float = eqx.field(static=True)
    level: float = eqx.field(static=True)


@on_its_platform
def update_rate(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    solver: Newton,
    key: Key[Array, ""],
    states: Tree = None,
    updates: int = 1,
    reverse: bool = False,
    accuracy: float = 0.02,
    level: float = 0.99,
) -> UpdateRate:
    """By what factor updates of a method change errors near the solution, with the two causes of it.

    Use it to see why a method converges slowly: by what its ``A_t`` leave out, or by how their linear system amplifies;
    and over several ``updates`` to see past the transient of one. It is a statement about small errors: far from the
    solution steps are not linear. ``ps.diagnose(solver=)`` says how many updates to expect. Costs some 30 times
    ``updates`` two products and two linear recurrences at the default accuracy, and memory of a few trajectories beside
    the Jacobians.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        solver: of Newton's type: ``deer()``, ``quasi_deer()``, ``picard()``, ``jacobi()``, ``scale_elk(k)`` or
            ``Newton`` with another linearization.
        key: random key of the start vectors.
        states: trajectory to linearize at, a tree with leading axis T; None to run one by sequential evaluation.
        updates: k, over how many updates the factor is taken, one or more.
        reverse: whether the rollout runs from the last input to the first.
        accuracy: largest relative error of a norm, between 0 and 1.
        level: probability with which it is kept, between 0 and 1.

    Returns:
        An ``UpdateRate``. Where a linear system leaves the range of the dtype, values are NaN and intervals open.

    Raises:
        TypeError: ``solver`` is not of Newton's type, ``updates`` not an integer, or the step returns neither form.
        ValueError: a number out of its range, lengths that disagree, or states that do not fit the carry.

    Source: Gonzalez et al. 2026 (A unifying framework for parallelizing sequential models with linear dynamical
    systems, TMLR), for a linear rate by accuracy and stability; Kuczynski and Wozniakowski 1992 for the intervals.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> from parascan.diagnostics import update_rate
        >>> shrink = lambda s, x: jnp.array([0.9, 0.5]) * s + 0.1 * s[::-1]
        >>> rate = update_rate(shrink, jnp.ones(2), length=60, solver=ps.quasi_deer(), key=jax.random.key(0))
        >>> low, high = jnp.exp(jnp.asarray(rate.log_bounds))
        >>> bool(low <= rate.per_update <= high), round(float(rate.mismatch.value), 3)
        (True, 0.1)
    """
    if not isinstance(solver, Newton):
        given = getattr(solver, "__name__", type(solver).__name__)
        raise TypeError(f"solver: given {given}, expected one of Newton's type such as quasi_deer() or picard().")
    check_counts(updates=updates)
    for name, share in (("accuracy", accuracy), ("level", level)):
        if not 0 < share < 1:
            raise ValueError(f"{name}: given {share}, expected a number between 0 and 1.")
    arrays = (as_arrays("init", init), as_arrays("xs", xs), as_arrays("states", states))
    options = _Options(length, int(updates), bool(reverse), float(accuracy), float(level))
    return _programs(step, *arrays, solver, key, options)


def _measure(
    step: StepFunction, init: Tree, xs: Tree, states: Tree, solver: Newton, key: Array, options: _Options
) -> UpdateRate:
    """The record, as one traceable function of everything."""
    signature = resolve(step, init, xs, options.length, scan_form=False)
    if signature.length < 1:
        raise ValueError("length: given 0 steps, expected one or more.")
    problem = ScanProblem.of(signature, reverse=options.reverse)
    trajectory = problem.recurrence.trajectory() if states is None else flat_states(problem, states)
    return rate_of(ErrorMap.of(solver, problem.recurrence, trajectory), key, options)


def rate_of(errors: ErrorMap, key: Key[Array, ""], options: _Options) -> UpdateRate:
    """The record of an error map.

    Args:
        errors: the map.
        key: of the start vectors.
        options: number of updates, accuracy and level.
    """
    keys = jax.random.split(hashed(key), 3)

    def gram(v: Trajectory) -> tuple[Trajectory, Int[Array, ""]]:
        exponent = jnp.zeros((), jnp.int32)
        for multiply in (errors.mv, errors.transposed_mv):
            v, exponent = _repeated(multiply, v, exponent, options.updates)
        return v, exponent

    def gram_of_mismatch(v: Trajectory) -> tuple[Trajectory, Int[Array, ""]]:
        return errors.transposed_mismatch(errors.mismatch(v)), jnp.zeros((), jnp.int32)

    log_factor = _log_norm(gram, errors, keys[0], options, f"the error map to the power of {options.updates}")
    gap = _log_norm(gram_of_mismatch, errors, keys[1], options, "J - A")
    value, low, high = (jnp.exp(each) for each in (gap.value, gap.low, gap.high))
    mismatch = Estimate(value, low, high, gap.method, "", gap.level, gap.assumptions)
    ends = extreme_singular_values(errors.replaced, keys[2], options.accuracy, options.level)
    small = ends.log_sigma_min
    stability = Estimate(-small.value, -small.high, -small.low, small.method, "", small.level, small.assumptions)
    bounds = LogBounds(gap.low - jnp.log(ends.sigma_max.high), gap.high + stability.high)
    return UpdateRate(log_factor, mismatch, stability, bounds, options.updates)


def _repeated(
    multiply: Callable[[Trajectory], Trajectory], v: Trajectory, exponent: Array, count: int
) -> tuple[Trajectory, Array]:
    """``(w, e)`` with ``w 2^e`` the image of ``v 2^exponent`` under so many products."""

    def one(carry: tuple[Trajectory, Array], _: None) -> tuple[tuple[Trajectory, Array], None]:
        v, exponent = carry
        w = multiply(v)
        grown = jnp.frexp(jnp.max(jnp.abs(w)))[1]
        return (jnp.ldexp(w, -grown), exponent + grown), None

    return jax.lax.scan(one, (v, exponent), None, length=count)[0]


def _log_norm(gram: Operator, errors: ErrorMap, key: Key[Array, ""], options: _Options, place: str) -> Estimate:
    """Logarithm of the norm of a map, whose Gram operator is given; minus infinity for the zero map."""
    exact = errors.exact
    count = exact.length * exact.size
    steps = lanczos_steps(count, options.accuracy, options.level)
    start = jax.random.normal(key, (exact.length, exact.size), exact.dtype)
    value = 0.5 * largest_eigenvalue(gram, start, steps)
    slack = ROUNDING * float(jnp.finfo(exact.dtype).eps) * options.updates
    margin = 0.0 if steps >= count else -math.log1p(-options.accuracy)
    unknown = jnp.isnan(value)
    return Estimate(
        value,
        jnp.where(unknown, -jnp.inf, value - slack),
        jnp.where(unknown, jnp.inf, value + margin + slack),
        f"Lanczos on {place}, {steps} iterations",
        level=options.level,
        assumptions=ASSUMPTIONS,
    )


_programs = ProgramCache(_measure, once=True)
