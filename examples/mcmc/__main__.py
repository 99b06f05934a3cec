"""``make mcmc-demo``: two posteriors, foretold, warmed up, sampled over their length, checked; one picture."""

from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from benchmarks.harness import compare
from rich.console import Console

import parascan as ps
from parascan.cli._errors import interruptible

from .figure import draw
from .problems import KNOWN, Regression, eight_schools, table

console = Console(highlight=False, soft_wrap=True)
TARGET = 0.9
"""Acceptance of the regression: the more proposals are taken, the sooner copies of a chain meet."""

FACTORS = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.4, 2.0, 4.0)
"""Step sizes that are looked at, in units of that of the warm-up."""


def regression(data: np.ndarray, draws: int) -> tuple[list[float], list[ps.mcmc.Foretold], float]:
    """The logistic regression by MALA: against the plain loop, draw by draw; and what step sizes do."""
    density = Regression.of(data)
    size = density.rows.shape[1]
    start, scale = density.mode_and_scale()
    make = lambda step_size, _: ps.mcmc.mala(density, step_size, scale)  # noqa: E731
    found = ps.mcmc.warm_up(make, start, max(draws // 20, 20), key=jax.random.key(0), target=TARGET)
    position = found.positions[0]
    console.print(f"[bold]Logistic regression[/bold], {len(data)} patients, {size} weights, MALA")
    console.print(f"  warm-up: step size {float(found.step_size):.3g}, acceptance {float(found.acceptance):.2f}")
    console.print(f"  {ps.mcmc.foretell(found.kernel, position, key=jax.random.key(1), pairs=8)}")
    runs: dict[str, Any] = {
        name: lambda solver=solver: ps.mcmc.sample(found.kernel, position, draws, key=jax.random.key(2), solver=solver)
        for name, solver in {"parallel": None, "plain": ps.Sequential()}.items()
    }
    parallel, plain = runs["parallel"](), runs["plain"]()
    equal = int(jnp.sum(parallel.accepted != plain.accepted))
    apart = float(jnp.max(jnp.abs(parallel.positions - plain.positions)))
    console.print(f"  {draws} draws: {equal} decisions differ from the plain loop's, positions by {apart:.1g} at most")
    ratio = compare(lambda: runs["parallel"]().positions, lambda: runs["plain"]().positions, 5)
    console.print(f"  {ratio.median:.2f} times as fast as the plain loop ({ratio.low:.2f} to {ratio.high:.2f})")
    sizes = [factor * float(found.step_size) for factor in FACTORS]
    kernels = [ps.mcmc.mala(density, each, scale) for each in sizes]
    seen = [ps.mcmc.foretell(kernel, position, key=jax.random.key(3), draws=500, pairs=8) for kernel in kernels]
    return sizes, seen, float(found.step_size)


def schools(draws: int) -> dict[str, np.ndarray]:
    """The eight schools by HMC, four chains, against what is known of them."""
    make = lambda step_size, scale: ps.mcmc.hmc(eight_schools, step_size, 10, scale)  # noqa: E731
    start = {"mu": jnp.zeros(4), "log_tau": jnp.zeros(4), "theta": jnp.zeros((4, 8))}
    found = ps.mcmc.warm_up(make, start, max(draws // 4, 20), key=jax.random.key(4), chains=4)
    console.print("[bold]Eight schools[/bold], four chains, HMC")
    first = jax.tree.map(lambda leaf: leaf[0], found.positions)
    console.print(f"  {ps.mcmc.foretell(found.kernel, first, key=jax.random.key(6), draws=500, pairs=8)}")
    result = ps.mcmc.sample(found.kernel, found.positions, draws, key=jax.random.key(5), chains=4)
    console.print(str(result.summary()))
    drawn = {"mu": np.asarray(result.positions["mu"]), "tau": np.exp(np.asarray(result.positions["log_tau"]))}
    for name, (mean, deviation) in KNOWN.items():
        console.print(f"  {name}: {drawn[name].mean():.2f} +- {drawn[name].std():.2f}, known {mean} +- {deviation}")
    return drawn


def main(
    draws: Annotated[int, typer.Option(min=40, help="Draws of a chain of the regression.")] = 20_000,
    data: Annotated[Path | None, typer.Option(help="Table with the label last, in place of the real data.")] = None,
    out: Annotated[Path, typer.Option(help="Where to put the picture.")] = Path("build/mcmc.png"),
) -> None:
    """Foretell, warm up, sample and check two posteriors, and draw what was seen."""
    with interruptible("Run the same command again; it takes about a minute.") as check:
        seen = regression(table(data), draws)
        check()
        drawn = schools(max(draws // 8, 40))
        check()
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(*seen, drawn).savefig(out, dpi=150)
    console.print(f"picture: {out}")


if __name__ == "__main__":
    typer.run(main)
