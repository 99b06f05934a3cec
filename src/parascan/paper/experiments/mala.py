"""Beyond the paper: when the Metropolis-adjusted Langevin chain is predictable, by the size of its steps.

The paper conjectures that the chain may be predictable where unadjusted dynamics are. Two chains under the same noise
meet if the exponent is negative; an accept that jumps is linearized as it is, or through a smooth one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

from ...pictures.style import Figure
from ..figures import mala_figure
from ..harness.claims import Claim, between, near
from ..harness.experiment import Experiment, Values
from .mala_chain import MetropolisStep, chain

if TYPE_CHECKING:
    import xarray

UNADJUSTED = -1.585
"""Exponent per unit of time of unadjusted dynamics in the same potential, the mean of 32 long runs."""

STEEPEST = 2.5
"""What a step size changes in an exponent at most: half the square of the largest curvature, 1/0.45."""

CALM = 0.01
"""Exponent per step that tells predictable chains from unpredictable ones on either side of zero."""

SHARE = 0.1
"""Updates over T that tell fast from slow; a chain that rejects most proposals stands still most of the time, and its
guess is put right sooner than that of a chaotic flow."""

MET = 1e-6
"""Distance below which two chains have met, in units of the state."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        step_sizes: eps of the proposals, increasing.
        seeds: chains for each.
        length: steps T of Newton's method.
        exponent_length: steps over which exponents and acceptance are averaged.
        sharpness: of the smooth accept.
        tolerance: bound on merit/T, in squared units of the state.
    """

    step_sizes: tuple[float, ...]
    seeds: int
    length: int
    exponent_length: int
    sharpness: float = 2.0
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Point:
    """One chain; see ``Config``."""

    step_size: float
    seed: int
    length: int
    exponent_length: int
    sharpness: float
    tolerance: float


def points(config: Config) -> Sequence[Point]:
    """One point for each step size and seed."""
    rest = (config.length, config.exponent_length, config.sharpness, config.tolerance)
    return tuple(Point(size, seed, *rest) for size in config.step_sizes for seed in range(config.seeds))


def measure(point: Point, folder: Path) -> Values:
    """Exponent per step, acceptance, the distance of two coupled chains, updates of both linearizations, and errors."""
    of_noise, of_guess, of_start, of_direction = jax.random.split(jax.random.key(point.seed), 4)
    step, start, noise = chain(point.step_size, point.exponent_length, of_noise)
    states = ps.rollout(step, start, noise, solver=ps.Sequential()).states
    before = jnp.concatenate([start[None], states[:-1]])
    other = ps.rollout(step, start + jax.random.normal(of_start, (2,)), noise, solver=ps.Sequential()).states
    estimate = ps.lyapunov_exponents(step, start, noise, key=of_direction, chunks=1)
    found = {
        "exponent": float(estimate.per_step),
        "accepted": float(jnp.mean(jnp.any(states != before, axis=1))),
        "apart": float(jnp.linalg.norm(other[-1] - states[-1])),
    }
    smooth = ps.Surrogate(MetropolisStep(step.proposal, point.sharpness))
    for name, solver in (("jump", ps.deer()), ("smooth", ps.Newton(smooth))):
        solution = ps.rollout(
            step,
            start,
            noise[: point.length],
            solver=solver,
            criterion=ps.Merit(point.tolerance),
            guess=ps.guesses.Normal(of_guess),
            throw=False,
        )
        found[f"updates_{name}"] = int(solution.stats.iterations)
        found[f"error_{name}"] = float(jnp.max(jnp.abs(solution.states - states[: point.length])))
    return found


def gather(config: Config, values: Sequence[Values]) -> "xarray.Dataset":
    """Labelled arrays by step size and seed, counts also by linearization."""
    import xarray

    shape = (len(config.step_sizes), config.seeds)
    names = ("jump", "smooth")

    def table(name: str) -> np.ndarray:
        return np.array([each[name] for each in values]).reshape(shape)

    both = ("linearization", "step_size", "seed")
    return xarray.Dataset(
        {
            **{name: (both[1:], table(name)) for name in ("exponent", "accepted", "apart")},
            **{name: (both, np.stack([table(f"{name}_{each}") for each in names])) for name in ("updates", "error")},
        },
        {"linearization": list(names), "step_size": list(config.step_sizes), "seed": np.arange(config.seeds)},
        {"length": config.length, "exponent_length": config.exponent_length},
    )


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """The limit of small steps, the threshold, and that predictable chains meet and are solved."""
    small = dataset.isel(step_size=0)
    per_time = float(small.exponent.mean()) / float(small.step_size)
    spread = float(small.exponent.std()) / float(small.step_size) / np.sqrt(dataset.seed.size)
    calm, wild = dataset.exponent < -CALM, dataset.exponent > CALM
    share = dataset.updates / dataset.length
    return (
        near(
            f"exponent at step size {float(small.step_size):g}, against that of unadjusted dynamics over long runs",
            UNADJUSTED, per_time, absolute=max(4 * spread, 0.1) + STEEPEST * float(small.step_size),
            unit="per unit of time",
        ),
        between(
            "acceptance, most by which it rises with the step size", float("-inf"), 0.02,
            float(dataset.accepted.mean("seed").diff("step_size").max()), published="theory: falls", tolerance="0.02",
        ),
        between(
            f"chains with an exponent below {-CALM} that met another under the same noise, share", 0.9, 1.0,
            float((dataset.apart < MET).where(calm).mean()), published="theory: all", tolerance="at least 0.9",
        ),
        between(
            f"updates over T at exponents below {-CALM}, median of the better linearization", 0.0, SHARE,
            float(share.min("linearization").where(calm).median()), published="theory: fast",
            tolerance=f"at most {SHARE}",
        ),
        between(
            f"updates over T at exponents above {CALM}, median of the better linearization", SHARE, 1.0,
            float(share.min("linearization").where(wild).median()), published="theory: slow",
            tolerance=f"at least {SHARE}",
            explanation="" if bool(wild.any()) else "no chain of this size is unpredictable",
        ),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """Exponent and acceptance against the step size, and updates against the exponent."""
    return mala_figure.draw(dataset)


def _sizes(count: int) -> tuple[float, ...]:
    """Step sizes, evenly spread in their logarithm."""
    return tuple(round(float(each), 5) for each in np.geomspace(0.01, 2.0, count))


SIZES = MappingProxyType(
    {
        "smoke": Config((0.05, 0.3, 1.0), seeds=1, length=100, exponent_length=1000),
        "desk": Config(_sizes(15), seeds=8, length=1000, exponent_length=20_000),
        "full": Config(_sizes(30), seeds=20, length=10_000, exponent_length=100_000),
    }
)

EXPERIMENT = Experiment(
    name="mala",
    title="The Metropolis-adjusted Langevin chain is predictable up to a step size, and fast to evaluate up to there",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="Not in the paper, which raises the question. Noise and accept are shared between chains. A rejected proposal "
    "leaves the state where it is, with the identity as Jacobian; the exponent cannot see that a chain near the "
    "border of acceptance may jump, so that Newton takes more updates than on smooth systems of the same exponent. "
    "Small merit says nothing of the trajectory where the exponent is positive.",
)
