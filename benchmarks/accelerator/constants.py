"""The constants of ``model``, as an accelerator shows them, and how a time is taken."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from parascan.programs.closure import close_over
from parascan.programs.kernels import RowKernel

REPEATS, LONG = 5, 1.0
"""Runs that a time is the median of, and seconds from which on one run is enough."""

Clock = Callable[[], float]


class Measured(NamedTuple):
    """One program beside the plain loop.

    Attributes:
        row: of the table of targets; 0 for the constants.
        system: what was evaluated.
        method: how.
        seconds: of a run.
        plain: seconds of the plain loop; None where there is none.
        note: what else is to be known.
    """

    row: int
    system: str
    method: str
    seconds: float
    plain: float | None
    note: str


def seconds_of(program: Callable[[], Any], clock: Clock) -> float:
    """Seconds of a run of a program that has been compiled."""
    times: list[float] = []
    while len(times) < REPEATS and sum(times) < LONG:
        start = clock()
        jax.block_until_ready(program())
        times.append(clock() - start)
    return float(np.median(times))


def constants(clock: Clock, scale: int = 1) -> Iterator[Measured]:
    """Seconds of a launch and of a read, bytes and operations in a second: those of ``model``."""
    steps, entries, width = 20_000 // scale, 2**26 // scale, max(8192 // scale, 64)

    def looped(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, steps, lambda i, x: jnp.sin(x), x)

    def awaited(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: x[0] < steps, lambda x: x + 1, x)

    rows = _row_in_kernel(max(steps // 16, 8), clock)
    yield Measured(
        0, "constants", "row", rows, None, "seconds, of a row of one kernel for all, a tanh network of 16 units"
    )
    matrix, vector, small = jnp.ones((width, width)), jnp.ones(entries), jnp.zeros(128)
    turn = _timed(looped, small, clock=clock) / steps
    # A turn of known number launches its body and its counter.
    yield Measured(0, "constants", "launch", turn / 2, None, "seconds, of two in a turn of a loop whose end is known")
    awaiting = _timed(awaited, small, clock=clock) / steps
    yield Measured(
        0, "constants", "read", awaiting - turn, None, "seconds beyond such a turn, where the host has to look"
    )
    copying = _timed(lambda x: x + 1, vector, clock=clock)
    yield Measured(0, "constants", "bandwidth", copying, None, f"{2 * vector.nbytes / copying:.3g} bytes in a second")
    multiplied = partial(jnp.matmul, precision="highest")
    multiplying = _timed(multiplied, matrix, matrix, clock=clock)
    rate = 2 * width**3 / multiplying
    yield Measured(0, "constants", "operations", multiplying, None, f"{rate:.3g} operations in a second")


def _row_in_kernel(steps: int, clock: Clock) -> float:
    """Seconds of a row inside of a kernel of so many rows."""
    carry, weights = jax.ShapeDtypeStruct((16,), jnp.float32), jnp.eye(16, dtype=jnp.float32) / 2
    step = close_over(lambda s, x: (jnp.tanh(weights @ s + x), ()), carry, carry)

    def run(states: jax.Array, xs: jax.Array) -> jax.Array:
        kernel, which = RowKernel(step, carry, carry), jnp.arange(16)
        return kernel.run(states, xs, which, (jnp.int32(0), jnp.int32(steps))).states

    given = jnp.zeros((16, 16), jnp.float32), jnp.ones((16, steps, 16), jnp.float32)
    return _timed(run, *given, clock=clock) / steps


def _timed(function: Callable[..., Any], *args: Any, clock: Clock) -> float:
    """Seconds of a compiled function."""
    run = jax.jit(function)
    jax.block_until_ready(run(*args))
    return seconds_of(partial(run, *args), clock)
