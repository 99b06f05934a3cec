"""Row 6: the chaotic Lorenz flow, where the plan must be sequential."""

from collections.abc import Iterator

import jax

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size, Work, planned
from ..harness import assert_close


def run(size: Size) -> Iterator[Case]:
    """The row's length, and longer ones at which the system has to be tried."""
    for full in (30000,) if size.toy else (10**4, 30000, 10**6):
        T = size.length(full)
        w = workloads.lorenz(T)
        seq = yardsticks.sequential(w.step, T)
        ours = jax.jit(lambda s0, w=w, T=T: ps.scan(lambda s, x: (w.step(s, x),) * 2, s0, length=T)[1])
        # Chaos doubles rounding every ten steps or so, unless the operations are the very same ones.
        assert_close(ours(w.initial)[:100], seq(w.initial, None)[:100], 2**10, "lorenz")
        plain = yardsticks.unrolled(w.step, T, w.initial, None)
        work = (Work(20 * T, 3 * T * 8), w.initial.dtype)
        yield from planned(6, f"Lorenz T={T}", lambda ours=ours, w=w: ours(w.initial), plain, 0.95, size, work)
