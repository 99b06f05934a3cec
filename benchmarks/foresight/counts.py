"""How many updates each method truly takes, from the default guess under the default rule.

Newton runs over all T steps. It is given up after as many updates as ``WORK`` step evaluations allow, Jacobians counted
by their size; on a system that shrinks perturbations after ``LONGER`` times as many, since a verdict hangs on it. What
is given up is stored as a lower bound: ``[count, false]``. The other methods often take as many updates as steps: they
run to their end over the first ``SHORT`` steps, and their forecasts are judged there. A run also tells the count of
every shorter length.
"""

from typing import Any

import jax
import numpy as np

import parascan as ps
from parascan.diagnostics import updates_by_length

from .stores import add
from .systems import System

METHODS = {
    "newton": ps.deer(),
    "quasi_newton": ps.quasi_deer(),
    "picard": ps.picard(),
    "jacobi": ps.jacobi(),
}

WORK = 1.5e6
"""Step evaluations that Newton is given on one system, at least."""

SHORT = 512
"""Steps over which the other methods run."""

LONGER = 4
"""Times as many where it decides."""

FEWEST = 30
"""Updates that are always allowed."""

SMALL = 4
"""Size of a state from which an update costs more, by the power 3/2 of it."""

COMPLETE = ("toggle 0", "sir 0", "hodgkin_huxley 0", "rossler_observer 0")
"""Systems on which Newton is never given up, since an earlier forecast missed there."""

SHORTEST, PER_DOUBLING = 16, 2
"""Shortest length whose count is kept, and lengths from one doubling to the next."""


def ends_of(length: int) -> tuple[int, ...]:
    """Lengths whose counts are kept, T the last.

    Args:
        length: T.
    """
    between = (round(SHORTEST * 2 ** (k / PER_DOUBLING)) for k in range(PER_DOUBLING * length.bit_length()))
    return (*(end for end in between if end < length), length)


def length_of(method: str, length: int) -> int:
    """The steps over which a method is run and judged.

    Args:
        method: its name.
        length: T of the system.
    """
    return length if method == "newton" else min(length, SHORT)


def most_updates(one: System) -> int:
    """Updates after which Newton is given up.

    Args:
        one: the system with its truth.
    """
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(one.init))
    allowed = WORK * (LONGER if one.truth.get("fate") == "shrink" else 1) / max(1.0, size / SMALL) ** 1.5
    return one.length if one.name in COMPLETE else int(min(one.length, max(allowed / one.length, FEWEST)))


def updates(one: System, method: str) -> dict[str, Any]:
    """The stored fields of one method on one system.

    Args:
        one: the system with its truth.
        method: of ``METHODS``.
    """
    length = length_of(method, one.length)
    most = most_updates(one) if method == "newton" else length
    inputs = jax.tree.map(lambda leaf: leaf[:length], one.xs)
    found = updates_by_length(
        one.step, one.init, inputs, ends=ends_of(length), solver=METHODS[method], criterion=ps.StateError(),
        guess=ps.guesses.RepeatInitial(), max_iterations=most,
    )  # fmt: skip
    counts = np.asarray(found).tolist()
    return {method: [counts[-1] if counts[-1] >= 0 else most, counts[-1] >= 0], f"{method}_by_length": counts}


def measure(path: Any, one: System) -> dict[str, Any]:
    """Measure and store what is missing of one system; what was added.

    Args:
        path: of the store.
        one: the system.
    """
    found = {}
    for method in METHODS:
        if method not in one.truth:
            found.update(updates(one, method))
    add(path, {one.name: found})
    return found
