"""The derivative of a call's final carry and outputs, from the states that it went through."""

from typing import Any

import equinox as eqx
import jax

from ..problem.flat_recurrence import ScanProblem
from ..solution import Tree
from .axes import batch_first
from .implicit import attach


def tangent_of_call(problem: ScanProblem, tangent: Any, states: Tree, batch: int) -> tuple[Tree, Tree]:
    """Tangents of the final carry and the outputs: one linear recurrence for the states, then one parallel pass.

    Args:
        problem: of the call.
        tangent: of the problem.
        states: the carries after each step, with leading axis T.
        batch: sequences that are known to run at once.
    """
    answer = jax.lax.stop_gradient(problem.flatten(states))

    def read_off(problem: ScanProblem) -> tuple[Tree, Tree]:
        states = attach(problem.recurrence, answer, batch)
        return batch_first((problem.carry(states), problem.outputs(states)))

    return eqx.filter_jvp(read_off, (problem,), (tangent,))[1]
