"""The parts that a bound on the error of a trajectory is made of.

Let ``s`` be the given states, ``z`` the states after some exact Newton corrections, and ``s*`` the true ones. Then
``||s - s*||`` is at most ``||s - z|| + ||z - s*||``. The first part is measured. The second is bounded by the next
correction and by rounding pushed through the inverse of the residual Jacobian, provided that a Newton-Kantorovich test
passes. Newton's method is causal, so every quantity up to step t belongs to the problem that ends at t, and the test is
made for each.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ...linear import AbstractTransition, Bidiagonal
from ...problem.flat_recurrence import Recurrence
from ...problem.jacobian import full
from ...programs.closure import Function
from ...programs.hashed_keys import hashed
from ...solution import State, Trajectory, Tree
from .rounding import images_with_errors, rounding_of_steps
from .sensitivity import brought_to_range, coherent_spread, independent_spread
from .slopes import UNITS, slopes_are_wrong

CORRECTIONS = 2
"""Newton corrections made before the error is bounded: each squares a small error."""

SPREADS = 4.0
"""Largest rounding error that is allowed for, in root mean squares: several times what a long trajectory shows."""

COHERENT = 2.0
"""Largest rounding error that is allowed for where errors repeat from step to step, in root mean squares."""

STANDING = 2**9
"""A change of state of fewer units of rounding leaves the rounding errors of a step alike."""

PLACES = (0.5, 0.5, 1.0, 1.0)
"""Places along random likely errors at which the curvature is measured, as parts of the error; one direction each."""

LEAST_GAIN = 0.25
"""Largest ratio of a Newton correction to the one before, unless only rounding is left to correct."""

CURVATURE_MARGIN = 4.0
"""Factor by which the curvature may be larger along the true error than along the random ones."""

CONTRACTION_MARGIN = 2.0
"""Factor by which the curvature may be larger along the true error than along the last correction."""


class ErrorBound(eqx.Module):
    """A bound on the error of each state, and its parts, in the order of computation.

    Attributes:
        bound: bound on the norm of the error, infinite where none holds ``[T]``.
        correction: how far Newton corrections move the states ``[T]``.
        rounding: bound on the effect of rounding ``[T]``.
        curvature: Kantorovich's h of the problem that ends at each step ``[T]``.
        residual: residual of the given states ``[T D]``.
        local_rounding: bound on the rounding error of single steps ``[T D]``.
        wrong_slopes: whether the derivative of each step cannot be that of its value ``[T]``.
    """

    bound: Float[Array, " T"]
    correction: Float[Array, " T"]
    rounding: Float[Array, " T"]
    curvature: Float[Array, " T"]
    residual: Trajectory
    local_rounding: Trajectory
    wrong_slopes: Bool[Array, " T"]


class Linearized(eqx.Module):
    """A recurrence at some states: its Newton correction, its Jacobians, and up to which step both are finite."""

    correction: Trajectory
    residual: Trajectory
    transition: AbstractTransition
    finite: Bool[Array, " T"]


class _InFloat32(Function):
    """A step in a narrow type as a map of float32 states, so that the rounding of states is one of its operations."""

    advance: Callable[[State, Tree], State]
    narrow: str = eqx.field(static=True)

    def __call__(self, state: State, inputs: Tree) -> State:
        """The next state."""
        return self.advance(state.astype(self.narrow), inputs).astype(jnp.float32)


def bound_errors(narrow: Recurrence, states: Trajectory, key: Key[Array, ""]) -> ErrorBound:
    """The bound and its parts; in float32 for narrower types, which could not hold sums of their errors.

    Args:
        narrow: the recurrence, of any type.
        states: a trajectory ``[T D]``, wherever it comes from.
        key: random key of the probes.
    """
    problem = narrow
    if narrow.dtype.itemsize < jnp.dtype(jnp.float32).itemsize:
        advance, initial = _InFloat32(narrow.advance, str(narrow.dtype)), narrow.initial.astype(jnp.float32)
        problem = Recurrence(advance, initial, narrow.inputs, narrow.length)
        states = states.astype(jnp.float32)
    if problem.length == 0:
        none, rows = jnp.zeros((0,), problem.dtype), jnp.zeros((0, problem.size), problem.dtype)
        return ErrorBound(none, none, none, none, rows, rows, none > 0)
    keys = jax.random.split(hashed(key), 5)
    given = jnp.where(jnp.isfinite(states), states, 0.0)
    first = problem.residual(given)

    def correct(states: Trajectory, _: None) -> tuple[Trajectory, tuple[Bool[Array, " T"], Float[Array, " T"]]]:
        here = linearize(problem, states)
        return states + here.correction, (here.finite, _norms(here.correction))

    refined, (finite, earlier) = jax.lax.scan(correct, given, None, length=CORRECTIONS)
    here = linearize(problem, refined)
    reached = jnp.all(finite, axis=0) & here.finite & jnp.all(jnp.isfinite(states), axis=1)
    unit = 0.5 * float(jnp.finfo(problem.dtype).eps)
    local = rounding_of_steps(problem, refined, keys[0])
    local = jnp.where(jnp.isfinite(local), local, 0.0)
    scale = jnp.maximum(jnp.max(jnp.abs(refined), axis=0, initial=0.0), jnp.abs(problem.initial))
    standing = jnp.abs(refined - problem.previous(refined)) <= STANDING * unit * scale
    rounding = SPREADS * independent_spread(here.transition, local, keys[1])
    rounding += COHERENT * coherent_spread(here.transition, jnp.where(standing, local, 0.0), keys[2])
    signed = _norms(_exact_correction(problem, refined, here.transition))
    rounding += jnp.where(jnp.isfinite(signed), signed, 0.0)
    last = _norms(here.correction)
    remaining = last + rounding
    h = jnp.maximum(
        curvature(problem, refined, here.transition, remaining, local, keys[3]),
        contraction(problem, refined, here, remaining, rounding),
    )
    # Far from the solution a correction says nothing of the error: it has to be in the middle of fast convergence.
    reached &= (last <= LEAST_GAIN * earlier[-1]) | (last <= rounding)
    # Quotients by numbers near the largest one may be flushed to zero, and norms with them.
    reached &= jnp.max(jnp.abs(states), axis=1) < float(jnp.finfo(problem.dtype).max) ** 0.75
    wrong = slopes_are_wrong(problem, refined, local, keys[4], float(jnp.finfo(narrow.dtype).eps))
    reached &= ~wrong
    moved = _norms(refined - given)
    bound = (moved + remaining * kantorovich_factor(h)) * (1 + 16 * unit)
    known = (jnp.cumprod(reached.astype(jnp.int32)) > 0) & jnp.isfinite(bound)
    return ErrorBound(
        bound=jnp.where(known, bound, jnp.inf),
        correction=moved,
        rounding=rounding,
        curvature=h,
        residual=jnp.where(jnp.isfinite(states), first, jnp.inf),
        local_rounding=SPREADS * local,
        wrong_slopes=wrong & (jnp.cumprod(reached | wrong) > 0),
    )


def _exact_correction(problem: Recurrence, states: Trajectory, transition: AbstractTransition) -> Trajectory:
    """The Newton correction by a residual from which its own rounding errors are subtracted where they are known."""
    value, error = images_with_errors(problem, states)
    residual = (states - value) - error
    return Bidiagonal(transition).solve(jnp.where(jnp.isfinite(residual), -residual, 0.0))


def linearize(problem: Recurrence, states: Trajectory) -> Linearized:
    """The exact Newton correction at some states; entries that are not finite count as zero and are reported.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]``.
    """
    residual = problem.residual(states)
    transition = full(problem, states).guarded()
    correction = Bidiagonal(transition).solve(jnp.where(jnp.isfinite(residual), -residual, 0.0))
    finite = jnp.all(jnp.isfinite(residual), axis=1) & jnp.all(jnp.isfinite(correction), axis=1)
    return Linearized(jnp.where(jnp.isfinite(correction), correction, 0.0), residual, transition, finite)


def curvature(
    problem: Recurrence,
    states: Trajectory,
    transition: AbstractTransition,
    sizes: Float[Array, " T"],
    local: Trajectory,
    key: Key[Array, ""],
) -> Float[Array, " T"]:
    """Kantorovich's ``h`` of the problem that ends at each step, if the error is as large as the given sizes.

    Likely errors are random errors of single steps, pushed through the inverse residual Jacobian and scaled to the
    given sizes. The second-order term of each, pushed through the same inverse, is h / 2 times the error. It is formed
    from a difference of Jacobians, which rounding does not spoil however small the error. A jump of the step does not
    show in Jacobians, so differences of steps count too, on both sides of the states, where rounding cannot explain
    them.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]`` around which the curvature is measured.
        transition: its Jacobians.
        sizes: norms of the error ``[T]``.
        local: sizes of the errors of single steps ``[T D]``.
        key: random key of the directions.
    """
    solve = Bidiagonal(transition).solve
    scaled = brought_to_range(local)[1]
    sizes = jnp.where(jnp.isfinite(sizes), sizes, 0.0)
    previous = problem.previous(states)

    def second_order(point: Array, inputs: Any, error: Array, rounding: Array, place: Array) -> Array:
        def advance(state: Array) -> Array:
            return problem.advance(state, inputs)

        def product(at: Array, vector: Array) -> Array:
            return jax.jvp(advance, (at,), (vector,))[1]

        def jump(end: Array) -> Array:
            distance = jnp.abs(advance(end) - image - product(point, end - point))
            return jnp.maximum(distance - UNITS * rounding, 0.0)

        image = advance(point)
        # Exact for a constant second derivative, wherever along the error it is taken.
        smooth = (product(point + place * error, error) - product(point, error)) * (0.5 / place)
        jumps = jnp.maximum(jump(point + error), jump(point - error))
        return jnp.where(jumps > jnp.abs(smooth), jumps, smooth)

    def share(signs: Trajectory, place: Array) -> Float[Array, " T"]:
        direction = solve(signs * scaled)
        norms = _norms(direction)
        usable = (norms > 0) & jnp.isfinite(norms)
        factor = jnp.where(usable, sizes / jnp.where(usable, norms, 1.0), 0.0)
        error = jnp.where(usable[:, None], factor[:, None] * direction, 0.0)
        before = jnp.concatenate([jnp.zeros_like(error[:1]), error[:-1]])
        terms = jax.vmap(second_order, in_axes=(0, 0, 0, 0, None))(previous, problem.inputs, before, local, place)
        effect = _norms(solve(terms))
        relative = effect / jnp.maximum(sizes, jnp.finfo(problem.dtype).tiny)
        return jnp.where(jnp.isnan(relative), jnp.inf, relative)

    signs = jax.random.rademacher(key, (len(PLACES), *states.shape), problem.dtype)
    shares = jnp.max(jax.vmap(share)(signs, jnp.asarray(PLACES, problem.dtype)), axis=0)
    return 2 * CURVATURE_MARGIN * jax.lax.cummax(shares)


def contraction(
    problem: Recurrence,
    states: Trajectory,
    here: Linearized,
    sizes: Float[Array, " T"],
    rounding: Float[Array, " T"],
) -> Float[Array, " T"]:
    """Kantorovich's ``h`` by the last correction: the error left after it, beyond rounding, is h / 2 times it.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]``.
        here: its linearization.
        sizes: norms of the error ``[T]``.
        rounding: bound on the effect of rounding ``[T]``.

    Source: Deuflhard 2004, section 2.1.1, the simplified Newton correction.
    """
    left = problem.residual(states + here.correction)
    effect = _norms(Bidiagonal(here.transition).solve(left))
    share = jnp.maximum(effect - rounding, 0.0) / jnp.maximum(sizes, jnp.finfo(problem.dtype).tiny)
    return 2 * CONTRACTION_MARGIN * jax.lax.cummax(jnp.where(jnp.isnan(share), jnp.inf, share))


def kantorovich_factor(h: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``(1 - sqrt(1 - 2 h)) / h``, from 1 at ``h = 0`` to 2 at ``h = 1/2``; infinite beyond, where no bound holds.

    Args:
        h: Kantorovich's h, zero or more.
    """
    # Without the cancellation of the form it is quoted in.
    factor = 2 / (1 + jnp.sqrt(jnp.maximum(1 - 2 * h, 0.0)))
    return jnp.where(h <= 0.5, factor, jnp.inf)


def _norms(trajectory: Trajectory) -> Float[Array, " T"]:
    """Euclidean norm of every row, without overflow of its squares."""
    largest = jnp.max(jnp.abs(trajectory), axis=1, initial=0.0)
    safe = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
    return safe * jnp.linalg.norm(trajectory / safe[:, None], axis=1)
