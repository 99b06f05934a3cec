"""Row 11: time to trace and compile, against published-style DEER."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size


def run(size: Size) -> Iterator[Case]:
    """The default scan and one Newton step, for a network of 16 units."""
    T = size.length(65536)
    w = workloads.tanh_rnn(16, T, jnp.float32)
    args = (w.initial, w.inputs)
    start_states = yardsticks.guess(w.initial, T)
    programs: dict[str, Callable[[Any], Callable[..., Any]]] = {
        "DEER": lambda step: yardsticks.deer(step, T),
        "scan, default": lambda step: lambda s0, xs: ps.scan(lambda s, x: (step(s, x),) * 2, s0, xs),
        "one Newton step": lambda step: (
            lambda s0, xs: ps.rollout(step, s0, xs, solver=ps.deer(), max_iterations=1, throw=False).states
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    # The first turn is not counted: it also pays for what a process compiles only once.
    for turn in range(1 + size.rounds):
        for name, build in list(programs.items())[:: 1 if turn % 2 else -1]:
            # A new function each time, so that nothing is found in a cache.
            program = jax.jit(build(lambda s, x: w.step(s, x)))
            start = time.perf_counter()
            program.lower(*args, *([start_states] if name == "DEER" else [])).compile()
            if turn:
                times[name].append(time.perf_counter() - start)
    for name in list(programs)[1:]:
        ratios = np.asarray(times[name]) / np.asarray(times["DEER"])
        low, median, high = (float(q) for q in np.percentile(ratios, [25, 50, 75]))
        yield Case(11, f"{name} D=16 T={T}", "compile time / DEER's", median, low, high, 1.5, most=True)
