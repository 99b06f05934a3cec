"""Chains by default against the plain loop: ``python -m benchmarks.chains`` prints the table of docs/mcmc.md.

Every run is of one kernel, one start and one key; a decision that differs between the two is counted. On a machine that
does nothing else; ``--draws`` shortens it for a trial.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from examples.mcmc.problems import Regression, eight_schools, table

import parascan as ps

from .chain_updates import COVARIANCE, normal
from .harness import compare

DRAWS, ROUNDS, LEAPS = 100_000, 7, 6
SCHOOLS = {"mu": jnp.zeros(()), "log_tau": jnp.zeros(()), "theta": jnp.zeros(8)}


class Case(NamedTuple):
    """A chain to run both ways.

    Attributes:
        name: in the table.
        kernel: of the chain.
        start: its first position.
        share: of the draws asked for, less where a step is heavy.
    """

    name: str
    kernel: Any
    start: Any
    share: float = 1.0


def sweep(position: jax.Array, noise: jax.Array) -> jax.Array:
    """Two normal numbers with correlation 0.9, each drawn given the other."""
    first = 0.9 * position[1] + 0.19**0.5 * noise[0]
    return jnp.stack([first, 0.9 * first + 0.19**0.5 * noise[1]])


def small() -> Iterator[Case]:
    """Densities of two or three numbers."""
    scale, start = jnp.asarray(np.linalg.cholesky(COVARIANCE), jnp.float32), jnp.full(3, 0.5)
    yield Case("MALA, 3 normal numbers, with a scale", ps.mcmc.mala(normal, 0.3, scale), start)
    yield Case("MALA, 3 normal numbers, without", ps.mcmc.mala(normal, 0.1), start)
    yield Case("HMC, 3 normal numbers, with a scale", ps.mcmc.hmc(normal, 0.5, LEAPS, scale), start)
    gibbs = ps.mcmc.gibbs(sweep, lambda key: jax.random.normal(key, (2,)))
    yield Case("Gibbs, 2 normal numbers", gibbs, jnp.zeros(2))
    yield Case("random walk, 3 normal numbers", ps.mcmc.random_walk(normal, 1.0, scale), start)


def posteriors() -> Iterator[Case]:
    """Eight schools, and a logistic regression on the patients where scikit-learn is installed."""
    yield Case("HMC, eight schools", ps.mcmc.hmc(eight_schools, 0.2, LEAPS), SCHOOLS, 0.2)
    try:
        density = Regression.of(table())
    except FileNotFoundError:
        print("(the regression is left out: `make mcmc-demo` installs its data)", flush=True)
        return
    start, scale = density.mode_and_scale()
    for share in (0.2, 1.0):
        yield Case("MALA, regression of 31 weights", ps.mcmc.mala(density, 0.05, scale), start, share)
        yield Case("HMC, regression of 31 weights", ps.mcmc.hmc(density, 0.15, LEAPS, scale), start, share)


def row(case: Case, draws: int) -> str:
    """A row of the table.

    Args:
        case: the chain.
        draws: how many.
    """

    def run(solver: Any) -> Callable[[], ps.mcmc.Draws]:
        return lambda: ps.mcmc.sample(case.kernel, case.start, draws, key=jax.random.key(0), solver=solver)

    ours, plain = run(None), run(ps.Sequential())
    differ = int(jnp.sum(ours().accepted != plain().accepted))
    ratio = compare(lambda: ours().positions, lambda: plain().positions, ROUNDS)
    acceptance = float(plain().acceptance.mean())
    times = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
    return f"| {case.name} | {draws} | {acceptance:.2f} | {times} | {differ} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws of a chain whose steps are light")
    draws = parser.parse_args().draws
    print("| chain | draws | acceptance | times as fast as the plain loop (quartiles) | decisions that differ |")
    print("|---|---|---|---|---|")
    for source in (small, posteriors):
        for case in source():
            print(row(case, max(int(case.share * draws), 1)), flush=True)


if __name__ == "__main__":
    main()
