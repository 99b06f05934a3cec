"""``python -m examples.depth``: two networks as sequences of layers, judged before training; one picture."""

import warnings
from pathlib import Path
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import typer
from benchmarks.harness import compare
from jax.flatten_util import ravel_pytree
from rich.console import Console

import parascan as ps
from parascan.cli._errors import interruptible

from .figure import Curve, draw
from .networks import TOKENS, WIDTH, Residual, Transformer, apply, plain, stacked

console = Console(highlight=False, soft_wrap=True)
SCALES = (0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Initialization scales of the last weights of a block, in units of those that keep a variance."""

SOLVERS = {"newton": ps.deer(), "quasi-newton": ps.quasi_deer(), "picard": ps.picard(), "jacobi": ps.jacobi()}
STOPS = (1, 2, 3, 4, 6, 8)
"""Updates after which evaluations are stopped."""


def input_of(kind: Any) -> jax.Array:
    """An input of a network."""
    shape = (WIDTH,) if kind is Residual else (TOKENS, WIDTH)
    return jax.random.normal(jax.random.key(7), shape)


def updates(blocks: Any, x: jax.Array, layers: int) -> dict[str, int]:
    """The updates that each method takes."""
    nets = {name: ps.nn.depth(apply, blocks, solver=solver, updates=layers) for name, solver in SOLVERS.items()}
    return {name: int(net.rollout(x).stats.iterations) for name, net in nets.items()}


def curve(kind: Any, layers: int) -> Curve:
    """Exponent and updates of a network over the initialization scale."""
    name = f"{'residual' if kind is Residual else 'transformer'}, {layers} layers"
    console.print(f"[bold]{name}[/bold]")
    x, exponents, counts = input_of(kind), [], []
    for scale in SCALES:
        blocks = stacked(kind, layers, scale, jax.random.key(layers))
        found = ps.lyapunov_exponents(*ps.nn.depth(apply, blocks).recurrence(x), k=1, key=jax.random.key(0))
        exponents.append(float(found.per_step))
        counts.append(updates(blocks, x, layers))
        console.print(f"  scale {scale}: exponent {exponents[-1]:.4f} per layer, updates {counts[-1]}")
    return Curve(name, np.asarray(SCALES), np.asarray(exponents), [each["newton"] for each in counts], layers)


def exactness(kind: Any, layers: int, scale: float) -> tuple[list[float], list[int]]:
    """Gradients against the plain loop, and their bias where evaluations stop early."""
    x, blocks = input_of(kind), stacked(kind, layers, scale, jax.random.key(layers))
    if kind is Residual:
        # Of the states of the transformer, 512 entries, a diagnosis compiles for minutes.
        console.print(f"  {ps.nn.depth(apply, blocks, solver=ps.quasi_deer()).forecast(x, key=jax.random.key(0))}")
    loss = lambda run: jnp.mean(jnp.sin(run(x)) ** 2)  # noqa: E731
    expected = ravel_pytree(eqx.filter_grad(lambda blocks: loss(lambda x: plain(blocks, x)))(blocks))[0]
    for name, solver in SOLVERS.items():
        net = ps.nn.depth(apply, blocks, solver=solver, updates=layers)
        found = ravel_pytree(eqx.filter_grad(loss)(net))[0]
        error = float(jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected))
        console.print(f"  {name}: gradient of the weights off by {error:.1g} of its norm from the plain loop's")
    biases = []
    for stop in STOPS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ps.nn.BiasWarning)
            biases.append(ps.nn.depth(apply, blocks, solver=ps.quasi_deer(), updates=stop).bias(loss).relative)
    console.print(f"  stopped after {STOPS} updates of quasi-Newton: {[f'{each:.1g}' for each in biases]}")
    return biases, list(STOPS)


def times(kind: Any, layers: int, scale: float) -> None:
    """How long an evaluation takes beside the plain loop; on a machine that does nothing else."""
    x, blocks = input_of(kind), stacked(kind, layers, scale, jax.random.key(layers))
    alone = eqx.filter_jit(plain)
    for name, solver in SOLVERS.items():
        net = eqx.filter_jit(ps.nn.depth(apply, blocks, solver=solver, updates=layers))
        ratio = compare(lambda net=net: net(x), lambda: alone(blocks, x), 5)
        console.print(
            f"  {name}: {ratio.median:.2f} times as fast as the plain loop ({ratio.low:.2f} to {ratio.high:.2f})"
        )


def main(
    residual: Annotated[str, typer.Option(help="Layers of the residual networks.")] = "64,128,256",
    transformer: Annotated[int, typer.Option(min=2, help="Layers of the transformer.")] = 48,
    out: Annotated[Path, typer.Option(help="Where to put the picture.")] = Path("build/depth.png"),
    timed: Annotated[bool, typer.Option("--times", help="Measure times too, on a quiet machine.")] = False,
) -> None:
    """Foretell, count and check networks over their depth, and draw exponents over the initialization scale."""
    kinds = [(Residual, int(each)) for each in residual.split(",")] + [(Transformer, transformer)]
    with interruptible("Run the same command again; it takes some minutes.") as check, jax.enable_x64(True):
        curves = []
        for kind, layers in kinds:
            curves.append(curve(kind, layers))
            check()
        biases = {}
        for kind, layers in (kinds[0], kinds[-1]):
            name = f"{'residual' if kind is Residual else 'transformer'}, {layers} layers"
            console.print(f"[bold]Gradients: {name}, scale 0.4[/bold]")
            biases[name] = exactness(kind, layers, 0.4)
            check()
            if timed:
                times(kind, layers, 0.4)
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(curves, biases).savefig(out, dpi=150)
    console.print(f"picture: {out}")


if __name__ == "__main__":
    typer.run(main)
