"""How much a step computes, counted from its program, so that the answer is always the same."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn

from .batching import small_product
from .dependence import marks_after_one
from .inside import interpreted, programs_of
from .primitives import COSTLY, FREE, JOINS, LIBRARY_FUNCTIONS, LIBRARY_FUNCTIONS_IN_DOUBLE, LOOPS, PRODUCTS, REDUCING
from .turns import turns_of
from .unknown import unknown_is

FEW = 8
"""Most entries of a state for which XLA makes a single loop of all operations of a step without large products."""


WAITED_FOR = ("waits", "vectorized", "terms")
"""Counts of operations that a step waits for, one after the other."""


class Work(NamedTuple):
    """What a step computes, in counts; operations in loops count as often as these turn, where that is known.

    Attributes:
        operations: arithmetic operations on single entries; a costly one counts as ten.
        products: number of matrix products.
        functions: number of costly operations, whatever their entries.
        reduced: entries that reductions read.
        turns: turns of loops inside the step.
        moved: entries of inputs, state and outputs.
        size: bytes of inputs, state and outputs.
        waits: number of operations of plain arithmetic, and of powers, which XLA turns into products where it knows the
            exponent.
        entries: entries of plain arithmetic.
        powers: entries of powers.
        vectorized: number of costly operations that XLA has vector code for.
        vectorized_entries: entries of these.
        called_entries: entries of costly operations that call a library, without powers.
        joined: entries of arrays that are concatenated.
        terms: terms of products whose result has several entries.
        product_operations: operations of all products.
        small: whether XLA makes one loop of all of it: few entries, and no product but small ones.
        double: whether its results are of double precision.
    """

    operations: float = 0.0
    products: float = 0
    functions: float = 0
    reduced: float = 0
    turns: float = 0
    moved: int = 0
    size: int = 0
    waits: float = 0
    entries: float = 0
    powers: float = 0
    vectorized: float = 0
    vectorized_entries: float = 0
    called_entries: float = 0
    joined: float = 0
    terms: float = 0
    product_operations: float = 0
    small: bool = False
    double: bool = False


def as_work(work: float | Work) -> Work:
    """The work of a step from its counts, or from its number of operations alone.

    Args:
        work: all that is known of it.
    """
    return work if isinstance(work, Work) else Work(operations=float(work))


@unknown_is(lambda closed, size=None, carried=None: Work())
def counted(closed: ClosedJaxpr, size: int | None = None, carried: Collection[int] | None = None) -> Work:
    """What one step computes.

    Args:
        closed: the step.
        size: D, entries of its state; None for many.
        carried: places among its arguments of the leaves that a step waits for; None where they are not known.
    """
    avals = (*closed.in_avals, *closed.out_avals)
    found: defaultdict[str, float] = defaultdict(float)
    small = size is not None and size <= FEW
    for eqn, reached in _reached(closed.jaxpr, carried):
        for part, times in _operations_in(eqn):
            small = small and (part.primitive.name not in PRODUCTS or small_product(part))
            for name, count in _of_one(part).items():
                # What inputs alone decide is computed ahead: no step waits for it.
                found[name] += times * count * (reached or name not in WAITED_FOR)
    return Work(
        moved=sum(_entries(aval) for aval in avals),
        size=sum(_entries(aval) * getattr(aval.dtype, "itemsize", 8) for aval in avals),
        small=small,
        double=any(map(_is_double, closed.out_avals)),
        **found,  # pyright: ignore[reportArgumentType]  # names of counts only
    )


def operations(closed: ClosedJaxpr) -> float:
    """Arithmetic operations of one step, roughly."""
    return float(counted(closed).operations)


@unknown_is(lambda step, *example: False)
def costly(step: Callable[..., Any], *example: Any) -> bool:
    """Whether a step has operations that take about ten others.

    Args:
        step: the step.
        example: its arguments, as arrays or ``ShapeDtypeStruct``.
    """
    return counted(jax.make_jaxpr(step)(*example)).functions > 0


def equations(jaxpr: Any, times: float = 1) -> Iterator[tuple[JaxprEqn, float]]:
    """All operations of a program that hold no other program, and all loops, and how often each is run.

    A loop that does not tell how often it turns counts as one turn.

    Args:
        jaxpr: the program.
        times: how often it is run.
    """
    for eqn in jaxpr.eqns:
        yield from _operations_in(eqn, times)


def _operations_in(eqn: JaxprEqn, times: float = 1) -> Iterator[tuple[JaxprEqn, float]]:
    """The same of one operation."""
    inner, loop = programs_of(eqn), eqn.primitive.name in LOOPS
    turns = (1 if (known := turns_of(eqn)) is None else known) if loop else 1
    if loop or not inner:
        yield eqn, times * turns
    for program in inner:
        yield from equations(program, times * turns)


def _reached(jaxpr: Any, carried: Collection[int] | None) -> list[tuple[JaxprEqn, bool]]:
    """Each operation of a program, and whether it depends on the carry; all do where its leaves are not known."""
    if carried is None:
        return [(eqn, True) for eqn in jaxpr.eqns]
    found = []

    def after_one(eqn: JaxprEqn, operands: list[int]) -> list[int]:
        found.append((eqn, any(operands)))
        return marks_after_one(eqn, operands)

    interpreted(jaxpr, [int(index in carried) for index in range(len(jaxpr.invars))], after_one, lambda atom, value: 0)
    return found


def operations_of(eqn: JaxprEqn) -> float:
    """Operations of one equation that calls no other program; moving entries is none.

    Args:
        eqn: the equation.
    """
    return float(_of_one(eqn).get("operations", 0))


def _of_one(eqn: JaxprEqn) -> dict[str, float]:
    """The counts of ``Work`` for one operation."""
    name, entries = eqn.primitive.name, sum(_entries(var.aval) for var in eqn.outvars)
    if name in LOOPS:
        return {"turns": 1}
    if name in FREE:
        return {"joined": entries} if name in JOINS else {}
    if name in PRODUCTS:
        (contracted, _), _ = eqn.params["dimension_numbers"]
        first: Any = eqn.invars[0].aval
        terms = int(np.prod([first.shape[axis] for axis in contracted]))
        each = 2.0 * terms * entries
        return {"operations": each, "products": 1, "terms": terms * (entries > 1), "product_operations": each}
    if name not in COSTLY:
        read: Any = eqn.invars[0].aval if name in REDUCING else None
        reduced = 0 if read is None else _entries(read)
        return {"operations": entries, "waits": 1, "entries": entries, "reduced": reduced}
    if name == "pow":
        kinds: dict[str, float] = {"waits": 1, "powers": entries}
    elif name in LIBRARY_FUNCTIONS or (name in LIBRARY_FUNCTIONS_IN_DOUBLE and _is_double(eqn.outvars[0].aval)):
        kinds = {"called_entries": entries}
    else:
        kinds = {"vectorized": 1, "vectorized_entries": entries}
    return {"operations": 10 * entries, "functions": 1, **kinds}


def _entries(aval: Any) -> int:
    """Number of entries."""
    return int(np.prod(aval.shape))


def _is_double(aval: Any) -> bool:
    """Whether entries are floating numbers of double precision."""
    return jnp.issubdtype(aval.dtype, jnp.inexact) and jnp.finfo(aval.dtype).bits == 64
