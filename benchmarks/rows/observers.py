"""Row 2: the nine observers: block Newton against published-style DEER, and planned against sequential."""

import math
from collections.abc import Iterator
from functools import partial

import jax

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size, Work, planned, timed
from ..harness import assert_close, compare

LENGTH = 30000


def run(size: Size) -> Iterator[Case]:
    """Two cases for each observer."""
    ratios = []
    names = [name for name in ps.systems.names() if name.endswith("_observer")]
    for name in names[:2] if size.toy else names:
        T = size.length(LENGTH)
        w = workloads.observer(name, T)
        seq, deer = yardsticks.sequential(w.step, T), yardsticks.deer(w.step, T)
        solver = ps.MultipleShooting.fitting(ps.deer(), T, workloads.exponent_of_observer(name))
        newton = jax.jit(lambda s0, xs, w=w, solver=solver: _newton(w.step, s0, xs, solver))
        default = jax.jit(lambda s0, xs, w=w: ps.scan(lambda s, x: (w.step(s, x),) * 2, s0, xs)[1])
        args = (w.initial, w.inputs)
        expected = seq(*args)
        states, iterations = newton(*args)
        label = f"{name} T={T}"
        # The observer forgets: rounding does not grow, but stiff ones amplify it at first.
        assert_close(default(*args), expected, 2**14, label)
        start = yardsticks.guess(w.initial, T)
        answer, theirs = deer(*args, start)
        # Both stop by the same merit, which bounds residuals: errors may be larger.
        errors = [assert_close(given, expected, 2**43, label) for given in (states, answer)]
        D = w.initial.size
        # Some fifty operations evaluate a flow of three coordinates and its Euler step.
        work = (Work(50 * T, 2 * T * D * 8), states.dtype)
        ours, plain = (lambda p=p, args=args: p(*args) for p in (newton, seq))
        yard = partial(deer, *args, start)
        beaten = compare(plain, yard, size.rounds).median
        note = (
            f"B={solver.length}; {int(iterations)} iterations, DEER {int(theirs)}; "
            f"errors {errors[0]:.0e}, {errors[1]:.0e}; seq itself is {beaten:.1f} times as fast as DEER"
        )
        yield timed(2, label, "block Newton / DEER", ours, yard, 8.0, size, work, note)
        loops = yardsticks.unrolled(w.step, T, *args)
        found = list(planned(2, label, lambda p=default, args=args: p(*args), loops, 0.95, size, work, goal=0.97))
        ratios.append(found[-1].value)
        yield from found
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    note = "spread: least and most"
    yield Case(2, "all observers, planned / best seq", "geometric mean", mean, min(ratios), max(ratios), 1.5, note=note)


def _newton(step: object, s0: jax.Array, xs: jax.Array, solver: ps.MultipleShooting) -> tuple[jax.Array, jax.Array]:
    """States and iterations of Newton on blocks, by the yardstick's rule of when to stop."""
    solution = ps.rollout(step, s0, xs, solver=solver, criterion=ps.Merit(yardsticks.TOLERANCE))
    return solution.states, solution.stats.iterations
