"""`python -m benchmarks.regret`: what the default loses here when it decides by the record of another machine.

The record decides how many chunks are run and whether any are. For each record and call the program that the default
then makes is timed on this machine, in turns with the one that it makes by this machine's own record.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import typer
from rich.console import Console

import parascan as ps
from parascan.programs import built_in

from . import machine
from .documents import put_between
from .grid import DOCUMENT, Point, network
from .harness import compare
from .rows.small import kalman, leaky, tanh

BEGIN, END = "<!-- regret: begin -->", "<!-- regret: end -->"
ROUNDS = 5

RECORDS: Mapping[str, Mapping[str, Any]] = {
    "AVX2, 32 KiB near, 32 MiB far (built in)": {},
    "SSE, 32 KiB near, 4 MiB far": {"vector_bytes": 16, "far_bytes": 2**22},
    "AVX-512, 48 KiB near, 48 MiB far": {
        "vector_bytes": 64, "near_bytes": 48 * 2**10, "near_ways": 12, "far_bytes": 48 * 2**20
    },
    "128 bit, 128 KiB near, 16 MiB far": {"vector_bytes": 16, "near_bytes": 2**17, "far_bytes": 2**24},
    "4 cores": {"cores": 4},
    "calls and rows 3 times as slow": {"call": 1.5e-5, "row": 5e-7},
    "chunks gain 1.6": {"gain": 1.6, "gain_near": 1.0},
    "chunks gain 4": {"gain": 4.0, "gain_near": 2.0},
    "steps wait half as long": {"wait": 1.25e-10, "wait_costly": 5e-9, "turn": 1.5e-9},
}  # fmt: skip
"""Other machines, by what their records have in place of the built-in numbers."""

console = Console()


class Call(NamedTuple):
    """A step of `(carry, x) -> (carry, y)` with its start and inputs."""

    step: Callable[[Any, Any], Any]
    start: Any
    xs: Any


def chain(s: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A Langevin step between two wells, which may remember its start for long."""
    s = s - 0.1 * (s**3 - s) + 0.3 * x
    return s, s


def lorenz(s: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """An Euler step of the chaotic flow."""
    a, b, c = s
    s = s + 0.01 * jnp.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c])
    return s, s


def calls(toy: bool) -> dict[str, Call]:
    """Networks, filters, an average, a chain and a flow."""

    def of_network(cell: str, units: int, inputs: int, length: int) -> Call:
        weights, step, start = network(Point(cell, units, inputs, length, 0, False, True, False))
        return Call(lambda carry, x: step(weights, carry, x), start, jr.normal(jr.key(0), (length, inputs)))

    def of_small(small: Any, length: int) -> Call:
        return Call(small.step, small.start, jr.normal(jr.key(0), (length, *small.of_input)))

    scale = 64 if toy else 1
    return {
        "GRU(64)": of_network("gru", 64, 6, 17984 // scale),
        "GRU(24), one input": of_network("gru", 24, 1, 20000 // scale),
        "LSTM(32)": of_network("lstm", 32, 8, 20000 // scale),
        "tanh(16)": of_network("tanh", 16, 4, 40000 // scale),
        "tanh(64)": of_network("tanh", 64, 16, 30000 // scale),
        "tanh D = 3": of_small(tanh(3), 10**5 // scale),
        "Kalman filter": of_small(kalman(), 10**4 // scale),
        "leaky average": Call(leaky, jnp.zeros(()), jr.normal(jr.key(0), (10**5 // scale,))),
        "two-well chain": Call(chain, jnp.zeros(()), jr.normal(jr.key(0), (10**5 // scale,))),
        "Lorenz": Call(lorenz, jnp.ones(3), jnp.zeros(30000 // scale)),
    }


@contextlib.contextmanager
def by_record(changed: Mapping[str, Any] | None) -> Iterator[None]:
    """Decide by the built-in record with some numbers changed; by this machine's own when None."""
    if changed is None:
        yield
        return
    known, look = dict(built_in.BUILT_IN), built_in.detected
    built_in.detected = dict
    built_in.BUILT_IN = {key: dataclasses.replace(record, **changed) for key, record in known.items()}
    built_in.of_platform.cache_clear()
    jax.clear_caches()
    try:
        yield
    finally:
        built_in.BUILT_IN, built_in.detected = known, look
        built_in.of_platform.cache_clear()
        jax.clear_caches()


def decided(call: Call, changed: Mapping[str, Any] | None) -> tuple[str, Callable[[], Any]]:
    """The way that the default takes by a record, as text, and the compiled program."""
    with by_record(changed):
        how = ps.explain(*call)
        compiled = jax.jit(lambda start, xs: ps.scan(call.step, start, xs)).lower(call.start, call.xs).compile()
    return f"{how.chunks}", lambda: compiled(call.start, call.xs)


def table(found: Mapping[str, Mapping[str, tuple[str, float]]]) -> str:
    """Chunks and regret of every record, one row a record, in Markdown."""
    names = list(next(iter(found.values())))
    lines = ["| record | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for record, row in found.items():
        cells = [f"{chunks}: {regret:.2f}" for chunks, regret in row.values()]
        lines.append(f"| {record} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(
    toy: Annotated[bool, typer.Option(help="Short sequences and two records, to see that everything runs.")] = False,
) -> None:
    """Measure, print, and put the table into the page."""
    records = dict(list(RECORDS.items())[: 2 if toy else None])
    found: dict[str, dict[str, tuple[str, float]]] = {record: {} for record in records}
    for name, call in calls(toy).items():
        own, program = decided(call, None)
        known = {own: 1.0}
        for record, changed in records.items():
            chunks, other = decided(call, changed)
            if chunks not in known:
                # Above one where the other record's choice is the slower one.
                known[chunks] = compare(program, other, ROUNDS).median
            found[record][name] = chunks, known[chunks]
        console.print(name, f"{own} chunks by its own record", known)
    text = (
        f"{machine.describe()['processor']}. Chunks, and time over that by this machine's own record.\n\n{table(found)}"
    )
    console.print(text)
    if not toy:
        put_between(DOCUMENT, (BEGIN, END), text)


if __name__ == "__main__":
    typer.run(main)
