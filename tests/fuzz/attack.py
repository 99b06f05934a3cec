"""Runs adversarial problems group by group: one family, shape, dtype and way of cutting, with one compiled program.

``python tests/fuzz/attack.py 10000`` runs so many from the first seed on, tells what it found as it goes, and goes on
after a violation.
"""

import collections
import contextlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import adversaries
import adversaries_of_parts
import adversaries_of_scale
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import references

import parascan as ps
from parascan.chunked import coupled_copies as coupling
from parascan.chunked import warm_up as forget

FAMILIES = adversaries.FAMILIES | adversaries_of_scale.FAMILIES | adversaries_of_parts.FAMILIES
DTYPES = ("float32", "bfloat16", "float64", "float16")
EACH = 40
"""Problems of a group."""

LENGTHS = (4096, 6000, 8192, 10007, 16384, 20000, 65536, 300000)
SHARES = (0.25, 0.2, 0.2, 0.13, 0.1, 0.1, 0.01, 0.01)
LONG = 20000
"""Steps, how often so many are taken, and above how many few problems are."""

SLOW, FEW = 6000, 8
"""Most steps of a gradient in bfloat16, whose plain loop takes the time of their square, and problems of its group."""


class Group(NamedTuple):
    """What is compiled once; where ``blind`` is not 0, chunks go on after so many steps whatever their twins say."""

    name: str
    dtype: str
    T: int
    D: int
    blocks: int | None
    devices: int
    reverse: bool
    gradient: bool
    blind: int


class Found(NamedTuple):
    """What a group came to: problems, answers that came from chunks, those that were looked at closely, violations."""

    problems: int
    chunked: int
    suspicious: int
    violations: list[str]


def draw_group(seed: int) -> Group:
    """A group for each number, families and dtypes in turn; in three of four, twins are blind."""
    random = np.random.default_rng([seed, 7])
    names = list(FAMILIES)
    dtype = DTYPES[seed // len(names) % len(DTYPES)]
    T = int(random.choice(LENGTHS, p=SHARES))
    devices = 4 if random.random() < 0.08 and T % 4 == 0 else 1
    blocks = (
        None
        if random.random() < 0.1 and devices == 1
        else int(random.choice([4, 8, 16, 32], p=[0.4, 0.3, 0.2, 0.1]) // devices)
    )
    reverse, gradient = bool(random.random() < 0.15), bool(random.random() < 0.3)
    blind = int(random.choice([0, 8, 32, 128]))
    D = int(random.choice([1, 2, random.integers(1, 17)]))
    T = min(T, SLOW) if gradient and dtype == "bfloat16" else T
    return Group(names[seed % len(names)], dtype, T, D, blocks, devices, reverse, gradient, blind)


@contextlib.contextmanager
def blinded(rows: int) -> Iterator[None]:
    """Copies agree at the first look, after so many rows: what chunks are worth is left to the rule of acceptance."""
    if not rows:
        yield
        return
    apart = lambda self, states, recent: jnp.zeros((), jnp.float32)  # noqa: E731
    with (
        mock.patch.object(coupling.CoupledCopies, "apart", apart),
        mock.patch.object(forget, "_unlooked", return_value=rows),
    ):
        yield


def run_group(group: Group, seed: int, count: int) -> Found:
    """Some problems of a group."""
    with jax.enable_x64(group.dtype == "float64"), blinded(group.blind):
        mesh = jax.make_mesh((group.devices,), ("t",)) if group.devices > 1 else None
        plain = group.blocks is None and mesh is None
        solver = None if plain else ps.Chunked(chunks=group.blocks, mesh=mesh)
        make = references.gradient_programs if group.gradient else references.forward_programs
        programs = make(FAMILIES[group.name], solver, reverse=group.reverse)
        chunked, looked, violations = 0, 0, []
        for index in range(count):
            try:
                chunks, close, wrong = run_problem(group, programs, [seed, index])
            except Exception as error:  # what cannot be run is a violation as well, and the others are run all the same
                chunks, close, wrong = 0, False, f"{type(error).__name__}: {str(error)[:300]}"
            chunked, looked = chunked + (chunks > 0), looked + close
            if wrong is not None:
                violations.append(f"{group} seed {seed} problem {index}, {chunks} chunks: {wrong}")
    return Found(count, chunked, looked, violations)


def run_problem(group: Group, programs: references.Programs, seed: list[int]) -> tuple[int, bool, oracle.Wrong | None]:
    """Chunks of an answer, whether it was looked at closely, and what is wrong with it."""
    random, T = np.random.default_rng(seed), group.T
    args: list[Any] = list(references.typed(FAMILIES[group.name].draw(random, T, group.D), group.dtype))
    last = np.zeros(T)
    last[0 if group.reverse else -1] = 1
    if group.gradient:
        args.append(jnp.asarray([np.ones(T), last, random.normal(size=T)][seed[1] % 3], group.dtype))
    answer, chunks, warm_up = programs.ours(*args), 0, 0
    if not group.gradient:
        answer, stats = answer
        chunks, warm_up = int(stats.chunks), int(stats.warm_up)
    loop = programs.plain(*args)
    if not oracle.suspicious(answer, loop, group.dtype):
        return chunks, False, None
    cut = chunks or (group.blocks or 16) * group.devices
    junctions = np.arange(1, cut) * (T // cut) + warm_up
    if group.reverse:
        junctions = T - 1 - junctions
    noise = references.noise_for(random, args[1], T, group.dtype, junctions)
    others = oracle.one_by_one(programs.copies(*args, noise)) + oracle.one_by_one(programs.otherwise(*args))
    backwards = group.reverse != group.gradient
    truth = programs.truth(group.dtype, *args)
    return (
        chunks,
        True,
        oracle.explained(answer, loop, others, group.dtype, reverse=backwards, gradient=group.gradient, truth=truth),
    )


def tell(*words: Any) -> None:
    """A line of progress."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(count: int, first: int = 0, each: int = EACH) -> int:
    """Runs so many problems, in groups from the first on; returns the number of violations."""
    table: dict[tuple[str, str], np.ndarray] = collections.defaultdict(lambda: np.zeros(4, int))
    number = first
    while (done := sum(int(row[0]) for row in table.values())) < count:
        group = draw_group(number)
        few = FEW if group.gradient and group.dtype == "bfloat16" else each
        problems = min(few if group.T <= LONG else 3, count - done)
        result = run_group(group, number, problems)
        table[group.name, group.dtype] += [result.problems, result.chunked, result.suspicious, len(result.violations)]
        tell(done + problems, f"group {number}", tuple(group), tuple(result[:3]))
        for each_wrong in result.violations:
            tell("    VIOLATION", each_wrong)
        jax.clear_caches()
        number += 1
    tell("family dtype: problems, answered by chunks, looked at closely, violations")
    for key, row in sorted(table.items()):
        tell(*key, *row)
    total = sum(table.values())
    tell("all", total)
    return int(np.asarray(total)[3])


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 4)
    sys.exit(main(*map(int, sys.argv[1:])) > 0)
