"""How far rounding moves the result of a step: its program is run with a random error in every operation.

Each operation's result is multiplied by ``1 + c u`` times a random sign, with u the unit of rounding of its dtype and c
its accuracy in such units, and the effect on the step's result is read off by forward differentiation. So the numbers
account for cancellation inside the step and for the precision of each operation, without any other precision at hand.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array, Key

from ...problem.flat_recurrence import Recurrence
from ...programs.inside import INLINED, as_closed, bind, interpreted
from ...programs.platform import platform_of
from ...programs.unknown import unknown_is
from ...programs.work import COSTLY, MOVING
from ...solution import State, Trajectory, Tree

DRAWS = 4
"""Runs with random errors that the root mean square is taken over."""

UNITS_OF_COSTLY = 4.0
"""Error of an elementary function in units of rounding; vectorized ones are no better than that in float32."""

UNITS_OF_PROGRAMS = 8.0
"""Error of a loop, a branch or a function with a derivative rule of its own, which is not looked into."""

EXACT = MOVING | frozenset(
    {"abs", "and", "argmax", "argmin", "ceil", "clamp", "complex", "conj", "eq", "floor", "ge", "gt", "imag"}
    | {"is_finite", "le", "lt", "max", "min", "ne", "neg", "not", "or", "real", "reduce_max", "reduce_min", "rem"}
    | {"random_bits", "random_unwrap", "random_wrap", "round", "scatter", "select_n", "shift_left", "sign", "sort"}
    | {"shift_right_arithmetic", "shift_right_logical", "xor", "threefry2x32", "bitcast_convert_type"}
)
"""Operations that round nothing."""

SUMS = frozenset({"cumsum", "reduce_sum"})

OPAQUE = frozenset({"custom_jvp_call", "cond", "scan", "while"})

PRODUCTS_IN_PASSES = {"gpu": 2.0**-11, "cuda": 2.0**-11, "rocm": 2.0**-11, "tpu": 2.0**-9}
"""Unit of rounding of float32 matrix products in the default precision of accelerators."""


def _as_a_whole(problem: Recurrence, states: Trajectory, key: Key[Array, ""]) -> Trajectory:
    """The same with errors of whole steps, in what they take and what they give, where operations are not known."""

    def run(noisy: "_Noisy", previous: State, x: Tree) -> State:
        previous, x = jax.tree.map(lambda leaf: noisy.err(leaf, UNITS_OF_PROGRAMS), (previous, x))
        return noisy.err(problem.advance(previous, x), UNITS_OF_PROGRAMS)

    return _spread(problem, states, key, run)


@unknown_is(_as_a_whole)
def rounding_of_steps(problem: Recurrence, states: Trajectory, key: Key[Array, ""]) -> Trajectory:
    """Root mean square of the rounding error of every entry of every step's result ``[T D]``, in its units.

    Each operation errs by a full unit of rounding, in a random direction: about twice what rounding to nearest does.
    The result is never below one unit of rounding of the state itself.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]`` whose steps are evaluated.
        key: random key of the errors.
    """
    inputs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), problem.inputs)
    state = jax.ShapeDtypeStruct((problem.size,), problem.dtype)
    program = jax.make_jaxpr(problem.advance)(state, inputs)

    def run(noisy: "_Noisy", previous: State, x: Tree) -> State:
        return noisy.run(program, jax.tree.leaves((previous, x)))[0]

    return _spread(problem, states, key, run)


def _spread(
    problem: Recurrence, states: Trajectory, key: Key[Array, ""], run: Callable[["_Noisy", State, Tree], State]
) -> Trajectory:
    """How far the results of every step move when it is run with errors."""

    def moved(previous: State, x: Tree, key: Array) -> tuple[State, State]:
        start = jnp.zeros((), problem.dtype)
        return jax.jvp(lambda size: run(_Noisy(key, size), previous, x), (start,), (jnp.ones_like(start),))

    def square(previous: State, x: Tree, key: Array) -> State:
        images, errors = jax.vmap(lambda key: moved(previous, x, key))(jax.random.split(key, DRAWS))
        unit = 0.5 * float(jnp.finfo(problem.dtype).eps)
        return jnp.maximum(jnp.sqrt(jnp.mean(errors**2, axis=0)), unit * jnp.abs(images[0]))

    keys = jax.random.split(key, problem.length)
    return jax.vmap(square)(problem.previous(states), problem.inputs, keys)


class _Noisy:
    """One run of a program in which every operation errs at random; knows how many have."""

    def __init__(self, key: Array, size: Array) -> None:
        self.key = key
        self.size = size
        self.count = 0

    def run(self, closed: ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
        """Results of a program."""
        return interpreted(closed, args, self._apply)

    def _apply(self, eqn: Any, operands: list[Any]) -> list[Any]:
        """Results of one operation with its error."""
        name = eqn.primitive.name
        inner = None if name in OPAQUE else eqn.params.get(INLINED.get(name, ""))
        if inner is not None:
            return self.run(as_closed(inner), operands)
        if name == "convert_element_type":
            return [self._converted(eqn, operands)]
        if name in EXACT:
            return bind(eqn, eqn.params, operands)
        if name in SUMS or name == "dot_general":
            # Each term errs, so that cancellation between terms leaves what they leave.
            operands = [self.err(operands[0], *_accuracy_of_sum(eqn)), *operands[1:]]
            return bind(eqn, eqn.params, operands)
        if name in OPAQUE:
            operands = [self.err(operand, UNITS_OF_PROGRAMS) for operand in operands]
        units = {True: UNITS_OF_PROGRAMS, False: UNITS_OF_COSTLY if name in COSTLY else 1.0}[name in OPAQUE]
        return [self.err(out, units) for out in bind(eqn, eqn.params, operands)]

    def _converted(self, eqn: Any, operands: list[Any]) -> Any:
        """A conversion, which rounds only where it narrows."""
        before, after = operands[0].dtype, eqn.outvars[0].aval.dtype
        out = bind(eqn, eqn.params, operands)[0]
        floating = jnp.issubdtype(before, jnp.inexact) and jnp.issubdtype(after, jnp.inexact)
        narrows = floating and float(jnp.finfo(after).eps) > float(jnp.finfo(before).eps)
        return self.err(out, 1.0) if narrows else out

    def err(self, value: Any, units: float, unit: float | None = None) -> Any:
        """The value with an error of so many units of rounding in a random direction."""
        value = jnp.asarray(value)
        if not jnp.issubdtype(value.dtype, jnp.inexact):
            return value
        self.count += 1
        sign = jax.random.rademacher(jax.random.fold_in(self.key, self.count), value.shape, value.real.dtype)
        scale = units * (0.5 * float(jnp.finfo(value.dtype).eps) if unit is None else unit)
        return value * (1 + (scale * sign * self.size).astype(value.real.dtype))


def _accuracy_of_sum(eqn: Any) -> tuple[float, float | None]:
    """Error of each term of a sum in units of rounding, and the unit where it is not that of the dtype.

    Partial sums grow like the root of their number, so do their errors in units of one term.
    """
    operand = eqn.invars[0].aval
    if eqn.primitive.name != "dot_general":
        axes = eqn.params.get("axes", (eqn.params.get("axis"),))
        terms = math.prod(operand.shape[axis] for axis in axes)
        return max(1.0, 0.5 * math.sqrt(terms)), None
    (contracted, _), _ = eqn.params["dimension_numbers"]
    terms = math.prod(operand.shape[axis] for axis in contracted)
    units, precision = max(1.0, 0.5 * math.sqrt(terms)), eqn.params.get("precision")
    passes = PRODUCTS_IN_PASSES.get(platform_of())
    if passes is None or operand.dtype != jnp.float32 or "HIGHEST" in str(precision).upper():
        return units, None
    return units, passes
