"""How many updates each method truly takes over T steps, from the default guess under the default rule.

All four run over all T steps, and a run over T also tells the count of every shorter length. A run is given up after
as many updates as ``WORK`` step evaluations allow, Jacobians counted by their size; Newton on a system
that shrinks perturbations may take ``LONGER`` times as many, since a verdict hangs on it. What is given up is stored as
a lower bound: ``[count, false]``.
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

WORK = {"newton": 6e6, "quasi_newton": 2e6, "picard": 2e6, "jacobi": 2e6}
"""Step evaluations that a method is given on one system, at least."""

LONGER = 2
"""Times as many for Newton where it decides."""

FEWEST = 50
"""Updates that are always allowed."""

SMALL = 4
"""Size of a state from which a step costs more, in proportion, and a Jacobian by the power 3/2."""

SHORTEST, PER_DOUBLING = 16, 2
"""Shortest length whose count is kept, and lengths from one doubling to the next."""


def ends_of(length: int) -> tuple[int, ...]:
    """Lengths whose counts are kept, T the last.

    Args:
        length: T.
    """
    between = (round(SHORTEST * 2 ** (k / PER_DOUBLING)) for k in range(PER_DOUBLING * length.bit_length()))
    return (*(end for end in between if end < length), length)


def most_updates(method: str, length: int, size: int, fate: str) -> int:
    """Updates after which a method is given up.

    Args:
        method: its name.
        length: T.
        size: D.
        fate: of perturbations, as in ``truth.py``.
    """
    newton = method == "newton"
    price = max(1.0, size / SMALL) ** (1.5 if newton else 1.0)
    allowed = WORK[method] * (LONGER if newton and fate == "shrink" else 1)
    return int(min(length, max(allowed / length / price, FEWEST)))


def updates(one: System, method: str) -> dict[str, Any]:
    """The stored fields of one method on one system.

    Args:
        one: the system with its truth.
        method: of ``METHODS``.
    """
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(one.init))
    most = most_updates(method, one.length, size, one.truth.get("fate", "neither"))
    found = updates_by_length(
        one.step, one.init, one.xs, ends=ends_of(one.length), solver=METHODS[method], criterion=ps.StateError(),
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
