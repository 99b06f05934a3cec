"""Row 2: the nine observers: block Newton against published-style DEER, and planned against sequential."""

from collections.abc import Iterator
from functools import partial

import jax

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size, Work, timed
from ..harness import assert_close

LENGTH = 30000
BLOCK = 240
"""Steps of a block, half of them run from the guess for a better first boundary: 125 blocks."""


def run(size: Size) -> Iterator[Case]:
    """Two cases for each observer."""
    names = [name for name in ps.systems.names() if name.endswith("_observer")]
    for name in names[:2] if size.toy else names:
        T = size.length(LENGTH)
        w = workloads.observer(name, T)
        seq, deer = yardsticks.sequential(w.step, T), yardsticks.deer(w.step, T)
        block = min(BLOCK, T // 4)
        newton = jax.jit(lambda s0, xs, w=w, block=block: _newton(w.step, s0, xs, block))
        planned = jax.jit(lambda s0, xs, w=w: ps.scan(lambda s, x: (w.step(s, x),) * 2, s0, xs)[1])
        args = (w.initial, w.inputs)
        expected = seq(*args)
        states, iterations = newton(*args)
        label = f"{name} T={T}"
        # The observer forgets: rounding does not grow, but stiff ones amplify it at first.
        assert_close(states, expected, 2**20, label)
        assert_close(planned(*args), expected, 2**14, label)
        start = yardsticks.guess(w.initial, T)
        answer, theirs = deer(*args, start)
        # A yardstick without an answer measures nothing. Its merit bounds residuals, so its error may be larger.
        assert_close(answer, expected, 2**43, f"DEER on {label}")
        D = w.initial.size
        # Some fifty operations evaluate a flow of three coordinates and its Euler step.
        work = (Work(50 * T, 2 * T * D * 8), states.dtype)
        note = f"B={block}; {int(iterations)} iterations, DEER {int(theirs)}"
        ours, plain = (lambda p=p, args=args: p(*args) for p in (newton, seq))
        yard = partial(deer, *args, start)
        yield timed(2, label, "block Newton / DEER", ours, yard, 8.0, size, work, note)
        yield timed(2, label, "planned / seq", lambda p=planned, args=args: p(*args), plain, 0.95, size, work)


def _newton(step: object, s0: jax.Array, xs: jax.Array, block: int) -> tuple[jax.Array, jax.Array]:
    """States and iterations of Newton on blocks."""
    solution = ps.rollout(step, s0, xs, solver=ps.Blocks(ps.deer(), block, block // 2))
    return solution.states, solution.stats.iterations
