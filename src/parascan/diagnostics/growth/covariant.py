"""Covariant Lyapunov vectors: the directions that grow at each of the exponents, wherever the trajectory is.

Directions that are pushed forward and made orthonormal span the right subspaces, but only the first of them is itself
a direction that the Jacobians map onto the next one. The others follow from a second pass backward: vectors that start
inside of these subspaces and are pulled back through the triangular factors turn into the covariant ones, since
backward the direction grows most that grows least forward.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ...problem.arguments import as_arrays, resolve_length
from ...problem.flat_recurrence import Recurrence, ScanProblem
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...programs.derivatives import refuse_steps_without_derivative
from ...programs.platform import on_its_platform
from ...solution import State, StepFunction, Tree

TURNING_SHARE = 4
"""Default warm-up and cool-down: T over this number."""


class CovariantVectors(eqx.Module):
    """Covariant Lyapunov vectors along a trajectory, the fastest growing one first.

    Where exponents are equal, as those of a rotation, only the space that their vectors span has a meaning. A vector
    that the step maps to zero has no direction: it is NaN from there backward.

    Attributes:
        steps: number of steps that lead to each state ``[N]``; zero is the initial one.
        states: these states ``[N D]``, D being all floating leaves of the state in their order.
        vectors: unit vectors at them ``[N k D]``.
        growth: logarithm of the factor by which each grows on the way to the next state ``[N-1 k]``.
        dt: time that one step stands for.
    """

    steps: Int[Array, " N"]
    states: Float[Array, "N D"]
    vectors: Float[Array, "N k D"]
    growth: Float[Array, "N-1 k"]
    dt: float = eqx.field(static=True)

    @property
    def exponents(self) -> Float[Array, " k"]:
        """Mean growth of each vector, in 1/step."""
        return jnp.mean(self.growth, axis=0)

    def angles(self) -> Float[Array, "N k k"]:
        """Angles between the lines of any two vectors, in radians, from zero to a right angle."""
        one, other = self.vectors[:, :, None], self.vectors[:, None]
        along = jnp.sum(one * other, axis=-1, keepdims=True)
        # By the distance of their ends: a cosine near one has lost the digits of a small angle.
        apart = jnp.linalg.norm(one - jnp.where(along < 0, -1, 1) * other, axis=-1)
        return 2 * jnp.arcsin(jnp.clip(apart / 2, 0, math.sqrt(0.5)))

    def splitting(self, count: int) -> Float[Array, " N"]:
        """Least angle between the space of the first vectors and that of the others, in radians.

        With ``count`` the number of positive exponents it tells how far expanding and contracting directions are from a
        tangency; one that stays away from zero is what hyperbolic systems have.

        Args:
            count: how many vectors span the first space.

        Raises:
            ValueError: one of the spaces would be empty.
        """
        k = self.vectors.shape[1]
        if not 1 <= count < k:
            raise ValueError(f"count: given {count}, expected 1 to {k - 1}, so that neither space is empty.")
        spaces = [jnp.swapaxes(each, 1, 2) for each in (self.vectors[:, :count], self.vectors[:, count:])]
        # By what of the smaller space is outside of the larger one, again for the digits of small angles.
        larger, smaller = (jnp.linalg.qr(each)[0] for each in sorted(spaces, key=lambda each: -each.shape[2]))
        inside = jnp.einsum("nda,ndb->nab", larger, smaller, precision="highest")
        outside = smaller - jnp.einsum("nda,nab->ndb", larger, inside, precision="highest")
        cosine = jnp.max(jnp.linalg.svd(inside, compute_uv=False), axis=-1)
        sine = jnp.min(jnp.linalg.svd(outside, compute_uv=False), axis=-1)
        return jnp.arctan2(sine, cosine)


class _Options(eqx.Module):
    """Everything about a call that is known before compilation."""

    length: int = eqx.field(static=True)
    k: int | None = eqx.field(static=True)
    warm_up: int = eqx.field(static=True)
    cool_down: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)


@on_its_platform
def covariant_vectors(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    key: Key[Array, ""],
    k: int | None = None,
    warm_up: int | None = None,
    cool_down: int | None = None,
    dt: float = 1.0,
) -> CovariantVectors:
    """The directions along a trajectory that grow at each exponent; the Jacobians map them onto one another.

    ``J v_t = e^growth v_{t+1}`` for every vector, whatever the scalar product. Use it to see where expanding and
    contracting directions come close, which exponents do not tell. Depth T forward and T backward; work T steps, ``k``
    Jacobian-vector products and a QR of ``[D k]`` a step; memory ``k (k + D)`` numbers for every step after the
    warm-up.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree; only floating leaves are perturbed.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        key: random key of the directions that both passes start from.
        k: number of vectors, from the fastest growing; D, all of them, when None.
        warm_up: first steps, in which the directions of the forward pass settle; T/4 when None.
        cool_down: last steps, in which those of the backward pass settle; T/4 when None.
        dt: time that one step stands for, in the user's unit of time.

    Returns:
        A ``CovariantVectors`` for the states between warm-up and cool-down.

    Raises:
        TypeError: the step returns neither form, or a count is no integer.
        ValueError: no step is left between warm-up and cool-down, a number is out of its range, or the step has no
            forward derivative.

    Source: Ginelli et al. 2007, Phys. Rev. Lett. 99, 130601; Kuptsov and Parlitz 2012.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from parascan.diagnostics import covariant_vectors
        >>> matrix = jnp.array([[2.0, 1.0], [0.0, 0.5]])
        >>> found = covariant_vectors(lambda s, x: matrix @ s, jnp.zeros(2), length=80, key=jax.random.key(0))
        >>> abs(found.vectors[0, 1]).round(3).tolist(), found.exponents.round(3).tolist()
        ([0.5550000071525574, 0.8320000171661377], [0.6930000185966492, -0.6930000185966492])
    """
    init, xs = as_arrays("init", init), as_arrays("xs", xs)
    steps = resolve_length(xs, length)
    turning = {"warm_up": warm_up, "cool_down": cool_down}
    for name, value, least in (("k", k, 1), *((name, value, 0) for name, value in turning.items())):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer)):
            raise TypeError(f"{name}: given {value!r}, expected an integer.")
        if value is not None and value < least:
            raise ValueError(f"{name}: given {value}, expected {least} or more.")
    before, after = (steps // TURNING_SHARE if each is None else int(each) for each in turning.values())
    if before + after >= steps:
        raise ValueError(f"warm_up, cool_down: given {before} and {after}, expected fewer than T = {steps} together.")
    if not dt > 0:
        raise ValueError(f"dt: given {dt}, expected a positive duration of one step.")
    options = _Options(steps, None if k is None else int(k), before, after, float(dt))
    return _programs(step, init, xs, key, options)


def _vectors(step: StepFunction, init: Tree, xs: Tree, key: Key[Array, ""], options: _Options) -> CovariantVectors:
    """The vectors, as one traceable function of everything."""
    signature = resolve(step, init, xs, options.length, scan_form=False)
    recurrence = ScanProblem.of(signature, reverse=False).recurrence
    refuse_steps_without_derivative(recurrence)
    k = recurrence.size if options.k is None else options.k
    if k > recurrence.size:
        raise ValueError(f"k: given {k}, expected at most D = {recurrence.size}.")
    forward, backward = jax.random.split(key)
    states, frames, factors = _forward(recurrence, k, forward, options.warm_up)
    start = jnp.triu(jax.random.normal(backward, (k, k), recurrence.dtype))
    coordinates, growth = _backward(factors, start / jnp.linalg.norm(start, axis=0))
    kept = options.length - options.warm_up - options.cool_down
    vectors = jnp.einsum("ndi,nij->njd", frames[: kept + 1], coordinates[: kept + 1], precision="highest")
    steps = options.warm_up + jnp.arange(kept + 1)
    return CovariantVectors(steps, states[: kept + 1], vectors, growth[:kept], options.dt)


def _forward(
    recurrence: Recurrence, k: int, key: Key[Array, ""], warm_up: int
) -> tuple[Float[Array, "N D"], Float[Array, "N D k"], Float[Array, "N-1 k k"]]:
    """States and orthonormal frames from the end of the warm-up on, and the triangular factors between them."""

    def one(carry: tuple[State, Array], x: Tree) -> tuple[tuple[State, Array], tuple[State, Array, Array]]:
        state, frame = carry
        state, linear = jax.linearize(lambda s: recurrence.advance(s, x), state)
        turned, factor = jnp.linalg.qr(jax.vmap(linear, in_axes=1, out_axes=1)(frame))
        sign = jnp.where(jnp.diagonal(factor) < 0, -1, 1)
        turned, factor = turned * sign, factor * sign[:, None]
        return (state, turned), (state, turned, factor)

    first, rest = (
        jax.tree.map(lambda leaf, part=part: leaf[part], recurrence.inputs)
        for part in (slice(None, warm_up), slice(warm_up, None))
    )
    frame = jnp.linalg.qr(jax.random.normal(key, (recurrence.size, k), recurrence.dtype))[0]
    start = (recurrence.initial, frame)
    start, _ = jax.lax.scan(lambda carry, x: (one(carry, x)[0], None), start, first, length=warm_up)
    _, (states, frames, factors) = jax.lax.scan(one, start, rest, length=recurrence.length - warm_up)
    return jnp.concatenate([start[0][None], states]), jnp.concatenate([start[1][None], frames]), factors


def _backward(
    factors: Float[Array, "N-1 k k"], last: Float[Array, "k k"]
) -> tuple[Float[Array, "N k k"], Float[Array, "N-1 k"]]:
    """Coordinates of the vectors in the frames, columns of length one, and the logarithms of their growth."""

    def one(after: Array, factor: Array) -> tuple[Array, tuple[Array, Array]]:
        before = jax.scipy.linalg.solve_triangular(factor, after)
        lengths = jnp.linalg.norm(before, axis=0)
        return before / lengths, (before / lengths, -jnp.log(lengths))

    _, (coordinates, growth) = jax.lax.scan(one, last, factors, reverse=True)
    return jnp.concatenate([coordinates, last[None]]), growth


_programs = ProgramCache(_vectors)
