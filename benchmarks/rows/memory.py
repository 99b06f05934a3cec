"""Row 7: peak memory of full Newton on blocks, against what published-style DEER needs (computed: it cannot run)."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size

COPIES = 2
"""Sets of (A, b) that an associative scan holds at least: its operands and the results of its first level."""


def run(size: Size) -> Iterator[Case]:
    """D = 100, T = 10^5 in float64, by the compiler's own count of temporaries and outputs."""
    D, T = (8, 400) if size.toy else (100, 10**5)
    w = workloads.tanh_rnn(D, T, jnp.float64)
    block = round(T**0.5)

    def solve(s0: jax.Array, xs: jax.Array) -> jax.Array:
        return ps.rollout(w.step, s0, xs, solver=ps.Blocks(ps.deer(), block)).states

    ours = _bytes(jax.jit(solve), w.initial, w.inputs)
    few = workloads.tanh_rnn(D, T // 50, jnp.float64)
    checked = _bytes(yardsticks.deer(few.step, few.length), few.initial, few.inputs) / few.length
    computed = COPIES * (D * D + D) * 8
    ratio = ours / (T * computed)
    note = (
        f"ours {ours / 1e6:.0f} MB; DEER {T * computed / 1e6:.0f} MB computed, and {T * checked / 1e6:.0f} MB by the "
        f"compiler's count at T={few.length}, scaled"
    )
    yield Case(
        7, f"full Newton D={D} T={T} float64", "peak / DEER's", ratio, ratio, ratio, 1 / 20, most=True, note=note
    )


def _bytes(program: object, *args: jax.Array) -> int:
    """Temporaries and outputs of a compiled program."""
    analysis = program.lower(*args).compile().memory_analysis()
    return analysis.temp_size_in_bytes + analysis.output_size_in_bytes
