"""Row 5: the two-well Langevin chain, planned against sequential."""

from collections.abc import Iterator

import jax

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size, Work, planned
from ..harness import assert_close


def run(size: Size) -> Iterator[Case]:
    """One case."""
    T = size.length(10**5)
    w = workloads.langevin(T)
    seq = yardsticks.sequential(w.step, T)
    ours = jax.jit(lambda s0, xs: ps.scan(lambda s, x: (w.step(s, x),) * 2, s0, xs)[1])
    args = (w.initial, w.inputs)
    assert_close(ours(*args), seq(*args), 2**14, "langevin")
    work = (Work(20 * T, 4 * T * 8), w.initial.dtype)
    plain = yardsticks.unrolled(w.step, T, *args)
    yield from planned(5, f"two-well Langevin T={T}", lambda: ours(*args), plain, 1.0, size, work, goal=1.5)
