"""What devices exchange: messages and bytes of one update, counted in compiled programs, with formulas that give them.

``python -m benchmarks.scaling`` compiles for 2, 4, 8 and 16 simulated devices of a CPU, holds every count against its
formula, and writes the figure and the table of docs/devices.md. Nothing is run, and no time is measured.
"""

import math
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import parascan as ps
from parascan.linear import DenseTransition, DiagonalTransition, damped_solve
from parascan.programs.device_axis import axis_of

COUNTED = (2, 4, 8, 16)
"""Numbers of devices for which programs are compiled."""

LARGEST = 4096
"""Number of devices up to which the formulas are drawn."""

MESSAGE = re.compile(r"= (\(?[a-z]\S*) (all-gather|all-to-all|all-reduce|collective-permute)\(")
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
    return lambda A, b: ps.linear_recurrence(A, b, mesh=mesh), [_rows(mesh, steps, size, size), _rows(mesh, steps, size)]


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
    Case("Newton, dense", _dense, lambda n, d: Exchange(3, 4.0 * (n - 1) * (d**2 + d + 1)), "(n - 1) (D^2 + D + 1) b"),
    Case("Newton, diagonal", _diagonal, lambda n, d: Exchange(3, 4.0 * (n - 1) * (2 * d + 1)), "(n - 1) (2 D + 1) b"),
    Case("elk", _damped, lambda n, d: Exchange(0, 0.0), ""),
    Case("quasi_elk", _damped_diagonal, lambda n, d: Exchange(0, 0.0), ""),
)
"""One update of each method: its linear recurrences, whose messages stand in no loop."""

if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", COUNTED[-1])
    for case in CASES:
        for n in COUNTED:
            for d in (3, 4):
                found = counted(text := compiled(case, n, 64, d), n)
                print(case.name, n, d, found, case.expected(n, d))
                if n == 4 and d == 3: print(MESSAGE.findall(text))
    sys.exit()
