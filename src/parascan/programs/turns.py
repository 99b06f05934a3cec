"""How often a loop inside a step turns, where its program says so."""

import math
from typing import Any

import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from .inside import opened

COMPARISONS = {"lt": 0, "le": 1}
"""Comparisons that keep a loop going while it counts up, and how many turns they add to the difference of its ends."""


def turns_of(eqn: JaxprEqn) -> int | None:
    """How often a loop turns, or None where that is not known before it runs; 1 for what is no loop.

    A ``fori_loop`` with bounds that are known while tracing is a scan of that length, or a ``while`` that compares a
    counter with a constant: both are read. Any other ``while`` may end by what it computes.

    Args:
        eqn: an operation that holds programs.
    """
    if eqn.primitive.name == "while":
        return _turns_of_while(eqn)
    if eqn.primitive.name != "scan":
        return 1
    length = eqn.params.get("length")
    return None if length is None else int(np.asarray(length))


def _turns_of_while(eqn: JaxprEqn) -> int | None:
    """How often a ``while`` loop turns that counts up to a constant, or None for any other."""
    condition, body = opened(eqn.params["cond_jaxpr"])[0], opened(eqn.params["body_jaxpr"])[0]
    if len(condition.eqns) != 1 or condition.eqns[0].primitive.name not in COMPARISONS:
        return None
    comparison = condition.eqns[0]
    consts, others = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    start = eqn.invars[consts + others :]
    carried = {var: place for place, var in enumerate(condition.invars[consts:])}
    counter, bound = comparison.invars
    place = None if isinstance(counter, Literal) else carried.get(counter)
    if place is None:
        return None
    first, each = _number(start[place]), _increment(body, others + place, place)
    if isinstance(bound, Literal):
        last = _number(bound)
    elif bound in carried:
        held = carried[bound]
        last = _number(start[held]) if body.outvars[held] is body.invars[others + held] else None
    else:
        last = _number(eqn.invars[condition.invars.index(bound)])
    if first is None or last is None or each is None or each <= 0:
        return None
    return max(math.ceil((last - first + COMPARISONS[comparison.primitive.name]) / each), 0)


def _increment(body: Jaxpr, taken: int, place: int) -> int | None:
    """What a loop's body adds to a counter, or None where it does something else."""
    made = next((each for each in body.eqns if body.outvars[place] in each.outvars), None)
    if made is None or made.primitive.name != "add":
        return None
    one, other = made.invars
    return _number(other) if one is body.invars[taken] else _number(one) if other is body.invars[taken] else None


def _number(atom: Any) -> int | None:
    """The integer that is written in a program, or None."""
    value = np.asarray(atom.val) if isinstance(atom, Literal) else None
    return int(value) if value is not None and value.shape == () and value.dtype.kind in "iu" else None
