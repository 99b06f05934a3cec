"""Arguments of which no plan can be made, refused in words."""

from typing import Any

from ..diagnostics import Diagnosis
from ..problem.arguments import check_counts, refuse_traced
from ..problem.flat_recurrence import Recurrence
from ..programs.machine import Machine
from ..solution import Tree
from ..solvers import AbstractIterativeSolver, MultipleShooting

OUTSIDE = (
    "a plan reads numbers and measures. Call ps.plan outside of jit, vmap and grad and give it as solver=plan, or "
    "leave solver=None, which decides without measuring."
)
"""Why no plan is made of traced values, and what to do."""


def refuse_arguments(arrays: Tree, diagnosis: Any, batch: Any, budget: Any, rates: Any, solvers: Any) -> None:
    """Refuse arguments of which no plan can be made.

    Args:
        arrays: initial state, inputs and key.
        diagnosis: what was given as one.
        batch: sequences at once.
        budget: part of the sequential time.
        rates: what was given as the record of a machine.
        solvers: what was given as further methods.

    Raises:
        TypeError: an argument of the wrong kind, or traced arrays.
        ValueError: a number out of its range.
    """
    refuse_traced("init, xs, key", arrays, OUTSIDE)
    if diagnosis is not None and not isinstance(diagnosis, Diagnosis):
        raise TypeError(f"diagnosis: given {type(diagnosis).__name__}, expected what ps.diagnose returns, or None.")
    if rates is not None and not isinstance(rates, Machine):
        raise TypeError(f"rates: given {type(rates).__name__}, expected a Machine or None.")
    if not isinstance(solvers, list | tuple):
        raise TypeError(f"solvers: given {type(solvers).__name__}, expected a list of solvers, such as [ps.elk()].")
    for each in solvers:
        if not isinstance(each, AbstractIterativeSolver | MultipleShooting):
            given = getattr(each, "__name__", type(each).__name__)
            raise TypeError(f"solvers: given {given}, expected solvers that iterate, such as ps.elk().")
    check_counts(batch=batch)
    if not 0 < budget < float("inf"):
        raise ValueError(f"budget: given {budget}, expected a positive part of the sequential time.")


def refuse_other_diagnosis(diagnosis: Diagnosis, recurrence: Recurrence) -> None:
    """Refuse a diagnosis that was made for another call.

    Args:
        diagnosis: what was given.
        recurrence: what is to be evaluated.

    Raises:
        ValueError: they differ in length, size or dtype.
    """
    given = (diagnosis.length, diagnosis.size, diagnosis.dtype)
    expected = (recurrence.length, recurrence.size, str(recurrence.dtype))
    if given != expected:
        raise ValueError(f"diagnosis: given one of T, D, dtype = {given}, expected {expected}.")
