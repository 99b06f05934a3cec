"""The walk through a traced program: single equations by rule, inner programs by recursion, loops by fixed point."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from ..inside import as_closed, called, expanded, interpreted, scan_parts, while_parts
from ..primitives import OWN_PULLBACKS, OWN_TANGENTS, PRINTS
from .facts import (
    ENTRY_LIMIT,
    Fact,
    Mask,
    UndecidedError,
    any_along,
    everything,
    join,
    move,
    numbered,
    opaque,
    reading,
    shape_of,
    union,
    width_of,
)
from .rules import RULES, is_discrete

_WORK_LIMIT = 1 << 28
"""Most mask entries built in one analysis."""

_EQUATION_WORK = 1 << 13
"""What an equation costs beside its mask entries, in entries."""

_UNROLL = 64
"""Longest scan that is followed step by step, nested scans multiplied."""

_ROUNDS = 16
"""Rounds after which the fixed point of a loop is replaced by "reads everything"."""


@dataclass
class Budget:
    """Work left for one analysis, and the derivative rules of the user's own that it met on the way."""

    work: int = _WORK_LIMIT
    custom: set[str] = field(default_factory=set)

    def spend(self, facts: Sequence[Fact]) -> None:
        """Pay for one equation and its results, or give up."""
        self.work -= _EQUATION_WORK + sum(fact.reads.size for fact in facts if fact.reads is not None)
        if self.work < 0:
            raise UndecidedError


@dataclass(frozen=True)
class Program:
    """A traced program whose results can be asked what they read, given what its arguments read.

    Loops multiply the work: `repeats` counts how often the loops around this program have it followed.
    """

    closed: ClosedJaxpr
    budget: Budget
    repeats: int = 1

    @classmethod
    def of(cls, traced: ClosedJaxpr) -> "Program":
        """Return a traced program with a fresh budget."""
        return cls(traced, Budget())

    def inner(self, traced: ClosedJaxpr | Jaxpr, repeats: int = 1) -> "Program":
        """Return a program inside this one, which shares its budget."""
        return replace(self, closed=as_closed(traced), repeats=self.repeats * repeats)

    def reads_of_first(self) -> Mask:
        """Return the mask [E, D] of which entries of the only result read which of the first argument."""
        first, *rest = (shape_of(var) for var in self.closed.jaxpr.invars)
        width = math.prod(first)
        (result,) = self.follow([Fact(first, np.eye(width, dtype=bool)), *map(Fact, rest)])
        return np.zeros((*result.shape, width), bool) if result.reads is None else np.array(result.reads)

    def follow(self, arguments: Sequence[Fact]) -> list[Fact]:
        """Return what is known of the results, given what is known of the arguments."""

        def after_one(eqn: JaxprEqn, operands: list[Fact]) -> list[Fact]:
            results = self._step(eqn, operands)
            self.budget.spend(results)
            return results

        return interpreted(self.closed, arguments, after_one, _constant)

    def _step(self, eqn: JaxprEqn, operands: list[Fact]) -> list[Fact]:
        """Return what is known of the results of one equation."""
        name = eqn.primitive.name
        control = {"cond": self._cond, "scan": self._scan, "while": self._while}
        if (inner := called(eqn)) is not None:
            return self._call(eqn, inner, operands)
        if name in control:
            return control[name](eqn, operands) if width_of(operands) is not None else opaque(eqn, operands)
        if name not in RULES and (program := expanded(eqn)) is not None:
            return self._written_out(eqn, program, operands)
        if eqn.effects and name not in PRINTS:
            # Mutable arrays carry values past the equations.
            raise UndecidedError
        if width_of(operands) is None and sum(map(_size, (*eqn.invars, *eqn.outvars))) > ENTRY_LIMIT:
            return opaque(eqn, operands)
        return RULES.get(name, opaque)(eqn, operands)

    def _call(self, eqn: JaxprEqn, inner: ClosedJaxpr, operands: list[Fact]) -> list[Fact]:
        """Follow the one program inside a call."""
        if eqn.primitive.name in OWN_TANGENTS | OWN_PULLBACKS and width_of(operands) is not None:
            self.budget.custom.add(eqn.primitive.name)
        return self.inner(inner).follow(operands)

    def _written_out(self, eqn: JaxprEqn, program: ClosedJaxpr, operands: list[Fact]) -> list[Fact]:
        """Follow what an operation can be written out as; floating results may have a derivative rule of their own."""
        if width_of(operands) is not None and not all(map(is_discrete, eqn.outvars)):
            self.budget.custom.add(eqn.primitive.name)
        return self.inner(program).follow(operands)

    def _cond(self, eqn: JaxprEqn, operands: list[Fact]) -> list[Fact]:
        """Any branch may have run, and every result depends on which."""
        index, *operands = operands
        branches = [self.inner(branch).follow(operands) for branch in eqn.params["branches"]]
        return [_under(reduce(join, facts), everything([index])) for facts in zip(*branches, strict=True)]

    def _while(self, eqn: JaxprEqn, operands: list[Fact]) -> list[Fact]:
        """Any number of rounds may have run, and every result depends on how many."""
        head, body = while_parts(eqn)
        test_consts, body_consts, carry = operands[:head], operands[head : head + body], operands[head + body :]
        test, round_ = (self.inner(eqn.params[key]) for key in ("cond_jaxpr", "body_jaxpr"))

        def once(carry: list[Fact]) -> list[Fact]:
            decided_by = everything(test.follow([*test_consts, *carry]))
            return [_under(fact, decided_by) for fact in round_.follow([*body_consts, *carry])]

        return _fixed_point(once, carry, everything(operands))

    def _scan(self, eqn: JaxprEqn, operands: list[Fact]) -> list[Fact]:
        """Follow a scan step by step if it is short, else by what all its steps have in common."""
        head, carried = scan_parts(eqn)
        consts, carry, xs = operands[:head], operands[head : head + carried], operands[head + carried :]
        length = eqn.params["length"]
        if 0 < self.repeats * length <= _UNROLL:
            return self._unrolled(eqn, consts, carry, xs)
        body, rows = self.inner(eqn.params["jaxpr"]), [_any_row(x) for x in xs]

        def once(carry: list[Fact]) -> list[Fact]:
            return body.follow([*consts, *carry, *rows])[: len(carry)]

        carry = _fixed_point(once, carry, everything(operands))
        ys = body.follow([*consts, *carry, *rows])[len(carry) :]
        return [*carry, *(_repeated(y, length) for y in ys)]

    def _unrolled(self, eqn: JaxprEqn, consts: list[Fact], carry: list[Fact], xs: list[Fact]) -> list[Fact]:
        """Follow every step of a scan."""
        length = eqn.params["length"]
        body = self.inner(eqn.params["jaxpr"], length)
        rows: list[list[Fact]] = []
        for t in range(length)[:: -1 if eqn.params["reverse"] else 1]:
            results = body.follow([*consts, *carry, *(_row(x, t) for x in xs)])
            carry = results[: len(carry)]
            rows.append(results[len(carry) :])
        if eqn.params["reverse"]:
            rows.reverse()
        return [*carry, *map(_stacked, zip(*rows, strict=True))]


def _size(atom: Any) -> int:
    """Number of entries of a variable of a program."""
    return math.prod(shape_of(atom))


def _constant(atom: Any, value: Any) -> Fact:
    """What is known of a constant: where it is zero, and if it is discrete its value."""
    concrete = isinstance(value, bool | int | float | complex) or hasattr(value, "__array__")
    hidden = isinstance(value, Tracer) or not getattr(value, "is_fully_addressable", True)
    dtype = getattr(atom.aval, "dtype", None)
    if hidden or not concrete or not isinstance(dtype, np.dtype) or _size(atom) > ENTRY_LIMIT:
        return Fact(shape_of(atom))
    array = np.asarray(value).astype(dtype)
    return Fact(array.shape, value=array) if is_discrete(atom) else Fact(array.shape, support=np.asarray(array != 0))


def _under(fact: Fact, decided_by: Mask | None) -> Fact:
    """What is known of an array once it also depends on a decision."""
    if decided_by is None:
        return fact
    return Fact(fact.shape, union([fact, reading((), decided_by)], fact.shape), fact.known_support())


def _fixed_point(once: Callable[[list[Fact]], list[Fact]], carry: list[Fact], top: Mask | None) -> list[Fact]:
    """What holds for a carry after any number of rounds; `top` is all that it could ever read."""
    carry = [join(fact, fact) for fact in carry]
    for _ in range(_ROUNDS):
        wider = list(map(join, carry, once(carry)))
        if all(map(_same, carry, wider)):
            return carry
        carry = wider
    return [reading(fact.shape, top) for fact in carry]


def _same(first: Fact, second: Fact) -> bool:
    """Whether the same is known of two arrays."""
    pairs = ((first.reads, second.reads), (first.support, second.support))
    return all(a is b if a is None or b is None else np.array_equal(a, b) for a, b in pairs)


def _row(x: Fact, t: int) -> Fact:
    """Row of an array."""
    return Fact(x.shape[1:]) if x.blank else move([x], numbered([x])[0][t])


def _any_row(x: Fact) -> Fact:
    """What all rows of an array have in common."""
    return Fact(x.shape[1:], any_along(x.reads, 0), any_along(x.known_support(), 0))


def _stacked(rows: Sequence[Fact]) -> Fact:
    """Array with these rows."""
    shape = (len(rows), *rows[0].shape)
    return Fact(shape) if all(row.blank for row in rows) else move(rows, np.stack(numbered(rows)))


def _repeated(y: Fact, length: int) -> Fact:
    """Array of `length` rows of which the same is known."""
    support = y.known_support()
    shape = (length, *y.shape)
    reads = None if y.reads is None else np.broadcast_to(y.reads, (length, *y.reads.shape))
    return Fact(shape, reads, None if support is None else np.broadcast_to(support, shape))
