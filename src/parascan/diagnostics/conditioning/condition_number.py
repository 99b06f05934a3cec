"""How well conditioned the residual Jacobian of a rollout is: measured, and by theory, side by side."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ...problem.arguments import as_arrays, describe
from ...problem.boundaries import Blocked
from ...problem.flat_recurrence import ScanProblem
from ...problem.jacobian import full
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...programs.platform import on_its_platform
from ...solution import StepFunction, Trajectory, Tree
from ..estimate import Estimate
from .bounds import LogBounds, log_sigma_min_bounds, log_sigma_min_from_norm, sigma_max_bounds
from .singular import extreme_singular_values


class TheoryOfConditioning(eqx.Module):
    """Bounds from theory and the caller's numbers; None where a number that a bound needs was not given.

    Attributes:
        log_sigma_min: both bounds of theorem 2, from the exponent, a and b.
        log_sigma_min_from_norm: the lower bound of equation 24, from the largest norm of a Jacobian.
        sigma_max: bounds of equations 22 and 23, from the same norm.
    """

    log_sigma_min: LogBounds | None
    log_sigma_min_from_norm: Float[Array, ""] | None
    sigma_max: tuple[Float[Array, ""], Float[Array, ""]] | None


class Conditioning(eqx.Module):
    """Conditioning of the residual Jacobian along a trajectory.

    ``mu`` and ``condition_number`` overflow long before their logarithms do: use ``log_sigma_min`` on unpredictable
    systems.

    Attributes:
        sigma_min: smallest singular value, measured.
        sigma_max: largest singular value, measured.
        condition_number: their quotient.
        mu: square of the smallest singular value at this trajectory, the local PL constant.
        log_sigma_min: natural logarithm of the smallest singular value, measured.
        theory: bounds from theory; they do not enter the measured intervals.
        length: number of steps, or of blocks.
    """

    sigma_min: Estimate
    sigma_max: Estimate
    condition_number: Estimate
    mu: Estimate
    log_sigma_min: Estimate
    theory: TheoryOfConditioning
    length: int = eqx.field(static=True)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON."""
        names = ("sigma_min", "sigma_max", "condition_number", "mu", "log_sigma_min")
        theory = {
            name: None if value is None else np.asarray(value, float).tolist()
            for name, value in vars(self.theory).items()
        }
        return {name: getattr(self, name).to_dict() for name in names} | {"theory": theory, "length": self.length}

    def __str__(self) -> str:
        lines = [f"sigma_min {self.sigma_min}", f"sigma_max {self.sigma_max}", f"kappa     {self.condition_number}"]
        if self.theory.log_sigma_min is not None:
            low, high = (float(np.exp(np.asarray(end, float))) for end in self.theory.log_sigma_min)
            lines.append(f"theory    {low:.4g} <= sigma_min <= {high:.4g} (theorem 2)")
        return "\n".join(lines)


@on_its_platform
def conditioning(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    key: Key[Array, ""],
    states: Tree = None,
    block: int = 1,
    reverse: bool = False,
    accuracy: float = 0.02,
    level: float = 0.99,
    exponent: float | Array | Estimate | None = None,
    a: float | Array | Estimate = 1.0,
    b: float | Array | Estimate = 1.0,
    rho: float | Array | Estimate | None = None,
) -> Conditioning:
    """How well conditioned a rollout is: how fast Gauss-Newton converges and what a small residual proves depend on it.

    Measures the extreme singular values of the residual Jacobian by Lanczos iterations: some 30 times two products and
    two linear recurrences at the default accuracy, and memory of a few trajectories beside the Jacobians. Intervals
    hold with the stated probability whatever the spectrum. Bounds from theory are reported beside them.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        key: random key of the start vectors.
        states: trajectory to linearize at, a tree with leading axis T such as ``solution.states``; None to run one by
            sequential evaluation.
        block: B, steps of a block whose boundaries are solved for; 1 for every step.
        reverse: whether the rollout runs from the last input to the first.
        accuracy: largest relative error of a singular value, between 0 and 1.
        level: probability with which it is kept, between 0 and 1.
        exponent: largest Lyapunov exponent in 1/step, for the bounds of theorem 2.
        a: regularity constant of the upper envelope.
        b: regularity constant of the lower envelope.
        rho: largest ``||J_t||``, for the bounds that follow from norms alone.

    Returns:
        A ``Conditioning``.

    Raises:
        TypeError: the step returns neither form.
        ValueError: a number out of its range, lengths that disagree, or states that do not fit the carry.

    Source: theorem 2 and section 3 of the paper; Kuczynski and Wozniakowski 1992 for the intervals.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> halve = lambda s, x: 0.5 * s
        >>> record = ps.conditioning(halve, jnp.ones(1), length=500, key=jax.random.key(0), exponent=jnp.log(0.5))
        >>> print(round(float(record.sigma_min.value), 2), round(float(record.sigma_max.value), 2))
        0.5 1.5
    """
    for name, share in (("accuracy", accuracy), ("level", level)):
        if not 0 < share < 1:
            raise ValueError(f"{name}: given {share}, expected a number between 0 and 1.")
    if isinstance(block, bool) or not isinstance(block, int | np.integer) or block < 1:
        raise ValueError(f"block: given {block!r}, expected an integer, one or more.")
    given = tuple(_number(value) for value in (exponent, a, b, rho))
    options = _Options(length, int(block), bool(reverse), float(accuracy), float(level))
    arrays = (as_arrays("init", init), as_arrays("xs", xs), as_arrays("states", states))
    return _programs(step, *arrays, key, given, options)


class _Options(eqx.Module):
    """Everything about a call that is known before compilation."""

    length: int | None = eqx.field(static=True)
    block: int = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)
    accuracy: float = eqx.field(static=True)
    level: float = eqx.field(static=True)


def _number(value: float | Array | Estimate | None) -> Array | None:
    """The best value of what may be an estimate."""
    if value is None:
        return None
    return jnp.asarray(value.value if isinstance(value, Estimate) else value, jnp.result_type(float))


def _measure(
    step: StepFunction, init: Tree, xs: Tree, states: Tree, key: Array, given: tuple[Array | None, ...], opts: _Options
) -> Conditioning:
    """The record, as one traceable function of everything."""
    signature = resolve(step, init, xs, opts.length, scan_form=False)
    if signature.length < 1:
        raise ValueError("length: given 0 steps, expected one or more.")
    problem = ScanProblem.of(signature, reverse=opts.reverse)
    recurrence = problem.recurrence
    trajectory = recurrence.trajectory() if states is None else flat_states(problem, states)
    if opts.block > 1:
        blocked = Blocked.of(recurrence, opts.block)
        recurrence, trajectory = blocked.coarse, blocked.boundaries(trajectory)
    extremes = extreme_singular_values(full(recurrence, trajectory), key, opts.accuracy, opts.level)
    theory = _theory(given, signature.length, opts.block)
    top, bottom = extremes.sigma_max, extremes.log_sigma_min
    return Conditioning(
        sigma_min=_mapped(jnp.exp, bottom),
        sigma_max=top,
        condition_number=_quotient(top, bottom),
        mu=_mapped(lambda x: jnp.exp(2 * x), bottom),
        log_sigma_min=bottom,
        theory=theory,
        length=recurrence.length,
    )


def _theory(given: tuple[Array | None, ...], length: int, block: int) -> TheoryOfConditioning:
    """The bounds that the given numbers allow."""
    exponent, a, b, rho = given
    by_exponent = by_norm = largest = None
    if exponent is not None and a is not None and b is not None:
        by_exponent = log_sigma_min_bounds(exponent, length, a, b, block)
    if rho is not None:
        norm = rho**block
        by_norm, largest = log_sigma_min_from_norm(norm, -(-length // block)), sigma_max_bounds(norm)
    return TheoryOfConditioning(by_exponent, by_norm, largest)


def _mapped(function: Any, estimate: Estimate) -> Estimate:
    """An increasing function of an estimate."""
    value, low, high = (function(x) for x in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high, estimate.method, "", estimate.level, estimate.assumptions)


def _quotient(top: Estimate, bottom: Estimate) -> Estimate:
    """``sigma_max / sigma_min``, right when both intervals are."""
    value, low, high = (
        t * jnp.exp(-b) for t, b in ((top.value, bottom.value), (top.low, bottom.high), (top.high, bottom.low))
    )
    return Estimate(value, low, high, bottom.method, "", max(0.0, 2 * top.level - 1), bottom.assumptions)


def flat_states(problem: ScanProblem, states: Tree) -> Trajectory:
    """A trajectory ``[T D]`` from states in the user's tree and direction of time.

    Args:
        problem: the scan that the states belong to.
        states: carries after every step, each leaf with leading axis T.

    Raises:
        ValueError: the states have another structure or other shapes than the carry.
    """
    layout, length = problem.layout, problem.recurrence.length
    leaves, treedef = jax.tree.flatten(states)
    shapes = [(length, *leaf.shape) for leaf in layout.leaves]
    if treedef != layout.treedef or [jnp.shape(leaf) for leaf in leaves] != shapes:
        dtypes = [leaf.dtype for leaf in layout.leaves]
        structs = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
        given, expected = describe(as_arrays("states", states)), describe(jax.tree.unflatten(layout.treedef, structs))
        raise ValueError(f"states: given {given}, expected {expected}, the carry after every step.")
    return problem.flatten(states).astype(problem.recurrence.dtype)


_programs = ProgramCache(_measure, once=True)
