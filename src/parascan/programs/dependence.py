"""What the values of a program depend on, followed through calls, branches and loops."""

from collections.abc import Callable, Sequence

from jax.extend.core import Jaxpr, JaxprEqn

from .inside import called, interpreted, opened, programs_of, scan_parts, while_parts

Mark = int
"""A set of sources as bits; zero for a value that depends on none of them."""

Visitor = Callable[[JaxprEqn, list[Mark]], None]
"""A function called with each operation and what its operands depend on."""


def marks_after(program: Jaxpr, given: Sequence[Mark], visit: Visitor | None = None) -> list[Mark]:
    """What each result of a program depends on.

    Args:
        program: the program; what it closes over depends on nothing.
        given: what its arguments depend on.
        visit: called for every operation, inner ones included; more than once for those in loops.
    """

    def after_one(eqn: JaxprEqn, operands: list[Mark]) -> list[Mark]:
        if visit is not None:
            visit(eqn, operands)
        return marks_after_one(eqn, operands, visit)

    return interpreted(program, given, after_one, lambda atom, value: 0)


def marks_after_one(eqn: JaxprEqn, operands: Sequence[Mark], visit: Visitor | None = None) -> list[Mark]:
    """What the results of an operation depend on.

    Args:
        eqn: the operation.
        operands: what its operands depend on.
        visit: as for ``marks_after``, for the operations inside it.
    """
    name = eqn.primitive.name
    if (inner := called(eqn)) is not None:
        return marks_after(inner.jaxpr, operands, visit)
    if name == "cond":
        chosen, *rest = operands
        branches = [marks_after(opened(each)[0], rest, visit) for each in eqn.params["branches"]]
        return [chosen | _union(marks) for marks in zip(*branches, strict=True)]
    if name == "scan":
        fixed, carried = scan_parts(eqn)
        body, _ = opened(eqn.params["jaxpr"])
        return _repeated(lambda marks: marks_after(body, marks, visit), operands, fixed, carried)
    if name == "while":
        repeated, ends = _of_loop(eqn, operands, visit)
        return [mark | ends for mark in repeated]
    everything = _union(operands)
    for program in programs_of(eqn):
        marks_after(program, [everything] * len(program.invars), visit)
    return [everything] * len(eqn.outvars)


def ends_by(eqn: JaxprEqn, operands: Sequence[Mark]) -> Mark:
    """What decides when a ``while`` loop ends.

    Args:
        eqn: the loop.
        operands: what its operands depend on.
    """
    return _of_loop(eqn, operands, None)[1]


def _of_loop(eqn: JaxprEqn, operands: Sequence[Mark], visit: Visitor | None) -> tuple[list[Mark], Mark]:
    """What a ``while`` loop carries depends on, and what decides when it ends."""
    condition, body = (opened(eqn.params[name])[0] for name in ("cond_jaxpr", "body_jaxpr"))
    kept, fixed = while_parts(eqn)
    repeated = _repeated(lambda marks: marks_after(body, marks, visit), operands[kept:], fixed, None)
    return repeated, _union(marks_after(condition, [*operands[:kept], *repeated], visit))


def _repeated(
    body: Callable[[Sequence[Mark]], list[Mark]], operands: Sequence[Mark], fixed: int, carried: int | None
) -> list[Mark]:
    """What the results of a loop depend on, however often it turns; all but the fixed operands are carried if None."""
    last = len(operands) if carried is None else fixed + carried
    carry = list(operands[fixed:last])
    while True:
        out = body([*operands[:fixed], *carry, *operands[last:]])
        grown = [mark | new for mark, new in zip(carry, out, strict=False)]
        if grown == carry:
            return [*carry, *out[len(carry) :]]
        carry = grown


def _union(marks: Sequence[Mark]) -> Mark:
    """All sources of several values."""
    total = 0
    for mark in marks:
        total |= mark
    return total
