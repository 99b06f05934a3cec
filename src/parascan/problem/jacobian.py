"""Jacobians of a recurrence's steps, in the cheapest form that is exact."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ..linear import (
    AbstractTransition,
    BlockTransition,
    DenseTransition,
    DiagonalTransition,
    MatrixFreeTransition,
    ZeroTransition,
)
from ..programs.built_in import here
from ..programs.closure import Function
from ..programs.derivatives import refuse_steps_without_derivative
from ..programs.platform import platform_of
from ..programs.shapes import row_of
from ..programs.structure import Structure, classify, dependency_pattern, diagonal_colors
from ..solution import State, Trajectory, Tree
from .flat_recurrence import Recurrence

FORMS = ("auto", "dense", "matrix_free", "structured")

ANALYZED_SIZE = 256
"""Largest D whose structure is analyzed: the analysis handles D x D masks while tracing."""

DENSE_BYTES = 2**32
"""Most memory that ``auto`` spends on stored Jacobians, on each device."""


class JacobianProduct(Function):
    """``J_t v`` for one step, by forward mode."""

    advance: Callable[[State, Tree], State]

    def __call__(self, operands: tuple[State, Tree], v: State) -> State:
        """The product at ``operands = (s_{t-1}, inputs_t)``."""
        previous, inputs = operands
        return jax.jvp(lambda s: self.advance(s, inputs), (previous,), (v,))[1]


def full(problem: Recurrence, states: Trajectory, form: str = "auto") -> AbstractTransition:
    """The exact Jacobians ``J_t`` at ``states``.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]`` to linearize at.
        form: one of ``FORMS``.

    Raises:
        ValueError: the step has no forward derivative.
    """
    refuse_steps_without_derivative(problem)
    structure = _structure(problem) if form in ("auto", "structured") else Structure("dense", None)
    if structure.kind == "zero":
        return ZeroTransition(problem.length, problem.size, problem.dtype)
    if structure.kind == "diagonal":
        return DiagonalTransition(problem.pushforward(states, jnp.ones((1, problem.size), problem.dtype))[0])
    if structure.kind == "block" and structure.blocks is not None:
        return _blocks(problem, states, structure.blocks)
    if form == "dense" or (form != "matrix_free" and _dense_pays(problem)):
        return DenseTransition(_dense(problem, states))
    operands = (problem.previous(states), problem.inputs)
    return MatrixFreeTransition(JacobianProduct(problem.advance), operands, problem.size)


def columns_of(problem: Recurrence) -> int:
    """Jacobian-vector products that give all entries of a step's Jacobian, by its structure; D where it has none."""
    structure = _structure(problem)
    if structure.kind == "block" and structure.blocks is not None:
        return len(structure.blocks[0])
    return {"zero": 0, "diagonal": 1}.get(structure.kind, problem.size)


def diagonal_columns_of(problem: Recurrence) -> int:
    """Jacobian-vector products that give the exact diagonal of a step's Jacobian."""
    return int(diagonal_colors(_pattern(problem)).max(initial=0)) + 1


def diagonal(problem: Recurrence, states: Trajectory) -> Trajectory:
    """The exact diagonals of the Jacobians ``J_t`` at ``states``, ``[T D]``, without a dense Jacobian.

    Entries of one color provably do not influence one another, so one product with their common indicator gives
    their diagonal entries.
    """
    refuse_steps_without_derivative(problem)
    colors = diagonal_colors(_pattern(problem))
    indicators = colors[None, :] == np.arange(colors.max(initial=0) + 1)[:, None]

    def add(total: Trajectory, indicator: State) -> tuple[Trajectory, None]:
        return total + indicator * problem.pushforward(states, indicator[None])[0], None

    masks = jnp.asarray(indicators, problem.dtype)
    return jax.lax.scan(add, jnp.zeros_like(states), masks)[0]


def interleaved(size: int, parts: int) -> np.ndarray:
    """The entries of blocks that have one entry of each part of a state, ``[size / parts, parts]``.

    Args:
        size: of the state; its parts follow one another.
        parts: their number, a divisor of the size.
    """
    return np.arange(size).reshape(parts, -1).T


def block_diagonal(problem: Recurrence, states: Trajectory, parts: int) -> BlockTransition:
    """The exact blocks of the Jacobians that couple the same entry of every part of the state, without dense ones.

    Places of one color provably do not influence one another, so that their columns come from common products.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]``.
        parts: into which the state is cut, one after the other.
    """
    refuse_steps_without_derivative(problem)
    members = interleaved(problem.size, parts)
    count = len(members)
    links = np.asarray(np.any(_pattern(problem).reshape(parts, count, parts, count), axis=(0, 2)))
    colors = diagonal_colors(links)
    chosen = colors[None, :] == np.arange(colors.max(initial=0) + 1)[:, None]
    each = np.eye(parts, dtype=bool)

    def add(total: jax.Array, places: jax.Array) -> tuple[jax.Array, None]:
        seeds = jnp.zeros((parts, problem.size), problem.dtype).at[:, members].set(each[:, None] * places[:, None])
        columns = problem.pushforward(states, seeds)[:, :, members]
        return total + places[:, None, None] * jnp.moveaxis(columns, 0, -1), None

    empty = jnp.zeros((problem.length, count, parts, parts), problem.dtype)
    return BlockTransition(jax.lax.scan(add, empty, jnp.asarray(chosen, problem.dtype))[0], members)


def _pattern(problem: Recurrence) -> np.ndarray:
    """Which state entries may influence which, or all when D is too large to analyze."""
    inputs = row_of(problem.inputs)
    return _reads(problem, problem.advance, inputs)


def _read_entries(problem: Recurrence) -> np.ndarray:
    """Indices of the state entries that a step reads at all; the Jacobian's other columns are zero."""
    return np.flatnonzero(_reads(problem, *problem.entrance).any(axis=0))


def _reads(problem: Recurrence, advance: Callable[[State, Tree], State], inputs: Tree) -> np.ndarray:
    """Which state entries an advance may read for which, or all when D is too large to analyze."""
    if problem.size > ANALYZED_SIZE:
        return np.ones((problem.size, problem.size), bool)
    return dependency_pattern(advance, jax.ShapeDtypeStruct((problem.size,), problem.dtype), inputs)


def _structure(problem: Recurrence) -> Structure:
    """What the program of the step proves about its Jacobian."""
    return classify(_pattern(problem))


def _blocks(problem: Recurrence, states: Trajectory, blocks: tuple[tuple[int, ...], ...]) -> BlockTransition:
    """Diagonal blocks of the Jacobians: column j of every block comes from one product."""
    members = np.asarray(blocks)
    seeds = np.zeros((members.shape[1], problem.size), bool)
    for column in range(members.shape[1]):
        seeds[column, members[:, column]] = True
    columns = problem.pushforward(states, jnp.asarray(seeds, problem.dtype))[:, :, members]
    return BlockTransition(jnp.moveaxis(columns, 0, -1), members)


def _dense(problem: Recurrence, states: Trajectory) -> jax.Array:
    """``[T D D]``; columns of entries that no step reads are not computed."""
    read, unit = _read_entries(problem), jnp.eye(problem.size, dtype=problem.dtype)
    if len(read) == problem.size:
        return jnp.moveaxis(problem.pushforward(states, unit), 0, -1)
    columns = jnp.zeros((problem.size, *states.shape), problem.dtype)
    if len(read):
        columns = columns.at[read].set(problem.pushforward(states, unit[read]))
    return jnp.moveaxis(columns, 0, -1)


def _dense_pays(problem: Recurrence) -> bool:
    """Whether stored Jacobians are faster than products one step after the other, by sizes and platform alone."""
    if problem.size > here(platform_of(problem)).stored:
        return False
    steps = problem.length // (1 if problem.devices is None else problem.devices.size)
    return steps * problem.size**2 * problem.dtype.itemsize <= DENSE_BYTES
