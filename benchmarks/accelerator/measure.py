"""`python -m benchmarks.accelerator.measure`: what is to be known of an accelerator, within 8 minutes.

Answers are compared first; then the default and the solvers are timed against the plain loop and published DEER. The
constants of ``model`` are measured too. What no longer fits into the time is left out, and named. It needs JAX, equinox
and optax alone.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr

import parascan as ps
from parascan.planning import compiling_for

from .. import machine, workloads, yardsticks
from ..harness import assert_close
from ..workloads import Workload
from .cases import SOLVERS, gru
from .constants import Clock, Measured, constants, seconds_of

SECONDS = 420.0
"""Time after which no further case is begun; with the last one it is less than 8 minutes."""

WITHOUT_KERNELS = "default without kernels"
"""The default with rows that are launched in turns, beside the kernels that it takes on a GPU."""

TOY = 128
"""By how much lengths are divided at toy size."""


class Task(NamedTuple):
    """Something to be measured, by name."""

    name: str
    run: Callable[[Clock], Iterator[Measured]]


def of_system(
    row: int, name: str, w: Workload, solvers: Sequence[str], units: float, clock: Clock, *, slope: bool = False
) -> Iterator[Measured]:
    """The default and solvers beside the plain loop; answers first.

    Args:
        row: of the table of targets.
        name: of the system.
        w: it.
        solvers: names from ``SOLVERS``, and "published DEER".
        units: of rounding of the largest entry within which answers must agree; solvers stop by a tolerance of theirs.
        clock: seconds.
        slope: whether the gradient with respect to the initial state is measured as well, of the default.
    """

    def step(s: Any, x: Any) -> Any:
        return (w.step(s, x),) * 2

    def states(scan: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        return jax.jit(lambda s0, xs: scan(step, s0, xs, w.length, **options)[1])

    def gradient(scan: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(jax.grad(lambda s0, xs: jnp.mean(scan(step, s0, xs, w.length)[1] ** 2)))

    args = (w.initial, w.inputs)
    plain = states(jax.lax.scan)
    expected = plain(*args)
    slowest = seconds_of(partial(plain, *args), clock)
    yield Measured(row, name, "jax.lax.scan", slowest, slowest, "")
    for method in ("default", *solvers):
        if method == "published DEER":
            published = yardsticks.deer(w.step, w.length)
            run = partial(published, *args, yardsticks.guess(w.initial, w.length))
            found, iterations = run()
            note = f"{int(iterations)} iterations"
        else:
            solver = SOLVERS.get(method)
            run, note = partial(states(ps.scan, solver=solver), *args), ""
            # There are no kernels in what is traced for another time or place.
            with compiling_for("gpu") if method == WITHOUT_KERNELS else contextlib.nullcontext():
                found = run()
        # Both kinds of Newton stop by a tolerance, which for the published rule is one of the merit.
        error = assert_close(
            found, expected, units if method in ("default", WITHOUT_KERNELS) else 2**16 * units, f"{name}: {method}"
        )
        yield Measured(row, name, method, seconds_of(run, clock), slowest, f"{note} error {error:.1e}".strip())
    if slope:
        ours, theirs = (partial(gradient(scan), *args) for scan in (ps.scan, jax.lax.scan))
        assert_close(ours(), theirs(), units, f"{name}: gradient")
        plain_seconds = seconds_of(theirs, clock)
        yield Measured(row, name, "default, gradient", seconds_of(ours, clock), plain_seconds, "")


def linear(kind: str, size: int, length: int, clock: Clock) -> Iterator[Measured]:
    """A linear recurrence alone, beside the tree."""
    shape = (length, size, size) if kind == "dense" else (length, size)
    A = 0.9 * jr.uniform(jr.key(0), shape, jnp.float32, -1, 1) / (size if kind == "dense" else 1)
    b = jr.normal(jr.key(1), (length, size), jnp.float32)
    ours, tree = jax.jit(ps.linear_recurrence), jax.jit(yardsticks.associative)
    assert_close(ours(A, b), tree(A, b), 4096, f"{kind} D={size}")
    beside = seconds_of(partial(tree, A, b), clock)
    found = seconds_of(partial(ours, A, b), clock)
    yield Measured(8, f"linear recurrence, {kind} D={size}, T={length}", "ours", found, beside, "beside the tree")


def exponent(length: int, clock: Clock) -> Iterator[Measured]:
    """The largest exponent of the Lorenz flow, beside Jacobians with QR."""
    w = workloads.lorenz(length)

    @jax.jit
    def ours(s0: jax.Array) -> tuple[jax.Array, jax.Array]:
        given = ps.lyapunov_exponents(w.step, s0, length=length, key=jr.key(1), directions=1, warm_up=0)
        return given.per_step, given.estimate.high - given.per_step

    theirs = yardsticks.exponent(w.step, length, jnp.ones(3))
    (value, width), other = map(float, ours(w.initial)), float(theirs(w.initial))
    # On a chaotic orbit other roundings are another orbit: the numbers agree within what is sure.
    if not abs(other - value) <= 3 * width:
        raise AssertionError(f"Lorenz exponent: given {value} +- {width}, expected {other}")
    beside = seconds_of(partial(theirs, w.initial), clock)
    found = seconds_of(partial(ours, w.initial), clock)
    yield Measured(9, f"Lorenz exponent, T={length}", "ours", found, beside, "beside Jacobians with QR")


def tasks(scale: int = 1) -> list[Task]:
    """All that is measured, what matters most first.

    Args:
        scale: by which lengths are divided.
    """
    f32, found = jnp.float32, [Task("constants", lambda clock: constants(clock, scale))]

    def add(
        row: int, name: str, load: Callable[[int], Workload], full: int, *solvers: str, slope: bool = False
    ) -> None:
        length = full // scale
        label = f"{name}, T={length}"
        run = partial(_loaded, row, label, load, length, solvers, slope)
        found.append(Task(label, run))

    newton = (WITHOUT_KERNELS, "ps.deer()", "published DEER")
    add(4, "GRU(64)", gru, 17_984, *newton, slope=True)
    add(
        1, "tanh network D=16", lambda T: workloads.tanh_rnn(16, T, f32), 65_536, *newton, "ps.quasi_deer()", slope=True
    )
    add(2, "Lorenz observer, float64", partial(workloads.observer, "lorenz_observer"), 30_000, *newton)
    found.extend(
        Task(f"linear recurrence, {kind} D={size}", partial(linear, kind, size, 65_536 // scale))
        for kind, size in (("dense", 4), ("dense", 16), ("dense", 64), ("diagonal", 64))
    )
    add(5, "two-well Langevin, float64", workloads.langevin, 100_000)
    for gain in (0.5, 0.8, 1.0):
        # Figure 6 of the paper: Newton's iterations against the plain loop as the gain grows.
        load = partial(_network, gain)
        add(0, f"figure 6, g={gain}", load, 10_000, "ps.deer()", "ps.quasi_deer()")
    found.append(Task("Lorenz exponent", partial(exponent, 500_000 // scale)))
    add(1, "tanh network D=3", lambda T: workloads.tanh_rnn(3, T, f32), 100_000)
    add(1, "tanh network D=100", lambda T: workloads.tanh_rnn(100, T, f32), 32_768)
    return found


def _network(gain: float, length: int) -> Workload:
    """The network of figure 6."""
    return workloads.tanh_rnn(100, length, jnp.float32, gain)


def _loaded(
    row: int, name: str, load: Callable[[int], Workload], length: int, solvers: Sequence[str], slope: bool, clock: Clock
) -> Iterator[Measured]:
    """``of_system`` of a system that is made when its turn comes."""
    return of_system(row, name, load(length), solvers, 2**14, clock, slope=slope)


def run_all(
    wanted: Sequence[Task], seconds: float, clock: Clock = time.perf_counter
) -> tuple[list[Measured], list[str]]:
    """What was measured, and the names of what was left out: what would end too late if it took as long as the longest.

    Args:
        wanted: what to measure, in order.
        seconds: time for all.
        clock: seconds.
    """
    begin, longest = clock(), 0.0
    found: list[Measured] = []
    left: list[str] = []
    for task in wanted:
        start = clock()
        if start + longest > begin + seconds:
            left.append(task.name)
            continue
        for each in task.run(clock):
            found.append(each)
            print(line(each), flush=True)
        longest = max(longest, clock() - start)
    return found, left


def line(each: Measured) -> str:
    """A row of the table."""
    ratio = "" if each.plain is None else f"{each.plain / each.seconds:.3g}"
    return f"| {each.row} | {each.system} | {each.method} | {each.seconds:.3g} | {ratio} | {each.note} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="short sequences, to see that everything runs")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time after which no further case is begun")
    parser.add_argument("--out", type=Path, help="file for the results; one named after the device when left out")
    options = parser.parse_args(arguments)
    jax.config.update("jax_enable_x64", True)
    print("| row | system | method | seconds (measured) | ratio to the plain loop | |\n|---|---|---|---|---|---|")
    found, left = run_all(tasks(TOY if options.toy else 1), options.seconds)
    for name in left:
        print(f"left out, for lack of time: {name}")
    out = options.out or Path(__file__).resolve().parents[1] / "results" / f"{machine.slug()}-accelerator.json"
    record = {"machine": machine.describe(), "measured": [each._asdict() for each in found], "left_out": left}
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
