"""Row 1: the tanh network of the paper at g = 0.5, planned against sequential."""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size, Work, timed
from ..harness import assert_close

SIZES = ((3, 10**6), (16, 65536), (100, 32768))


def run(size: Size) -> Iterator[Case]:
    """Each size and dtype, then their geometric mean."""
    ratios = []
    for D, full in SIZES:
        for dtype in (jnp.float32, jnp.float64):
            T = size.length(full)
            w = workloads.tanh_rnn(D, T, dtype)
            seq = yardsticks.sequential(w.step, T)
            ours = jax.jit(lambda s0, xs, w=w: ps.scan(lambda s, x: (w.step(s, x),) * 2, s0, xs)[1])
            name = f"tanh RNN D={D} T={T} {jnp.dtype(dtype).name}"
            assert_close(ours(w.initial, w.inputs), seq(w.initial, w.inputs), 2048, name)
            # One tanh counts as ten operations.
            work = Work(T * (2 * D * D + 11 * D), 2 * T * D * jnp.dtype(dtype).itemsize)
            case = timed(
                1,
                name,
                "planned / seq",
                lambda ours=ours, w=w: ours(w.initial, w.inputs),
                lambda seq=seq, w=w: seq(w.initial, w.inputs),
                1.3,
                size,
                (work, dtype),
            )
            ratios.append(case.value)
            yield case
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    yield Case(1, "all six", "geometric mean", mean, min(ratios), max(ratios), 1.6, note="spread: least and most")
