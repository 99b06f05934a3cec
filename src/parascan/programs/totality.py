"""Whether a step may be run from states that its own trajectory never visits, and for several chunks at once.

Chunks start from arbitrary states. From those a loop that iterates until it has converged may never end, a check may
fail, and a callback sees what never happened; and where chunks disagree about a branch, all of them run both sides.
"""

import math
from collections.abc import Iterator

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from .dependence import Mark, ends_by, marks_after
from .inside import opened, programs_of
from .turns import turns_of
from .unknown import unknown_is
from .work import operations_of

STATE, INPUT = 1, 2
"""Marks of a value that depends on the step's carry, and of one that depends on its inputs."""

COSTLY_BRANCH = 1.0
"""Most work in branches that a step would not take, in units of its other work; with more, chunks are not used."""


def _not_followed(closed: ClosedJaxpr, carried: int) -> str | None:
    """The reason for one step after the other where the step's program is not understood."""
    return "its program cannot be followed"


@unknown_is(_not_followed)
def partial_reason(closed: ClosedJaxpr, carried: int) -> str | None:
    """Why a step must not be run from arbitrary states, or None where its program is total.

    Args:
        closed: the step.
        carried: how many of its first arguments are the carry.
    """
    reasons: list[str] = []
    branches: set[int] = set()

    def look(eqn: JaxprEqn, operands: list[Mark]) -> None:
        name = eqn.primitive.name
        if "callback" in name:
            reasons.append(f"it calls back into Python ({name}), perhaps for a check")
        if name == "while" and ends_by(eqn, operands) & STATE:
            reasons.append("it holds a loop whose end depends on the state, and which may never come from another one")
        if name == "cond" and operands[0]:
            branches.add(id(eqn))

    program = closed.jaxpr
    marks = [STATE] * carried + [INPUT] * (len(program.invars) - carried)
    marks_after(program, marks, look)
    if _costly(program, branches):
        reasons.append("it holds a costly branch, which all blocks would take in every step")
    return reasons[0] if reasons else None


def _costly(program: Jaxpr, branches: set[int]) -> bool:
    """Whether one of some branches costs more than the rest of a program, or of a loop of unknown length in it.

    Args:
        program: where they are, or in what it holds.
        branches: the identities of the operations.
    """
    spared = max(_spared_in(program, branches), default=0.0)
    return math.isinf(spared) or spared > COSTLY_BRANCH * max(_work(program) - spared, 1)


def _spared_in(program: Jaxpr, branches: set[int]) -> Iterator[float]:
    """Work that each of some branches saves a program, counted in loops as often as they turn.

    It is infinite where a branch is costly in a loop of unknown length.
    """
    for eqn in program.eqns:
        turns = turns_of(eqn)
        if id(eqn) in branches:
            yield _spared(eqn)
        elif turns is None:
            yield from [math.inf] if any(_costly(part, branches) for part in programs_of(eqn)) else []
        else:
            yield from (turns * each for part in programs_of(eqn) for each in _spared_in(part, branches))


def _spared(eqn: JaxprEqn) -> float:
    """Work of all branches but the lightest one."""
    works = [_work(opened(branch)[0]) for branch in eqn.params["branches"]]
    return sum(works) - min(works)


def _work(program: Jaxpr) -> float:
    """Operations of a program, counted in loops as often as these turn; infinite for a loop of unknown length."""
    return sum((_work_of(eqn) for eqn in program.eqns), start=0.0)


def _work_of(eqn: JaxprEqn) -> float:
    """Operations of one operation and the programs inside it; infinite for a loop of unknown length."""
    inner = programs_of(eqn)
    if not inner:
        return operations_of(eqn)
    turns, works = turns_of(eqn), [_work(program) for program in inner]
    return (math.inf if turns is None else turns) * sum(works) if any(works) else 0.0
