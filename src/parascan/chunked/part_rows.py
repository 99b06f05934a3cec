"""The parts in which a stretch of rows is run, so that the states after each of its last rows can be kept.

Where a stretch begins and ends is known as the program runs, so the rows of all parts are one small table, looked up
from a few marks: hardly any operations, however many parts there are.
"""

import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from .acceptance import COMPARED

PARTS = COMPARED + 1
"""Parts of a stretch of rows that ends at a junction: up to the compared rows, and each of these."""

Told = list[tuple[tuple[int, int], tuple[int, int]]]
"""First row of each part of a stretch, and the row that it ends before; each by a mark and the rows after it."""


def up_to_junction(first: int, junction: int) -> Told:
    """The parts of a stretch that ends at a junction.

    Args:
        first: the mark that the stretch begins at.
        junction: the mark of the junction.
    """
    rows = [(first, 0), *((junction, each - COMPARED) for each in range(COMPARED + 1))]
    return list(itertools.pairwise(rows))


def in_one_part(first: int, end: int) -> Told:
    """The parts of a stretch of which no states are kept: all rows are in the first, and the others are empty.

    Args:
        first: the mark that the stretch begins at.
        end: the mark that it ends before.
    """
    return [((first, 0), (end, 0)), *[((end, 0), (end, 0))] * COMPARED]


def part_rows(marks: list[Array | int], *stretches: Told) -> Int[Array, "stretches parts 2"]:
    """The first row of every part of every stretch, and the row that it ends before.

    Args:
        marks: rows, as numbers or int32 arrays of no axis.
        stretches: parts, told from these rows.
    """
    told = np.asarray(stretches, np.int32)
    rows = jnp.stack([jnp.asarray(mark, jnp.int32) for mark in marks])
    return rows.at[told[..., 0]].get(mode="promise_in_bounds") + told[..., 1]
