"""The structures and backends under test, with oracles in plain numpy; a new one joins by one line here."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from combinations import exhaustive, one_of_each
from parascan.linear import (
    BlockTransition,
    DenseTransition,
    DiagonalTransition,
    MatrixFreeTransition,
    ScalarTransition,
    ZeroTransition,
)
from parascan.linear.backends import BACKENDS

# With D = 1 there is one block, with D = 2 one pair, with D = 5 five blocks of one: see `block_shape`.
CONTRACTION = 0.7


def block_shape(size):
    """Number and size of blocks that fill a state: pairs where they fit."""
    return (size // 2, 2) if size % 2 == 0 else (size, 1)


def reordering(size):
    """A reordering of the state, as the nested tuple [N k] that the transition takes."""
    count, width = block_shape(size)
    order = np.random.default_rng(size).permutation(size)
    return tuple(map(tuple, order.reshape(count, width).tolist()))


def block_matrices(blocks, order):
    """Dense matrices of block-diagonal ones."""
    length, count, width, _ = blocks.shape
    dense = np.zeros((length, count * width, count * width), blocks.dtype)
    for n in range(count):
        members = np.asarray(order[n])
        dense[:, members[:, None], members[None, :]] = blocks[:, n]
    return dense


def product_of_row(row, v):
    """A matrix known only through this product: the diagonal plus a rank-one part."""
    diagonal, left, right = row
    return diagonal * v + left * jnp.dot(right, v)


def matrix_free_matrices(operands):
    """The matrices behind ``product_of_row``."""
    diagonal, left, right = operands
    return diagonal[:, :, None] * np.eye(diagonal.shape[1]) + left[:, :, None] * right[:, None, :]


@dataclass(frozen=True)
class Structure:
    """How to draw what a transition stores, to build it, and to write it out independently of it."""

    draw: Any
    build: Any
    matrices: Any
    composable: bool = True


STRUCTURES = {
    "dense": Structure(
        draw=lambda normal, T, D: normal(T, D, D) / D**0.5,
        build=lambda stored, D: DenseTransition(stored),
        matrices=lambda stored, D: stored,
    ),
    "blocks": Structure(
        draw=lambda normal, T, D: normal(T, *block_shape(D), block_shape(D)[1]) / block_shape(D)[1] ** 0.5,
        build=lambda stored, D: BlockTransition(stored),
        matrices=lambda stored, D: block_matrices(stored, np.arange(D).reshape(block_shape(D))),
    ),
    "reordered_blocks": Structure(
        draw=lambda normal, T, D: normal(T, *block_shape(D), block_shape(D)[1]) / block_shape(D)[1] ** 0.5,
        build=lambda stored, D: BlockTransition(stored, reordering(D)),
        matrices=lambda stored, D: block_matrices(stored, reordering(D)),
    ),
    "diagonal": Structure(
        draw=lambda normal, T, D: normal(T, D),
        build=lambda stored, D: DiagonalTransition(stored),
        matrices=lambda stored, D: stored[:, :, None] * np.eye(D),
    ),
    "scalar": Structure(
        draw=lambda normal, T, D: normal(T),
        build=lambda stored, D: ScalarTransition(stored, D),
        matrices=lambda stored, D: stored[:, None, None] * np.eye(D),
    ),
    "zero": Structure(
        # An array of no entries carries the length and dtype, which a zero transition is told.
        draw=lambda normal, T, D: normal(T, 0),
        build=lambda stored, D: ZeroTransition(stored.shape[0], D, stored.dtype),
        matrices=lambda stored, D: np.zeros((stored.shape[0], D, D)),
    ),
    "matrix_free": Structure(
        draw=lambda normal, T, D: (normal(T, D), normal(T, D) / D, normal(T, D)),
        build=lambda stored, D: MatrixFreeTransition(product_of_row, stored, D),
        matrices=lambda stored, D: matrix_free_matrices(stored),
        composable=False,
    ),
}
PAIRS = [
    (structure, backend)
    for structure in STRUCTURES
    for backend in BACKENDS
    if STRUCTURES[structure].composable or backend == "sequential"
]
"""Every structure with every backend that supports it."""

CORE = [pair for pair in PAIRS if pair[0] == "dense" or pair[1] == "sequential"]
"""Pairs in which every structure and every backend occurs; more of them differ in nothing that is not tested apart."""


CORE_PAIRS = [*CORE, *exhaustive(pair for pair in PAIRS if pair not in CORE)]
WAYS = [
    *one_of_each([(*pair, transpose) for pair in CORE for transpose in (False, True)]),
    *exhaustive((*pair, transpose) for pair in PAIRS if pair not in CORE for transpose in (False, True)),
]
"""Pairs in both directions; by default those of the core, in one direction each."""

SHAPES = [(T, D, np.float64) for T in (1, 2, 7) for D in (1, 2, 5)]
SHAPES += [(0, 2, np.float64), (64, 5, np.float64), (1000, 2, np.float64)]
SHAPES += [(7, 2, np.float32), (16, 1, np.float32), (1000, 5, np.float32)]
"""Lengths, sizes and precisions: short lengths with every size, long lengths in either precision."""

SLOW_TO_COMPILE = ("associative", "chunked")
STAND_FOR_ALL = {"dense": np.float64, "reordered_blocks": np.float32}
CASES = [
    ((name, backend), (T, D, dtype))
    for name, backend in PAIRS
    for T, D, dtype in SHAPES
    if T < 1000 or backend not in SLOW_TO_COMPILE or STAND_FOR_ALL.get(name) is dtype
]
DEFAULT_CASES = [case for case in CASES if case[1][0] < 64 or case[0][1] not in SLOW_TO_COMPILE]
"""Every pair with every shape; trees of a thousand leaves compile for ten seconds: each precision for one structure.

Those of 64 and more leaves `make test-all` alone runs.
"""


def draw(name, T, D, dtype, seed=0):
    """Stored arrays, offsets and initial state of a contracting random recurrence, as numpy arrays."""
    generator = np.random.default_rng([seed, T, D])

    def normal(*shape):
        return (CONTRACTION * generator.standard_normal(shape)).clip(-1, 1).astype(dtype)

    stored = jax.tree.map(lambda x: np.asarray(x, dtype), STRUCTURES[name].draw(normal, T, D))
    return stored, normal(T, D), normal(D)


def build(name, stored, D):
    """The transition that stores these arrays."""
    return STRUCTURES[name].build(jax.tree.map(jnp.asarray, stored), D)


def matrices(name, stored, D):
    """Its matrices in double precision."""
    return STRUCTURES[name].matrices(jax.tree.map(lambda x: np.asarray(x, np.float64), stored), D)


def bold_jacobian(dense):
    """The TD x TD residual Jacobian: identity on the diagonal, ``-A_t`` below it."""
    T, D, _ = dense.shape
    jacobian = np.eye(T * D)
    for t in range(1, T):
        jacobian[t * D : (t + 1) * D, (t - 1) * D : t * D] = -dense[t]
    return jacobian


def states(dense, b, s0=None):
    """The recurrence step by step in double precision."""
    state, rows = np.zeros(b.shape[1]) if s0 is None else s0.astype(np.float64), []
    for matrix, offset in zip(dense, b.astype(np.float64), strict=True):
        state = matrix @ state + offset
        rows.append(state)
    return np.reshape(rows, b.shape)


def adjoint_states(dense, b):
    """The transposed recurrence step by step in double precision."""
    state, rows = np.zeros(b.shape[1]), []
    for t in reversed(range(len(b))):
        arriving = dense[t + 1].T @ state if t + 1 < len(b) else 0
        state = arriving + b[t].astype(np.float64)
        rows.append(state)
    return np.reshape(rows[::-1], b.shape)


def tolerance(reference, dtype):
    """Absolute error allowed: rounding of the largest state, through the few steps that a contraction remembers."""
    return 50 * np.finfo(dtype).eps * max(1.0, np.abs(reference).max(initial=0.0))
