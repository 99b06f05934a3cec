"""A program run with the rounding error of every result beside it, propagated by forward differentiation.

The errors of sums, products, quotients and roots are known with their signs (``error_free``). Those of elementary
functions are not, so that only their effect on earlier errors counts.

Source: Langlois 2001, automatic linear correction of rounding errors.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from .error_free import lost_by
from .inside import as_closed, bind, called, interpreted, scan_parts, while_parts
from .primitives import ARITHMETIC, FUNCTIONS

NARROW = frozenset({"float16", "bfloat16"})
"""Types whose operations are done in float32 to find their errors."""

ALIKE_IN_FLOAT32 = ARITHMETIC | FUNCTIONS
"""Operations that take float32 in place of a narrow type without a change of parameters."""


class Measured(NamedTuple):
    """A value of a program and its distance to the exact one.

    Attributes:
        value: the value.
        error: exact value less this one, to first order; None where it is zero.
    """

    value: Any
    error: Any


def measured(closed: ClosedJaxpr, args: Sequence[Measured]) -> list[Measured]:
    """Results of a program with their errors.

    Args:
        closed: the program.
        args: its arguments with their errors.
    """
    return interpreted(closed, args, _apply, lambda atom, value: Measured(value, None))


def _apply(eqn: Any, operands: list[Measured]) -> list[Measured]:
    """Results of one operation."""
    name = eqn.primitive.name
    if (inner := called(eqn)) is not None:
        return measured(inner, operands)
    if name in CONTROL:
        return CONTROL[name](eqn, operands)
    values = [operand.value for operand in operands]
    if len(eqn.outvars) != 1 or not _is_real(eqn.outvars[0].aval):
        return _carried_on(eqn, operands)
    (out,) = _carried_on(eqn, operands)
    if _is_narrowed(eqn, values):
        value, own = _in_float32(eqn, values, out.value.dtype)
        out = Measured(value, out.error)
    else:
        own = lost_by(eqn, values, out.value)
    if own is None:
        return [out]
    own = jnp.where(jnp.isfinite(own), own, 0).astype(out.value.dtype)
    return [Measured(out.value, own if out.error is None else out.error + own)]


def _is_real(aval: Any) -> bool:
    """Whether a value has real floating entries."""
    return jnp.issubdtype(aval.dtype, jnp.floating)


def _carried_on(eqn: Any, operands: list[Measured]) -> list[Measured]:
    """The operation's results, with errors of its operands alone."""
    values = [operand.value for operand in operands]
    moving = [place for place, operand in enumerate(operands) if operand.error is not None]
    if not moving:
        return [Measured(out, None) for out in bind(eqn, eqn.params, values)]

    def run(*given: Any) -> tuple[list[Any], list[Any]]:
        filled = list(values)
        for place, value in zip(moving, given, strict=True):
            filled[place] = value
        outs = bind(eqn, eqn.params, filled)
        return [out for out in outs if _is_real(out)], [None if _is_real(out) else out for out in outs]

    given, errors = [values[place] for place in moving], [operands[place].error for place in moving]
    outs, changes, others = jax.jvp(run, given, errors, has_aux=True)
    measured = iter([Measured(*pair) for pair in zip(outs, changes, strict=True)])
    return [next(measured) if other is None else Measured(other, None) for other in others]


def _is_narrowed(eqn: Any, values: list[Any]) -> bool:
    """Whether an operation's result is of a narrow type, and float32 can show its rounding error."""
    if str(eqn.outvars[0].aval.dtype) not in NARROW:
        return False
    converted = eqn.primitive.name == "convert_element_type" and str(values[0].dtype) == "float32"
    return converted or eqn.primitive.name in ALIKE_IN_FLOAT32


def _in_float32(eqn: Any, values: list[Any], dtype: Any) -> tuple[Array, Array]:
    """The result of an operation on a narrow type, and its error."""
    wide = [jnp.asarray(value).astype(jnp.float32) for value in values]
    exact = wide[0] if eqn.primitive.name == "convert_element_type" else bind(eqn, eqn.params, wide)[0]
    numbers = jnp.finfo(dtype)
    # Compilers may leave out a conversion there and back, but not this.
    rounded = jax.lax.reduce_precision(exact, numbers.nexp, numbers.nmant)
    return rounded.astype(dtype), exact - rounded


def _filled(measured: Sequence[Measured]) -> list[Measured]:
    """The value with an error of zero in place of None, so that all turns and branches have the same structure."""
    return [
        Measured(value, jnp.zeros_like(value) if error is None and _is_real(jnp.asarray(value)) else error)
        for value, error in measured
    ]


def _of_scan(eqn: Any, operands: list[Measured]) -> list[Measured]:
    """Results of a scan with their errors."""
    fixed, carried = scan_parts(eqn)
    body = as_closed(eqn.params["jaxpr"])
    constants, start, rows = operands[:fixed], operands[fixed : fixed + carried], operands[fixed + carried :]

    def turn(carry: list[Measured], row: list[Measured]) -> tuple[list[Measured], list[Measured]]:
        outs = _filled(measured(body, [*constants, *carry, *row]))
        return outs[:carried], outs[carried:]

    length, reverse = eqn.params["length"], eqn.params["reverse"]
    last, outs = jax.lax.scan(turn, _filled(start), _filled(rows), length=length, reverse=reverse)
    return [*last, *outs]


def _of_while(eqn: Any, operands: list[Measured]) -> list[Measured]:
    """Results of a ``while`` loop with their errors."""
    asked, done = while_parts(eqn)
    condition, body = as_closed(eqn.params["cond_jaxpr"]), as_closed(eqn.params["body_jaxpr"])
    of_condition, of_body, start = operands[:asked], operands[asked : asked + done], operands[asked + done :]
    return jax.lax.while_loop(
        lambda carry: measured(condition, [*of_condition, *carry])[0].value,
        lambda carry: _filled(measured(body, [*of_body, *carry])),
        _filled(start),
    )


def _of_branches(eqn: Any, operands: list[Measured]) -> list[Measured]:
    """Results of a branch with their errors."""
    index, *rest = operands
    branches = [as_closed(branch) for branch in eqn.params["branches"]]
    runs = [lambda given, branch=branch: _filled(measured(branch, given)) for branch in branches]
    return jax.lax.switch(index.value.astype(jnp.int32), runs, rest)


CONTROL: dict[str, Callable[[Any, list[Measured]], list[Measured]]] = {
    "scan": _of_scan,
    "while": _of_while,
    "cond": _of_branches,
}
"""Rules for operations that run other programs more often than once, or not at all."""
