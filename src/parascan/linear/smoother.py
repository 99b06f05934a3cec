"""The damped least-squares step ``min ||r + J d||^2 + alpha ||d||^2`` as a Kalman smoother, in sequence or in parallel.

With ``J`` the residual Jacobian of a transition, the minimizer is the smoothed mean of the linear Gaussian model
``d_t = A_t d_{t-1} - r_t + w_t``, ``w_t ~ N(0, q_t I)``, seen through ``0 = d_t + v_t``, ``v_t ~ N(0, I / alpha)``.
Three recurrences give it: one for the filtered covariances ``C_t``, which is nonlinear but a composition of
fractional-linear maps and so has a parallel form too, and two linear ones for the means, forward and back. No normal
equations are formed, so the condition number is not squared, and ``C_t <= I / alpha`` keeps every product finite
however fast ``A_t`` grow.

Source: Gonzalez et al. 2024 (ELK); Särkkä and García-Fernández 2021 for the parallel form of the filter.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..solution import Trajectory
from ._abstract import AbstractTransition
from .backend_choice import choose_backend
from .backends import backend_called
from .backends.blocked_scan import cut, layout
from .bidiagonal import Bidiagonal
from .block_diagonal import BlockTransition
from .transitions import DenseTransition, DiagonalTransition, ScalarTransition, ZeroTransition, matrix_product

Matrices: TypeAlias = Float[Array, "..."]
"""T matrices of one structure: ``[T D D]`` dense, ``[T D]`` diagonal; or one of them."""

WORKING = {jnp.dtype("bfloat16"): jnp.dtype("float32"), jnp.dtype("float16"): jnp.dtype("float32")}
"""Dtypes too narrow for covariances, with the one that is used instead."""


def solve_by_elimination(a: Matrices, b: Matrices) -> Matrices:
    """``a^-1 b`` by Gauss-Jordan elimination with row pivots, in operations that XLA compiles itself.

    For CPUs. There ``jnp.linalg.solve`` calls LAPACK, which hands the matrices of a batch to XLA's threads and waits
    for them on one of these: two independent calls within a loop may wait for each other for ever (JAX 0.10.2, two
    threads; two solves of 255 matrices 16 x 16 in a ``fori_loop`` do). This function can go once such a loop ends.

    Args:
        a: one matrix ``[D D]``.
        b: right-hand sides ``[D K]``.
    """
    place = jnp.arange(len(a))

    def eliminate(column: Int[Array, ""], rows: Matrices) -> Matrices:
        pivot = jnp.argmax(jnp.where(place >= column, jnp.abs(rows[:, column]), -1.0))
        chosen = rows[pivot]
        moved = jnp.where((place == pivot)[:, None], rows[column], rows)
        chosen = chosen / chosen[column]
        return jnp.where((place == column)[:, None], chosen, moved - moved[:, column][:, None] * chosen)

    return jax.lax.fori_loop(0, len(a), eliminate, jnp.concatenate([a, b], axis=1))[:, len(a) :]


def _solve(a: Matrices, b: Matrices) -> Matrices:
    """``a^-1 b`` of single matrices; by elimination wherever the program is lowered for a CPU."""
    return jax.lax.platform_dependent(a, b, cpu=solve_by_elimination, default=jnp.linalg.solve)


class Algebra(NamedTuple):
    """Products of single matrices of one structure."""

    multiply: Callable[[Matrices, Matrices], Matrices]
    transpose: Callable[[Matrices], Matrices]
    solve: Callable[[Matrices, Matrices], Matrices]
    shift: Callable[[Matrices, Float[Array, ""]], Matrices]
    transition: Callable[[Matrices], AbstractTransition]


DENSE = Algebra(
    multiply=matrix_product,
    transpose=jnp.transpose,
    solve=_solve,
    shift=lambda a, q: a + q * jnp.eye(len(a), dtype=a.dtype),
    transition=DenseTransition,
)
DIAGONAL = Algebra(
    multiply=jnp.multiply,
    transpose=lambda a: a,
    solve=lambda a, b: b / a,
    shift=jnp.add,
    transition=DiagonalTransition,
)


class Model(NamedTuple):
    """The recurrence of covariances: matrices, process noise ``q`` (0 where ``d`` is known, else 1), damping."""

    A: Matrices
    q: Float[Array, " T"]
    alpha: Float[Array, ""]


class Fraction(NamedTuple):
    """The map ``C -> E (I + C J)^-1 C E^T + Q`` of filtered covariances over one or more steps."""

    E: Matrices
    Q: Matrices
    J: Matrices


def damped_solve(
    transition: AbstractTransition,
    r: Trajectory,
    damping: float | Float[Array, ""],
    known: Bool[Array, " T"] | None = None,
    *,
    backend: str = "auto",
) -> Trajectory:
    """The correction ``d`` that minimizes ``||r + J d||^2 + damping ||d||^2``, ``J`` the residual Jacobian.

    Depth T in sequence, of order log T or ``T / 512`` in parallel; work T D^3 dense, T D diagonal; memory a few
    arrays like the matrices. Matrices that are not stored are written out first.

    Args:
        transition: ``A_1 .. A_T``; ``A_1`` has no effect.
        r: residuals ``[T D]``, floating, in the dtype of the transition.
        damping: weight of the size of the correction, dimensionless, positive (zero gives ``-J^-1 r``).
        known: leading steps ``[T]`` whose correction is exactly zero, or None for none.
        backend: ``"auto"``, ``"sequential"``, ``"associative"`` or ``"chunked"``.

    Returns:
        ``d``, of the shape and dtype of ``r``.

    Source: Gonzalez et al. 2024, equation 4 (ELK's step).

    Example:
        >>> import jax.numpy as jnp
        >>> print(damped_solve(ZeroTransition(2, 1, jnp.float32), jnp.ones((2, 1)), 1.0).ravel())
        [-0.5 -0.5]
    """
    backend = backend_called(backend)
    if backend == "auto":
        backend = choose_backend(transition, len(r)) if len(r) else "sequential"
    backend = backend if backend in RICCATI else "sequential"
    working = WORKING.get(jnp.dtype(r.dtype), r.dtype)
    alpha = jnp.asarray(damping, working)
    q = jnp.ones(len(r), working) if known is None else jnp.where(known, 0, 1).astype(working)
    wide = r.astype(working)
    if isinstance(transition, ZeroTransition):
        return jnp.where(q[:, None] > 0, -wide / (1 + alpha), 0).astype(r.dtype)
    if isinstance(transition, BlockTransition):
        grouped = jax.vmap(transition.group)(wide)
        solve = jax.vmap(lambda A, r: _smooth(DENSE, Model(A, q, alpha), r, backend), in_axes=1, out_axes=1)
        return jax.vmap(transition.ungroup)(solve(transition.matrices.astype(working), grouped)).astype(r.dtype)
    if isinstance(transition, ScalarTransition | DiagonalTransition):
        rows = transition.factors[:, None] if isinstance(transition, ScalarTransition) else transition.diagonal
        A = jnp.broadcast_to(rows, r.shape).astype(working)
        return _smooth(DIAGONAL, Model(A, q, alpha), wide, backend).astype(r.dtype)
    return _smooth(DENSE, Model(transition.as_dense().astype(working), q, alpha), wide, backend).astype(r.dtype)


def _smooth(algebra: Algebra, model: Model, r: Trajectory, backend: str) -> Trajectory:
    """The smoothed means: covariances, then filtered means forward, then smoothed means back."""
    if not len(r):
        return r
    first = jnp.zeros_like(model.A[:1])
    model = model._replace(A=jnp.concatenate([first, model.A[1:]]))
    covariances = RICCATI[backend](algebra, model)
    before = jnp.concatenate([first, covariances[:-1]])

    def gains(A: Matrices, C: Matrices, q: Float[Array, ""], r: Array) -> tuple[Matrices, Array, Matrices]:
        predicted = algebra.shift(_congruence(algebra, A, C), q)
        gained = algebra.shift(model.alpha * predicted, jnp.ones_like(q))
        # Where d is known nothing is predicted, and any invertible matrix will do in its place.
        invertible = algebra.shift(predicted, 1 - q)
        return (
            algebra.solve(gained, A),
            _apply(algebra, algebra.solve(gained, algebra.shift(jnp.zeros_like(A), jnp.ones_like(q))), -r),
            algebra.solve(invertible, algebra.multiply(A, C)),
        )

    forward, offsets, back = jax.vmap(gains)(model.A, before, model.q, r)
    means = Bidiagonal(algebra.transition(forward), backend).solve(offsets)
    ahead = algebra.transition(model.A[1:]).apply(means[:-1]) - r[1:]
    returned = algebra.transition(back[1:]).apply_transposed(ahead)
    remaining = means - jnp.concatenate([returned, jnp.zeros_like(r[:1])])
    return Bidiagonal(algebra.transition(back), backend).transposed_solve(remaining)


def _apply(algebra: Algebra, matrix: Matrices, vector: Array) -> Array:
    """One matrix times one vector."""
    return algebra.transition(matrix[None]).apply(vector[None])[0]


def _congruence(algebra: Algebra, A: Matrices, C: Matrices) -> Matrices:
    """``A C A^T``."""
    return algebra.multiply(algebra.multiply(A, C), algebra.transpose(A))


def _symmetric(algebra: Algebra, C: Matrices) -> Matrices:
    """The symmetric part; taken so that rounding does not build up in the other part."""
    return 0.5 * (C + algebra.transpose(C))


def _update(algebra: Algebra, C: Matrices, A: Matrices, q: Array, alpha: Array) -> Matrices:
    """One step of the filtered covariance."""
    predicted = algebra.shift(_congruence(algebra, A, C), q)
    gained = algebra.shift(alpha * predicted, jnp.ones_like(q))
    return _symmetric(algebra, algebra.solve(gained, predicted))


def _sweep(algebra: Algebra, model: Model, inflow: Matrices) -> Matrices:
    """Filtered covariances of consecutive steps, one after the other."""

    def step(C: Matrices, row: tuple[Matrices, Array]) -> tuple[Matrices, Matrices]:
        C = _update(algebra, C, *row, model.alpha)
        return C, C

    return jax.lax.scan(step, inflow, (model.A, model.q))[1]


def _sequential(algebra: Algebra, model: Model) -> Matrices:
    """Filtered covariances: depth T, least work."""
    return _sweep(algebra, model, jnp.zeros_like(model.A[0]))


def _fractions(algebra: Algebra, model: Model) -> Fraction:
    """The map of every single step."""

    def one(A: Matrices, q: Array) -> Fraction:
        weight = 1 / (1 + model.alpha * q)
        gram = algebra.multiply(algebra.transpose(A), A)
        return Fraction(weight * A, algebra.shift(jnp.zeros_like(A), weight * q), model.alpha * weight * gram)

    return jax.vmap(one)(model.A, model.q)


def _join(algebra: Algebra, first: Fraction, then: Fraction) -> Fraction:
    """The map of the first steps followed by the others."""
    inner = algebra.shift(algebra.multiply(first.Q, then.J), jnp.ones((), first.Q.dtype))
    E, Q = algebra.solve(inner, first.E), algebra.solve(inner, first.Q)
    J = algebra.multiply(algebra.multiply(algebra.transpose(first.E), then.J), E)
    return Fraction(
        algebra.multiply(then.E, E),
        _symmetric(algebra, _congruence(algebra, then.E, Q) + then.Q),
        _symmetric(algebra, J + first.J),
    )


def _associative(algebra: Algebra, model: Model) -> Matrices:
    """Filtered covariances by a tree of partial maps: depth ``2 log2 T``."""
    join = jax.vmap(lambda first, then: _join(algebra, first, then))
    return jax.lax.associative_scan(join, _fractions(algebra, model)).Q


def _chunked(algebra: Algebra, model: Model) -> Matrices:
    """Filtered covariances by chunks: maps in sequence inside each, a tree across, sweeps from the true inflow."""
    length = len(model.q)
    chunks, rows = layout(length)
    inside = model._replace(A=cut(model.A, chunks, rows), q=cut(model.q, chunks, rows))
    maps = jax.tree.map(lambda x: cut(x, chunks, rows), _fractions(algebra, model))

    def summary(maps: Fraction) -> Fraction:
        def step(total: Fraction, row: Fraction) -> tuple[Fraction, None]:
            return _join(algebra, total, row), None

        first, rest = jax.tree.map(lambda x: x[0], maps), jax.tree.map(lambda x: x[1:], maps)
        return jax.lax.scan(step, first, rest)[0]

    join = jax.vmap(lambda first, then: _join(algebra, first, then))
    ends = jax.lax.associative_scan(join, jax.vmap(summary)(maps)).Q
    inflows = jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])
    filled = jax.vmap(lambda A, q, C: _sweep(algebra, Model(A, q, model.alpha), C))(inside.A, inside.q, inflows)
    return filled.reshape(-1, *filled.shape[2:])[:length]


RICCATI = {"sequential": _sequential, "associative": _associative, "chunked": _chunked}
"""Functions that give the filtered covariances, by the name of the backend."""
