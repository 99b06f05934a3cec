"""Seconds of a compiled program: the least of a few runs, which is what the machine can do undisturbed."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

FEWEST_RUNS = 5
"""Least number of timed runs of a program."""

LEAST_SECONDS = 0.01
"""Seconds that the runs of a program take together, at least."""


def seconds_of(program: Callable[..., Any], *args: Any) -> float:
    """Seconds of one call, compiled and warmed up before.

    Args:
        program: a traceable function.
        args: its arguments, trees whose arrays are traced.
    """
    arrays, rest = eqx.partition(args, eqx.is_array)
    leaves, structure = jax.tree.flatten(arrays)

    def of_leaves(*leaves: Array) -> Any:
        return eqx.filter(program(*eqx.combine(jax.tree.unflatten(structure, leaves), rest)), eqx.is_array)

    # Leaves alone, as a call of a user's has few of them: taking a tree apart costs as much as a thousand small steps.
    compiled = jax.jit(of_leaves)
    jax.block_until_ready(compiled(*leaves))
    best, spent, runs = float("inf"), 0.0, 0
    while runs < FEWEST_RUNS or spent < LEAST_SECONDS:
        start = time.perf_counter()
        jax.block_until_ready(compiled(*leaves))
        took = time.perf_counter() - start
        best, spent, runs = min(best, took), spent + took, runs + 1
    return best


def seconds_of_call(dtype: Any = float) -> float:
    """Seconds of a compiled call that computes nothing.

    Args:
        dtype: of its only number.
    """
    return seconds_of(lambda number: number + 1, jnp.zeros((), dtype))
