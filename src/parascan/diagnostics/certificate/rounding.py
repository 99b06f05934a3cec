"""How far rounding moves the result of a step: its size at random, and its value with the sign where that is known.

A step's program is run with a random error in every operation, and the effect on the step's result is found by
forward differentiation. So the numbers account for cancellation inside the step and for the precision of each
operation, without any arithmetic of higher precision. It is run once more with the exact errors of its operations.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array, Key

from ...problem.flat_recurrence import Recurrence
from ...programs.measured_rounding import Measured, measured
from ...programs.noisy import UNITS_OF_PROGRAMS, Noisy
from ...programs.shapes import row_of
from ...programs.unknown import unknown_is
from ...solution import State, Trajectory, Tree

DRAWS = 4
"""Number of runs with random errors, over which the root mean square is taken."""


def _as_a_whole(problem: Recurrence, states: Trajectory, key: Key[Array, ""]) -> Trajectory:
    """Root mean square by random errors in state, inputs and result alone, where operations are not understood."""

    def run(noisy: Noisy, previous: State, x: Tree) -> State:
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
    program = _program(problem)

    def run(noisy: Noisy, previous: State, x: Tree) -> State:
        return noisy.run(program, jax.tree.leaves((previous, x)))[0]

    return _spread(problem, states, key, run)


def _spread(
    problem: Recurrence, states: Trajectory, key: Key[Array, ""], run: Callable[[Noisy, State, Tree], State]
) -> Trajectory:
    """How far the results of every step move when it is run with errors."""

    def moved(previous: State, x: Tree, key: Array) -> tuple[State, State]:
        start = jnp.zeros((), problem.dtype)
        return jax.jvp(lambda size: run(Noisy(key, size), previous, x), (start,), (jnp.ones_like(start),))

    def square(previous: State, x: Tree, key: Array) -> State:
        predictions, errors = jax.vmap(lambda key: moved(previous, x, key))(jax.random.split(key, DRAWS))
        unit = 0.5 * float(jnp.finfo(problem.dtype).eps)
        return jnp.maximum(jnp.sqrt(jnp.mean(errors**2, axis=0)), unit * jnp.abs(predictions[0]))

    keys = jax.random.split(key, problem.length)
    return jax.vmap(square)(problem.previous(states), problem.inputs, keys)


def _without_errors(problem: Recurrence, states: Trajectory) -> tuple[Trajectory, Trajectory]:
    """Results with errors of zero, where the program of the step is not understood."""
    return problem.predictions(states), jnp.zeros_like(states)


@unknown_is(_without_errors)
def images_with_errors(problem: Recurrence, states: Trajectory) -> tuple[Trajectory, Trajectory]:
    """Every step's result and its distance to the exact one, to first order and with its sign, ``[T D]`` each.

    Errors that keep their sign add up: a clock ``s + 0.1`` loses the same part of 0.1 at every step, so that its error
    grows like the number of steps, not like its root.

    Args:
        problem: the recurrence.
        states: trajectory ``[T D]`` whose steps are evaluated.
    """
    program = _program(problem)

    def one(previous: State, x: Tree) -> tuple[State, State]:
        leaves = [Measured(leaf, None) for leaf in jax.tree.leaves((previous, x))]
        value, error = measured(program, leaves)[0]
        return value, jnp.zeros_like(value) if error is None else error

    return jax.vmap(one)(problem.previous(states), problem.inputs)


def _program(problem: Recurrence) -> ClosedJaxpr:
    """The program of a step, of a flat state and the leaves of its inputs."""
    inputs = row_of(problem.inputs)
    return jax.make_jaxpr(problem.advance)(jax.ShapeDtypeStruct((problem.size,), problem.dtype), inputs)
