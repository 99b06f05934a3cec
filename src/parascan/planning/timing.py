"""Seconds of a compiled program: the least of a few runs, which is what the machine can do undisturbed."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

FEWEST_RUNS = 5
"""Runs of every program."""

LEAST_SECONDS = 0.01
"""Seconds that the runs of a program take together, at least."""


def seconds_of(program: Callable[..., Any], *args: Any) -> float:
    """Seconds of one call, compiled and warmed up before.

    Args:
        program: a traceable function.
        args: its arguments, trees whose arrays are traced.
    """
    compiled = eqx.filter_jit(program)
    jax.block_until_ready(compiled(*args))
    best, spent, runs = float("inf"), 0.0, 0
    while runs < FEWEST_RUNS or spent < LEAST_SECONDS:
        start = time.perf_counter()
        jax.block_until_ready(compiled(*args))
        took = time.perf_counter() - start
        best, spent, runs = min(best, took), spent + took, runs + 1
    return best
