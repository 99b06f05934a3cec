"""The derivative of a call's final carry and outputs, from the states that it went through."""

from typing import Any

import equinox as eqx
import jax

from ..problem.flat_recurrence import ScanProblem
from ..problem.signature import TracedSignature
from ..programs.device_axis import DeviceAxis
from ..solution import Tree
from .axes import batch_first
from .implicit import attach


def tangent_of_call(
    signature: TracedSignature,
    tangent: Any,
    states: Tree,
    batch: int,
    *,
    reverse: bool,
    devices: DeviceAxis | None = None,
    prepared: bool = False,
) -> tuple[Tree, Tree]:
    """Tangents of the final carry and the outputs: one linear recurrence for the states, then one parallel pass.

    Args:
        signature: the call.
        tangent: of the call.
        states: the carries after each step, with leading axis T.
        batch: sequences that are known to run at once.
        reverse: whether time runs from the last input to the first.
        devices: that the sequence is cut over along time.
        prepared: whether steps back one after the other find linearizations stored (``attach``).
    """

    def read_off(signature: TracedSignature) -> tuple[Tree, Tree]:
        problem = ScanProblem.of_traced(signature, reverse=reverse, devices=devices)
        answer = jax.lax.stop_gradient(problem.flatten(states))
        states_found = attach(problem.recurrence, answer, batch, prepared)
        return batch_first((problem.carry(states_found), problem.outputs(states_found)))

    return eqx.filter_jvp(read_off, (signature,), (tangent,))[1]
