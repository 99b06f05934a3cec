"""Parallel-in-time multigrid against blocks: ``python -m benchmarks.parareal`` prints the table of docs/parareal.md.

Parareal (two-level MGRIT with F-relaxation) corrects the boundaries of blocks by a sweep with a coarse step, the same
flow with a longer time step. It is one more outer method for ``MultipleShooting``.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps
from parascan.solvers import AbstractIterativeSolver

from .harness import compare

LENGTH, BLOCK = 8000, 50
FACTORS = (2, 5, 10)
CRITERION = ps.Merit(1e-10)
ROUNDS = 5
SYSTEMS = ("lorenz_observer", "rossler_observer", "thomas_observer", "sprott_b_observer", "thomas")


class Parareal(AbstractIterativeSolver):
    """Boundaries of blocks corrected by a sweep with a coarse step; the outer method of ``MultipleShooting`` only."""

    coarse: Any
    factor: int = eqx.field(static=True)
    causal: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("lions2001parareal", "falgout2014mgrit")

    @property
    def exact(self):
        return False

    def init(self, problem, states):
        return None

    def step(self, problem, iterate, state):
        # The inputs of a recurrence built from a scan: its own, and the discrete leaves of the carry.
        xs = problem.inputs[0][0]

        def propagate(s, block):
            skipped = None if block is None else jax.tree.map(lambda leaf: leaf[:: self.factor], block)
            steps = BLOCK // self.factor
            return jax.lax.scan(lambda s, x: (self.coarse(s, x), None), s, skipped, steps)[0]

        before = jax.vmap(propagate)(problem.previous(iterate.states), xs)
        gap = iterate.predictions - before

        def sweep(s, row):
            block, gap = row
            s = propagate(s, block) + gap
            return s, s

        return jax.lax.scan(sweep, problem.initial, (xs, gap))[1], state


def methods(system):
    """Solvers by name, the coarse step being the system's own with a longer time step."""
    longer = lambda factor: eqx.tree_at(lambda step: step.dt, system.step, factor * system.step.dt)  # noqa: E731
    parareal = {
        f"parareal, coarse step {factor} dt": ps.MultipleShooting(Parareal(longer(factor), factor), BLOCK)
        for factor in FACTORS
    }
    return {
        "MultipleShooting(jacobi)": ps.MultipleShooting(ps.jacobi(), BLOCK),
        "MultipleShooting(deer)": ps.MultipleShooting(ps.deer(), BLOCK),
        **parareal,
    }


def depth(solver):
    """Steps of the flow that follow one another in an update, with as many devices as it takes."""
    outer, count = solver.outer, LENGTH // BLOCK
    if isinstance(outer, Parareal):
        return BLOCK + BLOCK // outer.factor + LENGTH // outer.factor
    return BLOCK + (2 * count.bit_length() if outer.linearization.exact else 0)


def measure(name):
    """Rows of one system: method, iterations, depth over T, time over that of ``lax.scan``."""
    system = ps.systems.get(name)
    xs = system.inputs(LENGTH, key=jax.random.key(0))
    xs = jnp.zeros((LENGTH, 1)) if xs is None else xs
    step = (lambda s, x: system.step(s, x)) if "observer" in name else (lambda s, x: system.step(s, None))
    init = system.initial_state
    one_by_one = jax.jit(lambda s0: jax.lax.scan(lambda s, x: (step(s, x),) * 2, s0, xs)[1])
    for label, solver in methods(system).items():
        run = jax.jit(
            lambda s0, solver=solver: ps.rollout(step, s0, xs, solver=solver, criterion=CRITERION, throw=False)
        )
        solution = run(init)
        ratio = compare(lambda run=run: run(init), lambda: one_by_one(init), ROUNDS)
        iterations = int(solution.stats.iterations)
        error = float(np.max(np.abs(solution.states - one_by_one(init))))
        yield name, label, iterations, iterations * depth(solver) / LENGTH, 1 / ratio.median, error


def main():
    """Print the table."""
    print("| system | method | iterations | depth over T | time over `lax.scan` | largest error |")
    print("|---|---|---|---|---|---|")
    for name in SYSTEMS:
        for system, label, iterations, deep, time, error in measure(name):
            print(f"| {system} | {label} | {iterations} | {deep:.2g} | {time:.2g} | {error:.1g} |", flush=True)


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()
