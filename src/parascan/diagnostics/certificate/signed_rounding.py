"""The rounding error of a step with its sign, as far as it can be had: errors that keep their sign add up.

A clock ``s + 0.1`` loses the same part of 0.1 at every step, so that its errors grow like the number of steps, not like
its root. The step's program is run once more with the exact error of every sum, product, quotient and root beside its
result, carried on to the step's result by forward differentiation. What elementary functions round has no sign here;
only what they make of errors before them counts.

Source: Langlois 2001, automatic linear correction of rounding errors.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from ...problem.flat_recurrence import Recurrence
from ...programs.inside import INLINED, as_closed, bind, interpreted, scan_parts
from ...programs.unknown import unknown_is
from ...solution import State, Trajectory, Tree
from .error_free import lost_by

NARROW = frozenset({"float16", "bfloat16"})
"""Types whose operations are done in float32 to see their error."""

ALIKE_IN_FLOAT32 = frozenset(
    {"add", "add_any", "sub", "mul", "div", "sqrt", "rsqrt", "square", "integer_pow", "pow", "exp", "log", "tanh"}
    | {"logistic", "sin", "cos", "tan", "exp2", "log1p", "expm1", "atan2"}
)
"""Operations that take float32 in place of a narrow type without a change of parameters."""


class _Measured(NamedTuple):
    """A value of the program and what it lacks to the exact one, None where it lacks nothing."""

    value: Any
    error: Any


def _without_errors(problem: Recurrence, states: Trajectory) -> tuple[Trajectory, Trajectory]:
    """Results alone, where a program is not understood."""
    return problem.images(states), jnp.zeros_like(states)


@unknown_is(_without_errors)
def images_with_errors(problem: Recurrence, states: Trajectory) -> tuple[Trajectory, Trajectory]:
    """Every step's result, and what it lacks to the exact one to first order, with its sign ``[T D]`` each.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]`` whose steps are evaluated.
    """
    inputs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), problem.inputs)
    state = jax.ShapeDtypeStruct((problem.size,), problem.dtype)
    program = jax.make_jaxpr(problem.advance)(state, inputs)

    def one(previous: State, x: Tree) -> tuple[State, State]:
        leaves = [_Measured(leaf, None) for leaf in jax.tree.leaves((previous, x))]
        value, error = _run(program, leaves)[0]
        return value, jnp.zeros_like(value) if error is None else error

    return jax.vmap(one)(problem.previous(states), problem.inputs)


def _run(closed: ClosedJaxpr, args: Sequence[_Measured]) -> list[_Measured]:
    """Results of a program."""
    return interpreted(closed, args, _apply, lambda value: _Measured(value, None))


def _apply(eqn: Any, operands: list[_Measured]) -> list[_Measured]:
    """Results of one operation."""
    name = eqn.primitive.name
    inner = eqn.params.get(INLINED.get(name, ""))
    if inner is not None:
        return _run(as_closed(inner), operands)
    if name in CONTROL:
        return CONTROL[name](eqn, operands)
    values = [operand.value for operand in operands]
    if len(eqn.outvars) != 1 or not _is_real(eqn.outvars[0].aval):
        return _carried_on(eqn, operands)
    (out,) = _carried_on(eqn, operands)
    if _is_narrowed(eqn, values):
        value, own = _in_float32(eqn, values, out.value.dtype)
        out = _Measured(value, out.error)
    else:
        own = lost_by(eqn, values, out.value)
    if own is None:
        return [out]
    own = jnp.where(jnp.isfinite(own), own, 0).astype(out.value.dtype)
    return [_Measured(out.value, own if out.error is None else out.error + own)]


def _is_real(aval: Any) -> bool:
    """Whether a value has real floating entries."""
    return jnp.issubdtype(aval.dtype, jnp.floating)


def _carried_on(eqn: Any, operands: list[_Measured]) -> list[_Measured]:
    """The operation's results, with errors of its operands alone."""
    values = [operand.value for operand in operands]
    moving = [place for place, operand in enumerate(operands) if operand.error is not None]
    if not moving:
        return [_Measured(out, None) for out in bind(eqn, eqn.params, values)]

    def run(*given: Any) -> tuple[list[Any], list[Any]]:
        filled = list(values)
        for place, value in zip(moving, given, strict=True):
            filled[place] = value
        outs = bind(eqn, eqn.params, filled)
        return [out for out in outs if _is_real(out)], [None if _is_real(out) else out for out in outs]

    given, errors = [values[place] for place in moving], [operands[place].error for place in moving]
    outs, changes, others = jax.jvp(run, given, errors, has_aux=True)
    measured = iter([_Measured(*pair) for pair in zip(outs, changes, strict=True)])
    return [next(measured) if other is None else _Measured(other, None) for other in others]


def _is_narrowed(eqn: Any, values: list[Any]) -> bool:
    """Whether an operation's result is a narrow type's, and what it rounds can be seen in float32."""
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


def _filled(measured: Sequence[_Measured]) -> list[_Measured]:
    """The same with an error of zero where a real value has none, so that all turns and branches look alike."""
    return [
        _Measured(value, jnp.zeros_like(value) if error is None and _is_real(jnp.asarray(value)) else error)
        for value, error in measured
    ]


def _of_scan(eqn: Any, operands: list[_Measured]) -> list[_Measured]:
    """A loop with as many turns as are known beforehand."""
    fixed, carried = scan_parts(eqn)
    body = as_closed(eqn.params["jaxpr"])
    constants, start, rows = operands[:fixed], operands[fixed : fixed + carried], operands[fixed + carried :]

    def turn(carry: list[_Measured], row: list[_Measured]) -> tuple[list[_Measured], list[_Measured]]:
        outs = _filled(_run(body, [*constants, *carry, *row]))
        return outs[:carried], outs[carried:]

    length, reverse = eqn.params["length"], eqn.params["reverse"]
    last, outs = jax.lax.scan(turn, _filled(start), _filled(rows), length=length, reverse=reverse)
    return [*last, *outs]


def _of_while(eqn: Any, operands: list[_Measured]) -> list[_Measured]:
    """A loop until something happens."""
    asked, done = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    condition, body = as_closed(eqn.params["cond_jaxpr"]), as_closed(eqn.params["body_jaxpr"])
    of_condition, of_body, start = operands[:asked], operands[asked : asked + done], operands[asked + done :]
    return jax.lax.while_loop(
        lambda carry: _run(condition, [*of_condition, *carry])[0].value,
        lambda carry: _filled(_run(body, [*of_body, *carry])),
        _filled(start),
    )


def _of_branches(eqn: Any, operands: list[_Measured]) -> list[_Measured]:
    """One of several programs."""
    index, *rest = operands
    branches = [as_closed(branch) for branch in eqn.params["branches"]]
    runs = [lambda given, branch=branch: _filled(_run(branch, given)) for branch in branches]
    return jax.lax.switch(index.value.astype(jnp.int32), runs, rest)


CONTROL: dict[str, Callable[[Any, list[_Measured]], list[_Measured]]] = {
    "scan": _of_scan,
    "while": _of_while,
    "cond": _of_branches,
}
"""Operations that run other programs more often than once, or not at all."""
