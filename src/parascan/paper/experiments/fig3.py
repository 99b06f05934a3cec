"""Figure 3: Langevin dynamics in a two-well potential are unstable between the wells, and yet Newton is fast on them.

Left, the potential and the spectral norm of the step's Jacobian. Center, one chain over time. Right, the median over
seeds of Newton's steps against T.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

from ...pictures.style import Figure
from ..figures import fig3_figure as _fig3_figure
from ..harness.claims import Claim, between, near
from ..harness.experiment import Experiment, Values
from .langevin_chains import LEAST_LENGTH, PUBLISHED_LENGTH, SHORT, Chain, lengths, log_density, log_slope

if TYPE_CHECKING:
    import xarray

TRACE_SEED = 7
"""The seed whose chain of 10000 steps has the printed exponent."""

PUBLISHED_EXPONENT = -1.45
"""The exponent that figure 3 prints, per unit of time."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        seeds: number of chains; the traced one has a seed of its own where they are too few to hold it.
        ends: lengths T, increasing.
        resolution: points of the landscape along each axis.
        tolerance: bound on merit/T, in squared units of the state.
    """

    seeds: int
    ends: tuple[int, ...]
    resolution: int
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Landscape:
    """The potential and the spectral norms on a grid of so many points along each axis."""

    resolution: int


Point: TypeAlias = Landscape | Chain


def points(config: Config) -> Sequence[Point]:
    """The landscape, and one point for each chain; the traced chain comes first."""
    seeds = [TRACE_SEED, *(seed for seed in range(config.seeds) if seed != TRACE_SEED)]
    return (Landscape(config.resolution), *(Chain(seed, config.ends, config.tolerance) for seed in seeds))


def measure(point: Point, folder: Path) -> Values:
    """The landscape, or a chain with its exponent and counts."""
    return _landscape(point.resolution) if isinstance(point, Landscape) else _chain(point)


def _chain(point: Chain) -> Values:
    """Trace, exponent per unit of time, and updates by length."""
    system, xs, _ = point.build()
    trace = ps.rollout(system.step, system.initial_state, xs, solver=ps.Sequential()).states
    estimate = ps.lyapunov_exponents(
        system.step, system.initial_state, xs, key=jax.random.key(point.seed), warm_up=0, dt=0.01, chunks=1
    )
    return {
        "trace": np.asarray(trace[:, 0]),
        "exponent": float(estimate.per_time),
        "updates": point.updates(),
    }


def _landscape(resolution: int) -> Values:
    """Potential up to a constant, and norm of the Jacobian, over both coordinates."""
    step, noise = ps.systems.two_well_langevin().step, jnp.zeros(2)
    across, along = jnp.linspace(-4.0, 4.5, resolution), jnp.linspace(-3.0, 3.0, resolution)
    grid = jnp.stack(jnp.meshgrid(across, along), axis=-1).reshape(-1, 2)

    def norm(state: jax.Array) -> jax.Array:
        return jnp.linalg.norm(jax.jacfwd(lambda s: step(s, noise))(state), ord=2)

    shape = (resolution, resolution)
    return {
        "across": np.asarray(across),
        "along": np.asarray(along),
        "potential": -np.asarray(jax.vmap(lambda state: log_density(step, state))(grid)).reshape(shape),
        "norm": np.asarray(jax.vmap(norm)(grid)).reshape(shape),
    }


def gather(config: Config, values: Sequence[Values]) -> "xarray.Dataset":
    """Labelled arrays: chains by seed and length, the landscape by coordinate, the trace by step."""
    import xarray

    landscape, *chains = values
    seeds = [point.seed for point in points(config) if isinstance(point, Chain)]
    return xarray.Dataset(
        {
            "updates": (("seed", "length"), np.stack([each["updates"] for each in chains])),
            "exponent": ("seed", np.array([each["exponent"] for each in chains]), {"units": "1/time"}),
            "trace": ("step", np.asarray(chains[0]["trace"])),
            "potential": (("along", "across"), landscape["potential"]),
            "norm": (("along", "across"), landscape["norm"]),
        },
        {
            "seed": seeds,
            "length": list(config.ends),
            "across": landscape["across"],
            "along": landscape["along"],
            "step": np.arange(1, config.ends[-1] + 1),
        },
        {"traced_seed": TRACE_SEED},
    )


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """The printed exponent, the largest median, and growth slower than T."""
    ends = dataset.length.values
    counted = np.median(dataset.updates.values, axis=0) + 1
    return (
        near(
            "largest exponent of the traced chain", PUBLISHED_EXPONENT,
            dataset.exponent.sel(seed=dataset.attrs["traced_seed"]).item(), absolute=0.03, unit="per unit of time",
            explanation="" if ends[-1] == PUBLISHED_LENGTH else SHORT,
        ),
        between(
            f"exponent of any of {dataset.seed.size} chains, largest", float("-inf"), 0.0,
            dataset.exponent.max().item(), published="negative", unit="per unit of time",
        ),
        between(
            f"median Newton steps at T = {ends[-1]}, as updates + 1", 1, 35, float(counted[-1]), published="at most 35",
        ),
        between(
            f"power of T with which the median grows from T = {LEAST_LENGTH} on", float("-inf"), 0.75,
            log_slope(ends, counted, LEAST_LENGTH), published="sublinear", tolerance="at most 0.75",
        ),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """Landscape, trace and steps against T, side by side."""
    return _fig3_figure.draw(dataset)


SIZES = MappingProxyType(
    {
        "smoke": Config(seeds=2, ends=lengths(6, 300), resolution=24),
        "desk": Config(seeds=20, ends=lengths(20, 10_000), resolution=160),
        "full": Config(seeds=20, ends=lengths(40, 10_000), resolution=400),
    }
)

EXPERIMENT = Experiment(
    name="fig3",
    title="Newton's method converges quickly for Langevin dynamics in a two-well potential",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="Steps are counted as the paper counts, updates + 1. The wells lie on the first coordinate, as in the "
    "published runs; the text puts them on the other. Noise is drawn in single precision as there, so that the chain "
    "of seed 7 has the printed exponent; the other seeds are ours.",
)
