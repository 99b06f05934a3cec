"""What devices exchange: messages and bytes of one update, counted in compiled programs, with formulas that give them.

``python -m benchmarks.scaling`` compiles for 2, 4, 8 and 16 simulated devices of a CPU, holds every count against its
formula, and writes the figure and the table of docs/devices.md. Nothing is run, and no time is measured.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import parascan as ps
from parascan.api.files import write_atomically
from parascan.linear import DenseTransition, DiagonalTransition, damped_solve
from parascan.pictures import style
from parascan.programs.device_axis import axis_of

from .documents import put_between

COUNTED = (2, 4, 8, 16)
"""Numbers of devices for which programs are compiled."""

LARGEST = 4096
"""Number of devices up to which the formulas are drawn."""

SIZE = 16
"""D of the figure and the table."""

PAGE = Path(__file__).parents[1] / "docs" / "devices.md"
"""Where the table stands, between two marks."""

MARKS = ("<!-- scaling: written by python -m benchmarks.scaling -->", "<!-- end of scaling -->")
"""Lines between which it stands."""

MESSAGE = re.compile(r"= (\([^()]*\)|[a-z]\S*) (all-gather|all-to-all|all-reduce|collective-permute)\(")
SHAPE = re.compile(r"([a-z]+\d*)\[([\d,]*)\]")
BYTES = {"pred": 1, "s32": 4, "f32": 4, "f64": 8, "s64": 8}


class Exchange(NamedTuple):
    """What one update exchanges.

    Attributes:
        messages: collective operations, each of which is a launch and a wait of all devices for each other.
        bytes: that each device receives.
    """

    messages: int
    bytes: float


class Case(NamedTuple):
    """A program, and what is expected of it.

    Attributes:
        name: in the table.
        build: from mesh, T and D: a function, and the shapes and places of its arguments.
        expected: from n and D, in single precision.
        words: the formula of the bytes, with n, D, and b for the bytes of a number.
    """

    name: str
    build: Callable[[Mesh, int, int], tuple[Callable[..., Any], list[jax.ShapeDtypeStruct]]]
    expected: Callable[[int, int], Exchange]
    words: str


def counted(text: str, devices: int) -> Exchange:
    """Messages of a compiled program, and bytes that each device receives.

    Args:
        text: of the program, in which no message stands in a loop.
        devices: their number n. Each gets n - 1 of the n parts that are gathered, and sends and gets two shares of
            1 - 1/n of what is reduced.
    """
    messages, received = 0, 0.0
    for shapes, kind in MESSAGE.findall(text):
        size = sum(
            BYTES[name] * math.prod(int(each) for each in entries.split(",") if each)
            for name, entries in SHAPE.findall(shapes)
        )
        share = {"collective-permute": 1.0, "all-reduce": 2 * (1 - 1 / devices)}.get(kind, 1 - 1 / devices)
        messages, received = messages + 1, received + share * size
    return Exchange(messages, received)


def compiled(case: Case, devices: int, steps: int, size: int) -> str:
    """The text of a case's program.

    Args:
        case: the case.
        devices: their number n.
        steps: T.
        size: D.
    """
    mesh = Mesh(jax.devices("cpu")[:devices], ("time",))
    function, arguments = case.build(mesh, steps, size)
    return jax.jit(function).lower(*arguments).compile().as_text()


def _rows(mesh: Mesh, *shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, PartitionSpec("time")))


def _dense(mesh: Mesh, steps: int, size: int) -> tuple[Callable[..., Any], list[jax.ShapeDtypeStruct]]:
    return lambda A, b: ps.linear_recurrence(A, b, mesh=mesh), [
        _rows(mesh, steps, size, size),
        _rows(mesh, steps, size),
    ]


def _diagonal(mesh: Mesh, steps: int, size: int) -> tuple[Callable[..., Any], list[jax.ShapeDtypeStruct]]:
    def solve(A: jax.Array, b: jax.Array) -> jax.Array:
        return ps.linear_recurrence(DiagonalTransition(A), b, mesh=mesh)

    return solve, [_rows(mesh, steps, size), _rows(mesh, steps, size)]


def _damped(mesh: Mesh, steps: int, size: int) -> tuple[Callable[..., Any], list[jax.ShapeDtypeStruct]]:
    def solve(A: jax.Array, r: jax.Array) -> jax.Array:
        return damped_solve(DenseTransition(A), r, 0.1, devices=axis_of(mesh))

    return solve, [_rows(mesh, steps, size, size), _rows(mesh, steps, size)]


def _damped_diagonal(mesh: Mesh, steps: int, size: int) -> tuple[Callable[..., Any], list[jax.ShapeDtypeStruct]]:
    def solve(A: jax.Array, r: jax.Array) -> jax.Array:
        return damped_solve(DiagonalTransition(A), r, 0.1, devices=axis_of(mesh))

    return solve, [_rows(mesh, steps, size), _rows(mesh, steps, size)]


CASES = (
    Case("`deer`", _dense, lambda n, d: Exchange(3, 4.0 * (n - 1) * (d**2 + d + 1)), "(n - 1) (D^2 + D + 1) b"),
    Case("`quasi_deer`", _diagonal, lambda n, d: Exchange(3, 4.0 * (n - 1) * (2 * d + 1)), "(n - 1) (2 D + 1) b"),
    Case(
        "`elk`",
        _damped,
        lambda n, d: Exchange(14, 4.0 * ((n - 1) * (5 * d**2 + 2 * d + 2) + 2 * d**2 + 2 * d + 1)),
        "((n - 1) (5 D^2 + 2 D + 2) + 2 D^2 + 2 D + 1) b",
    ),
    Case(
        "`quasi_elk`",
        _damped_diagonal,
        lambda n, d: Exchange(14, 4.0 * ((n - 1) * (7 * d + 2) + 4 * d + 1)),
        "((n - 1) (7 D + 2) + 4 D + 1) b",
    ),
)
"""One update of each method with stored Jacobians: its recurrences, whose messages stand in no loop."""


def serial_share(devices: int, steps: float, size: int) -> float:
    """The scan over the summaries of all devices, in units of what a device computes of its own steps.

    For dense matrices: n products of a matrix and a vector, against (D + 2) T / n of them.

    Args:
        devices: their number n.
        steps: T.
        size: D.
    """
    return devices**2 / ((size + 2) * steps)


def table(size: int) -> str:
    """The table of the page.

    Args:
        size: D.
    """
    heads = ["devices n", *(case.name for case in CASES), "scan over summaries, T = 10^5", "10^7", "10^9"]
    lines = [heads, ["---"] * len(heads)]
    for n in (*COUNTED, 64, 512, LARGEST):
        received = [f"{case.expected(n, size).bytes / 1000:,.{1 if n < 64 else 0}f}" for case in CASES]
        shares = [f"{serial_share(n, steps, size):.1g}" for steps in (1e5, 1e7, 1e9)]
        lines.append([f"{n}, counted" if n in COUNTED else f"{n}, by formula", *received, *shares])
    formulas = [f"- {case.name}: {case.expected(2, size).messages} messages, {case.words}" for case in CASES]
    return "\n".join([*("| " + " | ".join(each) + " |" for each in lines), "", *formulas])


def figure(size: int) -> style.Figure:
    """Bytes that a device receives, and the share of the scan over summaries, against the number of devices.

    Args:
        size: D.
    """
    drawn, (above, below) = style.canvas(7.5, 6.0, (1.0, 1.0))
    numbers = [2**k for k in range(1, 13)]
    colors = style.shades(len(CASES))
    for case, color in zip(CASES, colors, strict=True):
        line = [case.expected(n, size).bytes for n in numbers]
        above.plot(numbers, line, "--", color=color, linewidth=1)
        above.plot(COUNTED, line[: len(COUNTED)], "o-", color=color, markersize=4, label=case.name.strip("`"))
    above.set_ylabel(f"bytes that a device receives\nin one update, D = {size}")
    for steps, color in zip((1e5, 1e7, 1e9), style.shades(3), strict=True):
        shares = [serial_share(n, steps, size) for n in numbers]
        below.plot(numbers, shares, "--", color=color, linewidth=1, label=f"T = {steps:.0e}")
    below.axhline(1, color=style.INK, linewidth=0.8)
    below.set_ylabel("scan over summaries,\nin units of a device's own steps")
    below.set_xlabel("devices n (counted: points; by formula: dashed)")
    for panel in (above, below):
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        style.legend_beside(panel)
    return drawn


def main() -> None:
    """Compile, compare, and write figure and table."""
    jax.config.update("jax_num_cpu_devices", COUNTED[-1])
    for case in CASES:
        for n in COUNTED:
            found, expected = counted(compiled(case, n, 16 * n, SIZE), n), case.expected(n, SIZE)
            if found != expected:
                raise SystemExit(f"{case.name} on {n} devices: counted {found}, expected {expected}")
            print(f"{case.name} on {n} devices: {found.messages} messages, {found.bytes:.0f} bytes, as expected")
    drawn = figure(SIZE)
    write_atomically(PAGE.parent / "pictures" / "scaling.png", lambda file: style.save(drawn, file, ".png"))
    put_between(PAGE, MARKS, table(SIZE))


if __name__ == "__main__":
    main()
