"""``make diffusion-demo``: samples of a mixture and of digits in parallel over their steps, and what bounds them."""

from pathlib import Path
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import typer
from jaxtyping import Array, Float
from rich.console import Console

import parascan as ps
from parascan.cli._errors import interruptible
from parascan.samplers import Parareal, Sampler, Window, cosine_levels, ddim, sample

from .figure import draw
from .mixture import exact_eps, mode
from .network import PIXELS, digits, trained

console = Console(highlight=False, soft_wrap=True)
TOLERANCES = (0.1, 0.01, 0.001)
"""Largest jump of a step in units of the noise that is left, in samples of the mixture."""

STEP_COUNTS = (25, 50, 100, 200)
COUNTED = ("Picard", "window of 25", "quasi-Newton")
"""Ways whose evaluations are counted for every number of steps."""


def several(sampler: Sampler, starts: Float[Array, "N D"], **options: Any) -> ps.samplers.Sample:
    """Samples from several starts, each by itself; their bounds are left to ``bounds``, which is compiled once."""
    return jax.jit(jax.vmap(lambda x: sample(sampler, x, bound=False, **options)))(starts)


@eqx.filter_jit
def bounds_of(sampler: Sampler, starts: Float[Array, "N D"], states: Float[Array, "N T D"]) -> Float[Array, " N"]:
    """Bounds on the errors of samples, whatever found them; what ``sample`` computes where it is asked to."""
    one = lambda x, states: ps.certify(sampler, x, sampler.inputs(x, None), states).bound[-1]  # noqa: E731
    return jax.vmap(one)(starts, states)


def apart(found: ps.samplers.Sample, expected: ps.samplers.Sample) -> np.ndarray:
    """Distances of samples from the sequential ones."""
    return np.linalg.norm(np.asarray(found.x - expected.x), axis=-1)


def mixture(count: int, steps: int = 100) -> None:
    """The mixture: what a loose tolerance does to samples, and what their bounds say of it."""
    levels = cosine_levels(steps)
    sampler = ddim(exact_eps(levels), levels, times=jnp.arange(float(steps)))
    starts = jax.random.normal(jax.random.key(0), (count, 2))
    expected = several(sampler, starts, solver=ps.Sequential())
    console.print(f"[bold]A mixture of three[/bold], exact score, DDIM of {steps} steps, {count} samples")
    for tol in TOLERANCES:
        criterion = ps.StepError(tol, weights=sampler.left)
        found = several(sampler, starts, solver=Window(25), criterion=criterion)
        errors, bounds = apart(found, expected), np.asarray(bounds_of(sampler, starts, found.states))
        other = int(np.sum(mode(np.asarray(found.x)) != mode(np.asarray(expected.x))))
        known = np.isfinite(bounds)
        broken = int(np.sum(errors[known] > bounds[known]))
        console.print(
            f"  window, tolerance {tol}: {int(found.evaluations.max())} evaluations in sequence at most, error "
            f"{errors.max():.2g} at most, {other} in another mode; {int(known.sum())} bounded, {broken} beyond their "
            "bound"
        )


def solvers(sampler: Sampler) -> dict[str, dict[str, Any]]:
    """The ways to find a sample, by name."""
    random = ps.Newton(ps.StochasticDiagonal(jax.random.key(5)))
    return {
        "Picard": {"solver": sampler.picard()},
        "Picard, coarse start": {"solver": sampler.picard(), "coarse": 10},
        "Picard, mixed": {"solver": ps.Anderson(sampler.picard())},
        "parareal on 10 blocks": {"solver": Parareal(10)},
        "window of 25": {"solver": Window(25)},
        "quasi-Newton": {"solver": random},
        "Newton (DEER)": {"solver": ps.deer()},
    }


def of_digits(data: np.ndarray, training: int, count: int) -> tuple[dict[str, np.ndarray], dict[str, list[int]]]:
    """The digits: each way against the sequential samples, and evaluations over the number of steps."""
    network, losses = trained(data, training, jax.random.key(1))
    tail = max(len(losses) // 10, 1)
    console.print(
        f"[bold]Digits[/bold]: {len(data)} pictures, {training} training steps, loss {losses[-tail:].mean():.3f}"
    )
    starts = jax.random.normal(jax.random.key(2), (count, PIXELS))
    pictures, counts = {}, {}
    for steps in STEP_COUNTS:
        sampler = ddim(network, cosine_levels(steps))
        # The other step counts are for the picture, where the number of evaluations of some methods is enough.
        whole = steps == STEP_COUNTS[2]
        expected = several(sampler, starts, solver=ps.Sequential()) if whole else None
        for name, options in solvers(sampler).items():
            if not whole and name not in COUNTED:
                continue
            found = several(sampler, starts, **options)
            counts.setdefault(name, []).append(int(found.evaluations.max()))
            if expected is not None:
                errors, bounds = apart(found, expected), np.asarray(bounds_of(sampler, starts, found.states))
                known = np.isfinite(bounds)
                console.print(
                    f"  {name}: {counts[name][-1]} evaluations in sequence for {steps} steps, error "
                    f"{errors.max():.2g} at most, {int(known.sum())} of {count} bounded"
                    + (f", by {bounds[known].max():.2g} at most" if known.any() else "")
                )
                pictures |= {"sequential": np.asarray(expected.x), name: np.asarray(found.x)}
    shown = {name: pictures[name] for name in ("sequential", "Picard, coarse start", "window of 25")}
    for name in COUNTED:
        console.print(f"  {name}: {counts[name]} evaluations in sequence for {list(STEP_COUNTS)} steps")
    return shown, {name: counts[name] for name in COUNTED}


def main(
    training: Annotated[int, typer.Option(min=1, help="Training steps of the network.")] = 3000,
    count: Annotated[int, typer.Option(min=1, help="Samples of digits.")] = 8,
    data: Annotated[Path | None, typer.Option(help="Table of pictures in place of the real ones.")] = None,
    out: Annotated[Path, typer.Option(help="Where to put the picture.")] = Path("build/diffusion.png"),
) -> None:
    """Sample a mixture and digits in parallel over the steps of the sampler, and say what bounds the samples."""
    with interruptible("Run the same command again; it takes a minute or two.") as check:
        mixture(32 * count)
        check()
        shown, counts = of_digits(digits(data), training, count)
        check()
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(shown, counts, STEP_COUNTS).savefig(out, dpi=150)
    console.print(f"picture: {out}")


if __name__ == "__main__":
    typer.run(main)
