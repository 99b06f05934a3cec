"""Updates with and without Anderson acceleration: ``python -m benchmarks.anderson`` prints tables of docs/choosing.md.

Counts alone, no times: the same system, criterion and first guess for a method and its accelerated form.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import parascan as ps

LENGTH, SIZE, MEMORY = 256, 16, 3
OTHER_MEMORIES = (1, 2, 5, 8)
CRITERION = ps.StepError(1e-6)
OBSERVERS = ("lorenz_observer", "rossler_observer")


class Case(NamedTuple):
    """A system to count on.

    Attributes:
        step: ``(state, x) -> state``.
        initial: the first state.
        inputs: of all steps.
        picard: Picard's iteration for it.
    """

    step: Callable[[Any, Any], Any]
    initial: jax.Array
    inputs: Any
    picard: ps.Newton = ps.picard()


def networks() -> Iterator[tuple[str, Case]]:
    """Networks that forget within some ten steps, and one with a small time step."""
    weights = jax.random.normal(jax.random.key(0), (SIZE, SIZE)) / SIZE**0.5
    inputs, zero = jax.random.normal(jax.random.key(1), (LENGTH, SIZE)), jnp.zeros(SIZE)
    gates = 0.3 * jax.random.normal(jax.random.key(2), (3, SIZE, SIZE))

    def gru(h, x):
        update, reset = jax.nn.sigmoid(gates[0] @ h + x), jax.nn.sigmoid(gates[1] @ h - x)
        return update * h + (1 - update) * jnp.tanh(gates[2] @ (reset * h) + x)

    yield "tanh network, gain 0.8", Case(lambda s, x: jnp.tanh(0.8 * weights @ s + x), zero, inputs)
    yield "GRU", Case(gru, zero, inputs)
    yield "leaky network, step 0.02", Case(lambda s, x: s + 0.02 * (jnp.tanh(weights @ s + x) - s), zero, inputs)


def chains_and_flows() -> Iterator[tuple[str, Case]]:
    """Langevin steps in a double well, a relaxation, observers of chaotic flows, a chaotic flow."""
    noise = jax.random.normal(jax.random.key(3), (LENGTH, 2))
    yield "Langevin in a double well", Case(lambda s, x: s - 0.01 * (s**3 - s) + 0.14 * x, jnp.ones(2), noise)
    yield "relaxation, step 0.05", Case(lambda s, x: s + 0.05 * jnp.sin(x - s), jnp.zeros(2), jnp.ones((LENGTH, 2)))
    for name in OBSERVERS:
        system = ps.systems.get(name)
        yield name, Case(system.step, system.initial_state, system.inputs(LENGTH, key=jax.random.key(4)))
    flow = ps.systems.get("thomas")
    yield "thomas, a chaotic flow", Case(lambda s, x: flow.step(s, None), flow.initial_state, jnp.zeros(LENGTH))


def samplers() -> Iterator[tuple[str, Case]]:
    """Samplers of a mixture of three normal distributions, whose noise is known in closed form."""
    levels = ps.samplers.cosine_levels(LENGTH)
    means = jnp.asarray([[2.0, 0.0], [-1.5, 1.5], [-0.5, -2.0]])

    def eps(x, index):
        share = levels[index.astype(int)]
        variance, apart = share * 0.09 + 1 - share, x - jnp.sqrt(share) * means
        nearness = jax.nn.softmax(-jnp.sum(apart**2, axis=1) / (2 * variance))
        return jnp.sqrt(1 - share) * (nearness @ apart) / variance

    x = jnp.asarray([0.3, -0.7])
    for name, kind in (("DDIM of a mixture", ps.samplers.ddim), ("DDPM of a mixture", ps.samplers.ddpm)):
        sampler = kind(eps, levels, times=jnp.arange(float(LENGTH)))
        inputs = sampler.inputs(x, sampler.noise(jax.random.key(5), x))
        yield name, Case(sampler, x, inputs, sampler.picard())


def updates(case: Case, solver: Any) -> int:
    """Updates until the criterion is met, of at most T.

    Args:
        case: the system.
        solver: the method.
    """
    found = ps.rollout(case.step, case.initial, case.inputs, solver=solver, criterion=CRITERION)
    return int(found.stats.iterations)


def main() -> None:
    """Print the table of the methods with their accelerated forms, and Picard's row for other memories."""
    print("| system | Picard | with memory 3 | Jacobi | with memory 3 | quasi-Newton | with memory 3 |")
    print("|---|---|---|---|---|---|---|")
    cases = [entry for source in (networks, chains_and_flows, samplers) for entry in source()]
    for name, case in cases:
        methods = (case.picard, ps.jacobi(), ps.quasi_deer())
        counts = [updates(case, each) for inner in methods for each in (inner, ps.Anderson(inner, MEMORY))]
        print(f"| {name} | " + " | ".join(map(str, counts)) + " |", flush=True)
    print("\n| Picard, memory | " + " | ".join(map(str, OTHER_MEMORIES)) + " |")
    print("|---|" + "---|" * len(OTHER_MEMORIES))
    for name, case in cases:
        counts = [updates(case, ps.Anderson(case.picard, memory)) for memory in OTHER_MEMORIES]
        print(f"| {name} | " + " | ".join(map(str, counts)) + " |", flush=True)


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()
