"""`python -m benchmarks.method_map`: with how few updates every method would win, by count, for the page on planning.

Nothing is timed: costs follow from what a step computes and from the library's own records of machines.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

import parascan as ps
from parascan.planning import built_in
from parascan.planning.compared import BESIDE, METHODS
from parascan.planning.propose import most_updates
from parascan.problem.flat_recurrence import Recurrence
from parascan.solvers.evaluation_cost import step_cost, workload_of

from .documents import put_between, table_line
from .planner_map import DOCUMENT

BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"

LENGTH = 10_000
"""T of every case."""

PLATFORMS = ("cpu", "gpu")


def network(size: int) -> Callable[..., Any]:
    """A tanh network of so many units."""
    weights = jax.random.normal(jax.random.key(0), (size, size)) / (2 * size**0.5)
    return lambda s, x: jnp.tanh(weights @ s + x)


def gated(size: int) -> Callable[..., Any]:
    """A step whose entries do not mix, and whose Jacobian so is diagonal."""
    return lambda s, x: 0.5 * jnp.tanh(s) + x[:size]


CASES: Mapping[str, tuple[Callable[..., Any], int]] = {
    "network, D = 2": (network(2), 2),
    "network, D = 64": (network(64), 64),
    "elementwise, D = 64": (gated(64), 64),
}
"""Steps and sizes of their states."""


def counts(platform: str) -> dict[str, dict[str, int]]:
    """For every method that iterates, by its words, the most updates with which it wins in every case.

    Args:
        platform: ``"cpu"`` or ``"gpu"``.
    """
    machine = built_in(platform)
    blocks = ps.MultipleShooting(ps.deer(), -(-LENGTH // 256))
    methods = [(BESIDE["MultipleShooting"], blocks), *((each.words, each.make()) for each in METHODS)]
    found: dict[str, dict[str, int]] = {words: {} for words, _ in methods}
    for case, (step, size) in CASES.items():
        problem = Recurrence(step, jnp.zeros(size), jnp.zeros((LENGTH, size)), LENGTH)
        workload = workload_of(problem, platform)
        for words, solver in methods:
            found[words][case] = most_updates(workload, step_cost(workload, machine), machine, solver)
    return found


def table() -> str:
    """The counts on all platforms in Markdown."""
    found = {platform: counts(platform) for platform in PLATFORMS}
    heads = [f"{case}, {platform}" for platform in PLATFORMS for case in CASES]
    lines = [table_line("method", *heads), table_line(*["---"] * (1 + len(heads)))]
    for words in found[PLATFORMS[0]]:
        cells = [found[platform][words][case] for platform in PLATFORMS for case in CASES]
        lines.append(table_line(words, *(cell or "never" for cell in cells)))
    return "\n".join(lines)


if __name__ == "__main__":
    with jax.default_device(jax.devices("cpu")[0]):
        put_between(DOCUMENT, (BEGIN, END), table())
