"""Updates of chains by their linearization: ``python -m benchmarks.chain_updates`` prints tables of docs/mcmc.md.

Counts alone, no times. Every chain is compared with ``jax.lax.scan`` in float64; a decision that differs ends the run.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps
from parascan.mcmc.sample import noise_of

DRAWS, LEAPS = 400, 200
PLACES = 10
COVARIANCE = np.asarray([[1.0, 0.6, 0.0], [0.6, 2.0, 0.3], [0.0, 0.3, 0.5]])


def normal(x: jax.Array) -> jax.Array:
    """A correlated normal density of three numbers."""
    return -0.5 * x @ jnp.asarray(np.linalg.inv(COVARIANCE)) @ x


def bent(x: jax.Array) -> jax.Array:
    """A density along a bent valley."""
    return -0.5 * (x[0] ** 2 / 4 + (x[1] + 0.3 * x[0] ** 2 - 1) ** 2 + x[2] ** 2)


def logistic(x: jax.Array) -> jax.Array:
    """The posterior of a logistic regression with three weights on made data."""
    rows = np.random.default_rng(0).normal(size=(40, 3))
    labels = np.random.default_rng(1).random(40) < 1 / (1 + np.exp(-rows @ np.asarray([1.0, -1.0, 0.5])))
    return -jnp.sum(jax.nn.softplus(jnp.where(labels, -1, 1) * (rows @ x))) - 0.5 * x @ x


TARGETS: Mapping[str, Callable[[jax.Array], jax.Array]] = {"normal": normal, "bent": bent, "logistic": logistic}
KERNELS: Mapping[str, Callable[[Any], Any]] = {
    "MALA": lambda density: ps.mcmc.mala(density, 0.1),
    "HMC": lambda density: ps.mcmc.hmc(density, 0.3, 3),
}


def linearizations(kernel: Any) -> dict[str, Any]:
    """What stands in for the Jacobian of a kernel, by name."""
    return {
        "`Full`": ps.Full(),
        "`Gate`, straight-through": ps.mcmc.Gate(kernel.gate),
        "`Gate`, smooth": ps.mcmc.Gate(kernel.gate, "smooth"),
        "`Diagonal`": ps.Diagonal(),
        "`Gate` of `Diagonal`, smooth": ps.mcmc.Gate(kernel.gate, "smooth", linearization=ps.Diagonal()),
        "`StochasticDiagonal`": ps.StochasticDiagonal(jax.random.key(1)),
    }


def chain_row(kernel: Any) -> list[int]:
    """Updates of each linearization on one chain.

    Args:
        kernel: with a decision.
    """
    start = jnp.full(3, 0.5)
    noise = noise_of(kernel, jax.random.key(0), start, jnp.int32(0), DRAWS)
    reference = jax.lax.scan(lambda s, x: (kernel(s, x)[0], kernel(s, x)[1].accepted), start, noise)[1]
    counts = []
    for linearization in linearizations(kernel).values():
        found = ps.rollout(kernel, start, noise, solver=ps.Newton(linearization))
        if not bool(jnp.all(found.ys.accepted == reference)):
            raise RuntimeError(f"{type(linearization).__name__}: a decision differs from that of the plain loop.")
        counts.append(int(found.stats.iterations))
    return counts


def leapfrog_row(density: Callable[[jax.Array], jax.Array], size: float) -> list[int]:
    """Updates on one long trajectory of leapfrog steps: diagonal, blocks, blocks from one and from four random signs.

    Args:
        density: log density.
        size: of a step.
    """

    def leap(state: tuple[jax.Array, jax.Array], _: None) -> tuple[jax.Array, jax.Array]:
        place, momentum = state
        momentum = momentum + 0.5 * size * jax.grad(density)(place)
        place = place + size * momentum
        return place, momentum + 0.5 * size * jax.grad(density)(place)

    start = jnp.linspace(-1.0, 1.0, PLACES), jnp.linspace(0.5, -1.0, PLACES)
    key = jax.random.key(2)
    blocks = ps.mcmc.BlockDiagonal(2), ps.mcmc.BlockDiagonal(2, key), ps.mcmc.BlockDiagonal(2, key, probes=4)
    counts = []
    for linearization in (ps.Full(), ps.Diagonal(), *blocks):
        found = ps.rollout(leap, start, length=LEAPS, solver=ps.Newton(linearization))
        counts.append(int(found.stats.iterations))
    return counts


def coupled(strength: float) -> Callable[[jax.Array], jax.Array]:
    """A density of entries with heavy shoulders, neighbors of which are drawn together.

    Args:
        strength: of the coupling.
    """
    return lambda x: -jnp.sum(jnp.log(jnp.cosh(x))) - 0.5 * strength * jnp.sum((x - jnp.roll(x, 1)) ** 2)


def main() -> None:
    """Print both tables."""
    names = list(linearizations(KERNELS["MALA"](normal)))
    print("| chain | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for name, make in KERNELS.items():
        for target, density in TARGETS.items():
            print(f"| {name}, {target} | " + " | ".join(map(str, chain_row(make(density)))) + " |", flush=True)
    print("\n| coupling | `Full` | `Diagonal` | `BlockDiagonal(2)` | from one probe | from four |")
    print("|---|---|---|---|---|---|")
    for strength in (0.0, 0.1, 1.0):
        print(f"| {strength} | " + " | ".join(map(str, leapfrog_row(coupled(strength), 0.1))) + " |", flush=True)


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()
