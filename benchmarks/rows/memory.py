"""Row 7: peak memory of full Newton on blocks, against what published-style DEER needs (computed: it cannot run)."""

import resource
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size
from ..harness import assert_close

COPIES = 2
"""Sets of (A, b) that an associative scan holds at least: its operands and the results of its first level."""


def run(size: Size) -> Iterator[Case]:
    """D = 100, T = 10^5 in float64: the larger of the compiler's count and what the process grows by in a run."""
    D, T = (8, 400) if size.toy else (100, 10**5)
    w = workloads.tanh_rnn(D, T, jnp.float64)
    block = round(T**0.5)

    def solve(s0: jax.Array, xs: jax.Array) -> jax.Array:
        return ps.rollout(w.step, s0, xs, solver=ps.MultipleShooting(ps.deer(), block)).states

    compiled = jax.jit(solve).lower(w.initial, w.inputs).compile()
    before = _resident()
    states = jax.block_until_ready(compiled(w.initial, w.inputs))
    grown = _resident() - before
    name = f"full Newton D={D} T={T} float64"
    assert_close(states, yardsticks.sequential(w.step, T)(w.initial, w.inputs), 2**14, name)
    counted = _bytes(compiled)
    ours = max(counted, grown)
    few = workloads.tanh_rnn(D, T // 50, jnp.float64)
    deer = yardsticks.deer(few.step, few.length)
    start = yardsticks.guess(few.initial, few.length)
    compiled_deer = deer.lower(few.initial, few.inputs, start).compile()
    checked = _bytes(compiled_deer) / few.length
    computed = COPIES * (D * D + D) * 8
    ratio = ours / (T * computed)
    note = (
        f"ours {counted / 1e6:.0f} MB counted, {grown / 1e6:.0f} MB resident; "
        f"DEER {T * computed / 1e6:.0f} MB computed, and {T * checked / 1e6:.0f} MB by the compiler's count "
        f"at T={few.length}, scaled"
    )
    yield Case(7, name, "peak / DEER's", ratio, ratio, ratio, 1 / 20, most=True, note=note)


def _resident() -> int:
    """Most bytes that the process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _bytes(program: Any) -> int:
    """Temporaries and outputs of a compiled program."""
    analysis = program.memory_analysis()
    return analysis.temp_size_in_bytes + analysis.output_size_in_bytes
