"""The recurrence of filtered covariances, in sequence, in parallel, and over devices.

``C_t = (I + alpha P)^-1 P`` with ``P = A_t C_{t-1} A_t^T + q_t I`` is a composition of fractional-linear maps, and so
has parallel forms: a tree of maps; chunks of steps whose maps are joined; devices, which exchange one map each.

Source: Särkkä and García-Fernández 2021 for the parallel form of the filter.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..programs.device_axis import DeviceAxis
from ..programs.platform import platform_of
from ._abstract import AbstractTransition
from .backends.blocked_scan import cut, layout
from .transitions import DenseTransition, DiagonalTransition, matrix_product

Matrices: TypeAlias = Float[Array, "..."]
"""T matrices of one structure: ``[T D D]`` dense, ``[T D]`` diagonal; or one of them."""


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


def apply(algebra: Algebra, matrix: Matrices, vector: Array) -> Array:
    """One matrix times one vector.

    Args:
        algebra: of the matrices.
        matrix: the matrix.
        vector: the vector.
    """
    return algebra.transition(matrix[None]).apply(vector[None])[0]


def congruence(algebra: Algebra, A: Matrices, C: Matrices) -> Matrices:
    """``A C A^T``.

    Args:
        algebra: of the matrices.
        A: the outer matrix.
        C: the inner one, symmetric.
    """
    return algebra.multiply(algebra.multiply(A, C), algebra.transpose(A))


def _symmetric(algebra: Algebra, C: Matrices) -> Matrices:
    """The symmetric part; taken so that rounding does not build up in the other part."""
    return 0.5 * (C + algebra.transpose(C))


def _update(algebra: Algebra, C: Matrices, A: Matrices, q: Array, alpha: Array) -> Matrices:
    """One step of the filtered covariance."""
    predicted = algebra.shift(congruence(algebra, A, C), q)
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
        _symmetric(algebra, congruence(algebra, then.E, Q) + then.Q),
        _symmetric(algebra, J + first.J),
    )


def _associative(algebra: Algebra, model: Model) -> Matrices:
    """Filtered covariances by a tree of partial maps: depth ``2 log2 T``."""
    join = jax.vmap(lambda first, then: _join(algebra, first, then))
    return jax.lax.associative_scan(join, _fractions(algebra, model)).Q


def _chunked(algebra: Algebra, model: Model) -> Matrices:
    """Filtered covariances by chunks: maps in sequence inside each, a tree across, sweeps from the true inflow."""
    return _in_chunks(algebra, model, layout(len(model.q)))


def _in_chunks(
    algebra: Algebra, model: Model, parts: tuple[int, int], inflow_of: Callable[[Fraction], Matrices] | None = None
) -> Matrices:
    """Filtered covariances in chunks of rows, from zero or an inflow that follows from the map over all of them."""
    length, (chunks, rows) = len(model.q), parts
    inside = model._replace(A=cut(model.A, chunks, rows), q=cut(model.q, chunks, rows))
    maps = jax.tree.map(lambda x: cut(x, chunks, rows), _fractions(algebra, model))
    # Rows of zeros are added to fill the last chunk: their maps change nothing.
    added = cut(jnp.ones(length, bool), chunks, rows) == 0
    unit = algebra.shift(jnp.zeros_like(model.A[0]), jnp.ones((), model.A.dtype))
    maps = maps._replace(E=jnp.where(added.reshape(*added.shape, *[1] * unit.ndim), unit, maps.E))

    def summary(maps: Fraction) -> Fraction:
        def step(total: Fraction, row: Fraction) -> tuple[Fraction, None]:
            return _join(algebra, total, row), None

        first, rest = jax.tree.map(lambda x: x[0], maps), jax.tree.map(lambda x: x[1:], maps)
        return jax.lax.scan(step, first, rest)[0]

    join = jax.vmap(lambda first, then: _join(algebra, first, then))
    ends = jax.lax.associative_scan(join, jax.vmap(summary)(maps))
    inflow = jnp.zeros_like(model.A[0]) if inflow_of is None else inflow_of(jax.tree.map(lambda leaf: leaf[-1], ends))
    reached = ends.Q if inflow_of is None else jax.vmap(lambda end: _after(algebra, end, inflow))(ends)
    inflows = jnp.concatenate([inflow[None], reached[:-1]])
    filled = jax.vmap(lambda A, q, C: _sweep(algebra, Model(A, q, model.alpha), C))(inside.A, inside.q, inflows)
    return filled.reshape(-1, *filled.shape[2:])[:length]


def _after(algebra: Algebra, steps: Fraction, C: Matrices) -> Matrices:
    """The covariance after the steps of a map."""
    inner = algebra.shift(algebra.multiply(C, steps.J), jnp.ones((), C.dtype))
    return _symmetric(algebra, congruence(algebra, steps.E, algebra.solve(inner, C)) + steps.Q)


def device_covariances(algebra: Algebra, model: Model, devices: DeviceAxis) -> tuple[Matrices, Matrices]:
    """Filtered covariances of the steps of this device, and those of the steps before each of them.

    Runs on each device for itself. Each sends the map over its steps, three matrices, to all others.

    Args:
        algebra: of the matrices.
        model: of the steps of this device; the first matrix of all is zero.
        devices: that the steps are cut over.
    """
    length = len(model.q)
    # A CPU has nothing to run several chunks by, and their maps cost D times as much as a sweep.
    parts = (1, length) if platform_of(model.A) == "cpu" or length < 2 else layout(length)
    index = jax.lax.axis_index(devices.names)

    def inflow_of(own: Fraction) -> Matrices:
        maps = jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, devices.names), own)

        def onward(C: Matrices, steps: Fraction) -> tuple[Matrices, Matrices]:
            return _after(algebra, steps, C), C

        return jax.lax.scan(onward, jnp.zeros_like(model.A[0]), maps)[1][index]

    covariances = _in_chunks(algebra, model, parts, inflow_of)
    pairs = [(source, source + 1) for source in range(devices.size - 1)]
    # The first device gets zeros, from nobody.
    arriving = jax.lax.ppermute(covariances[-1], devices.names, pairs)
    return covariances, jnp.concatenate([arriving[None], covariances[:-1]])


RICCATI = {"sequential": _sequential, "associative": _associative, "chunked": _chunked}
"""Functions that give the filtered covariances, by the name of the backend."""
