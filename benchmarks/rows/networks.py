"""Row 1: the tanh network of the paper at g = 0.5, planned against sequential."""

import math
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size, Work, planned
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
            plain = yardsticks.unrolled(w.step, T, w.initial, w.inputs)
            mine = partial(ours, w.initial, w.inputs)
            found = list(planned(1, name, mine, plain, 1.3, size, (work, dtype)))
            ratios.append(found[0].value)
            yield from found
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    yield Case(1, "all six", "geometric mean", mean, min(ratios), max(ratios), 1.6, note="spread: least and most")
