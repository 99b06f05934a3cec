"""The programs whose launches are counted: systems of the benchmarks, each run by several methods."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr

import parascan as ps
from parascan.planning import compiling_for
from parascan.programs.closure import close_over
from parascan.programs.kernels import RowKernel, kernel_of

from .. import workloads, yardsticks
from ..workloads import Workload
from .model import Rows

TURN = 8
"""Rows that the default takes in one turn of its loops on an accelerator."""

UNROLL = 8
"""Steps in a turn of the unrolled plain loop."""


class Case(NamedTuple):
    """A program to be compiled.

    Attributes:
        row: of the table of targets.
        system: what is evaluated.
        method: how.
        run: the function.
        args: its arguments.
        turns: of loops whose end the compiler does not know, by the end of their name, as an execution on a CPU showed.
        avoided: turns of the loop that is not begun where there is a branch; None where it is.
        note: what the execution showed.
        rows: that run inside of kernels.
    """

    row: int
    system: str
    method: str
    run: Callable[..., Any]
    args: tuple[Any, ...]
    turns: Mapping[str, float]
    avoided: int | None
    note: str
    rows: Rows = Rows()


SOLVERS = {
    "ps.deer()": ps.deer(),
    "ps.quasi_deer()": ps.quasi_deer(),
    "ps.picard()": ps.picard(),
    "ps.jacobi()": ps.jacobi(),
    "ps.elk()": ps.elk(),
    "ps.quasi_elk()": ps.quasi_elk(),
    "ps.scale_elk(0.1)": ps.scale_elk(0.1),
    "MultipleShooting(deer(), 64)": ps.MultipleShooting(ps.deer(), 64),
    "Hybrid(quasi_deer(), deer())": ps.Hybrid(ps.quasi_deer(), ps.deer()),
    "WithFallback(deer())": ps.WithFallback(ps.deer()),
}
"""Iterative solvers, by what is written to get them."""

MOST_ITERATIONS = 200
"""Iterations after which a solver is ended: those that need so many are slower than the plain loop in any case."""


def gru(length: int) -> Workload:
    """A GRU of 64 units with six inputs."""
    cell = workloads.gru()
    xs = jr.normal(jr.key(2), (length, 6), jnp.float32)
    return Workload(lambda s, x: cell(x, s), jnp.zeros(64, jnp.float32), xs, length)


def cases(scale: int = 1, named: str = "") -> Iterator[Case]:
    """All programs; each is executed on a CPU first, where a loop's turns depend on the data.

    Args:
        scale: by which every sequence is shortened, to see that everything runs.
        named: part of the names of the systems that are wanted.
    """
    f32 = jnp.float32
    for row, name, load, full, solvers in (
        (4, "GRU(64), float32", gru, 17_984, ["ps.deer()"]),
        (1, "tanh network D=3, float32", lambda T: workloads.tanh_rnn(3, T, f32), 10**6, ["ps.deer()"]),
        (1, "tanh network D=16, float32", lambda T: workloads.tanh_rnn(16, T, f32), 65_536, list(SOLVERS)),
        (1, "tanh network D=100, float32", lambda T: workloads.tanh_rnn(100, T, f32), 32_768, []),
        (2, "Lorenz observer, float64", partial(workloads.observer, "lorenz_observer"), 30_000, ["ps.deer()"]),
        (5, "two-well Langevin, float64", workloads.langevin, 100_000, ["ps.deer()"]),
        (6, "Lorenz, float64", workloads.lorenz, 30_000, []),
    ):
        T = full // scale
        if named in name:
            yield from of_system(row, f"{name}, T={T}", load(T), solvers)
    if named in "linear recurrence":
        yield from linear(65_536 // scale)


def of_system(row: int, name: str, w: Workload, solvers: list[str]) -> Iterator[Case]:
    """The plain loop, the default, published DEER, and solvers, on one system."""
    args = (w.initial, w.inputs)

    def step(s: Any, x: Any) -> Any:
        return (w.step(s, x),) * 2

    def plain(s0: Any, xs: Any, unroll: int = 1) -> Any:
        return jax.lax.scan(step, s0, xs, w.length, unroll=unroll)[1]

    def ours(s0: Any, xs: Any, solver: Any = None) -> Any:
        return ps.scan(step, s0, xs, w.length, solver=solver)[1]

    yield Case(row, name, "jax.lax.scan", plain, args, {}, None, "")
    yield Case(row, name, f"jax.lax.scan(unroll={UNROLL})", partial(plain, unroll=UNROLL), args, {}, None, "")
    yield Case(row, name, "default", ours, args, *default_turns(step, w))
    for solver in solvers:
        options = {"solver": SOLVERS[solver], "throw": False, "max_iterations": MOST_ITERATIONS}
        found = ps.rollout(step, *args, w.length, **options)
        iterations = int(found.stats.iterations)
        note = f"{iterations} iterations" + ("" if found.result == ps.Result.successful else ", not converged")
        turns = {"iterations/while": iterations + 1}
        yield Case(row, name, solver, partial(ours, solver=SOLVERS[solver]), args, turns, w.length, note)
        if solver == "ps.deer()":
            published = yardsticks.deer(w.step, w.length)
            start = jax.ShapeDtypeStruct((w.length, *w.initial.shape), w.initial.dtype)
            yield Case(row, name, "published DEER", published, (*args, start), {"while": iterations}, None, note)


def default_turns(step: Any, w: Workload) -> tuple[dict[str, float], int | None, str, Rows]:
    """Turns of the default's loops, the loop that is not begun, what happened, and the rows inside of kernels."""
    kernel = _kernel(step, w)
    with compiling_for("cuda"):
        stats = ps.rollout(step, w.initial, w.inputs, w.length).stats
        chunks, warm_up = int(stats.chunks), int(stats.warm_up)
        if chunks == 0:
            given_up = {
                "warm_up/while": warm_up / TURN,
                "runs/while/body/while": 0,
                "runs/while": 0,
                "one_by_one/while": 0,
            }
            rows = Rows() if kernel is None or not warm_up else Rows(warm_up + w.length, kernel.operations)
            return given_up, None, f"given up after {warm_up} rows" if warm_up else "not cut", rows
    block = w.length // chunks // TURN * TURN
    # The copies met before the warm-up ended: it is longer by one in eight rows and by the compared ones.
    met = next(row for row in range(TURN, block, TURN) if row + TURN * -(row // -(TURN * TURN)) + TURN >= warm_up)
    turns = {
        "warm_up/while": met / TURN,
        "runs/while/body/while": (block - met + warm_up) / TURN / 2,
        "runs/while": 2,
        "one_by_one/while": 0,
    }
    note = f"{chunks} chunks of {block}, warm-up {warm_up}"
    if kernel is None:
        return turns, w.length, note, Rows()
    turns["runs/while"] = 1
    return turns, None, note, Rows(block + warm_up + w.length - chunks * block, kernel.operations)


def _kernel(step: Any, w: Workload) -> RowKernel | None:
    """The step as a kernel, where the default runs it as one."""
    x = (
        None
        if w.inputs is None
        else jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), w.inputs)
    )
    found: list[RowKernel | str] = []
    jax.eval_shape(lambda: found.append(kernel_of(close_over(step, w.initial, x), w.initial, x, w.length)))
    return found[0] if isinstance(found[0], RowKernel) else None


def linear(length: int) -> Iterator[Case]:
    """Linear recurrences alone."""
    for kind, size in (("dense", 4), ("dense", 16), ("dense", 64), ("diagonal", 64)):
        shape = (length, size, size) if kind == "dense" else (length, size)
        args = (jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct((length, size), jnp.float32))
        name = f"linear recurrence, {kind} D={size}, float32, T={length}"
        yield Case(8, name, "jax.lax.scan", _one_by_one, args, {}, None, "")
        yield Case(8, name, "associative_scan", yardsticks.associative, args, {}, None, "")
        yield Case(8, name, "ps.linear_recurrence", ps.linear_recurrence, args, {}, None, "")


def _one_by_one(A: jax.Array, b: jax.Array) -> jax.Array:
    """``s_t = A_t s_{t-1} + b_t`` from zero by the plain loop."""

    def step(s: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        s = (row[0] @ s if A.ndim == 3 else row[0] * s) + row[1]
        return s, s

    return jax.lax.scan(step, jnp.zeros_like(b[0]), (A, b))[1]
