"""Figure 7: Newton on the two-well chain by iteration: exponents of the iterates, merit, and the range of steps by T.

The guess between the wells is unpredictable, so the first update overshoots; the iterates from then on are predictable.
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

from ...pictures import style
from ...pictures.style import Axes, Figure
from ..figures.panels import as_many_as_steps, row, titles
from ..harness.claims import Claim, between, near
from ..harness.experiment import Experiment, Values
from .langevin_chains import LEAST_LENGTH, PUBLISHED_LENGTH, SHORT, Chain, lengths, log_slope

if TYPE_CHECKING:
    import xarray

PUBLISHED_MOST = 35
"""About as many steps as any of the published 20 seeds takes at T = 10000."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        seeds: number of chains.
        ends: lengths T, increasing; iterates are those at the last.
        iterations: most updates whose iterates are looked at.
        tolerance: bound on merit/T, in squared units of the state.
    """

    seeds: int
    ends: tuple[int, ...]
    iterations: int = 60
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Iterates:
    """A chain whose iterates are looked at, so many at most."""

    chain: Chain
    iterations: int


def points(config: Config) -> Sequence[Iterates]:
    """One point for each chain."""
    chains = (Chain(seed, config.ends, config.tolerance) for seed in range(config.seeds))
    return tuple(Iterates(chain, config.iterations) for chain in chains)


def measure(point: Iterates, folder: Path) -> Values:
    """Exponent per unit of time and merit of every iterate, NaN after the last, and updates by length."""
    system, xs, guess = point.chain.build()
    states = guess
    exponents, merits = np.full((2, point.iterations + 1), np.nan)
    for iteration in range(point.iterations + 1):
        merits[iteration] = _merit(system, xs, states)
        exponents[iteration] = _exponent(system, xs, states)
        if merits[iteration] <= point.chain.tolerance:
            break
        # One update at a time gives the iterates themselves; the method has no memory that this would lose.
        states = ps.rollout(
            system.step,
            system.initial_state,
            xs,
            solver=ps.deer(),
            criterion=ps.Merit(point.chain.tolerance),
            guess=ps.guesses.Given(states, reset=guess),
            max_iterations=1,
            throw=False,
        ).states
    return {"exponents": exponents, "merits": merits, "updates": point.chain.updates()}


def _exponent(system: ps.systems.System, xs: jax.Array, states: jax.Array) -> float:
    """Exponent per unit of time of the Jacobians at an iterate, whether or not it is a trajectory."""
    found = ps.lyapunov_exponents(
        system.step, system.initial_state, xs, key=jax.random.key(0), warm_up=0, dt=0.01, chunks=1, states=states
    )
    return float(found.per_time)


def _merit(system: ps.systems.System, xs: jax.Array, states: jax.Array) -> float:
    """Merit over T of an iterate."""
    before = jnp.concatenate([system.initial_state[None], states[:-1]])
    residual = states - jax.vmap(system.step)(before, xs)
    return float(0.5 * jnp.sum(residual**2) / len(residual))


def gather(config: Config, values: Sequence[Values]) -> "xarray.Dataset":
    """Labelled arrays: exponents and merit by seed and iteration, updates by seed and length."""
    import xarray

    by_iteration = ("seed", "iteration")
    return xarray.Dataset(
        {
            "exponents": (by_iteration, np.stack([each["exponents"] for each in values]), {"units": "1/time"}),
            "merits": (by_iteration, np.stack([each["merits"] for each in values])),
            "updates": (("seed", "length"), np.stack([each["updates"] for each in values])),
        },
        {
            "seed": np.arange(config.seeds),
            "iteration": np.arange(config.iterations + 1),
            "length": list(config.ends),
        },
    )


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """Signs of the exponents, the spike of the merit, the most steps, and growth slower than T."""
    ends, most = dataset.length.values, dataset.updates.values.max(axis=0) + 1
    short = "" if ends[-1] == PUBLISHED_LENGTH else SHORT
    spike = (dataset.merits.sel(iteration=1) / dataset.merits.max("iteration")).min().item()
    return (
        between(
            "exponent of the guess, least over seeds", 0.0, float("inf"),
            dataset.exponents.sel(iteration=0).min().item(), published="positive", unit="per unit of time",
            explanation=short,
        ),
        between(
            "exponent of any later iterate, largest", float("-inf"), 0.0,
            dataset.exponents.sel(iteration=slice(1, None)).max().item(), published="negative",
            unit="per unit of time",
        ),
        between(
            "merit after one update over the largest of all iterates, least over seeds", 1.0, 1.0, spike,
            published="spike at iteration 1", explanation=short,
        ),
        near(
            f"most Newton steps at T = {ends[-1]}, as updates + 1", PUBLISHED_MOST, float(most[-1]), absolute=8,
            explanation=short,
        ),
        between(
            f"power of T with which the most steps grow from T = {LEAST_LENGTH} on", float("-inf"), 0.75,
            log_slope(ends, most, LEAST_LENGTH), published="sublinear", tolerance="at most 0.75",
        ),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """Exponents, merit and steps, side by side."""
    drawn, panels = row(11.0, 3.2, (1.0, 1.0, 1.0))
    _band(panels[0], dataset.iteration.values, dataset.exponents.values)
    panels[0].axhline(0, color=style.INK, linestyle="--", linewidth=0.9, zorder=0)
    panels[0].set_ylabel("exponent of the iterate\n(per unit of time)")
    _band(panels[1], dataset.iteration.values, dataset.merits.values)
    panels[1].set_yscale("log")
    panels[1].set_ylabel("merit / T")
    for panel in panels[:2]:
        panel.set_xlabel("iteration")
        panel.set_xlim(0, None)
    _steps(panels[2], dataset)
    titles(panels, ("exponents of the iterates", "merit of the iterates", "Newton steps, least to most"))
    return drawn


def _band(panel: Axes, places: np.ndarray, values: np.ndarray) -> None:
    """Least, median and most over the seeds that are still at work."""
    seen = np.isfinite(values).any(axis=0)
    places, values = places[seen], values[:, seen]
    panel.fill_between(
        places, np.nanmin(values, axis=0), np.nanmax(values, axis=0), color=style.PREDICTABLE, alpha=0.2, linewidth=0,
        label="least to most",
    )  # fmt: skip
    panel.plot(places, np.nanmedian(values, axis=0), color=style.PREDICTABLE, linewidth=1.4, label="median")
    panel.legend(loc="upper right", frameon=False, fontsize=7.5)


def _steps(panel: Axes, dataset: "xarray.Dataset") -> None:
    """Range over the seeds, and T itself."""
    counted, ends = dataset.updates.values + 1, dataset.length.values
    _band(panel, ends, counted.astype(float))
    as_many_as_steps(panel, ends)
    panel.axhline(PUBLISHED_MOST, color=style.INK, linestyle="--", linewidth=0.8, label="35, published most")
    panel.set_xscale("log")
    panel.set_ylim(0, 1.35 * max(float(counted.max()), PUBLISHED_MOST))
    panel.set_xlabel("sequence length T")
    panel.set_ylabel("Newton steps (updates + 1)")
    panel.legend(loc="center left", bbox_to_anchor=(0.13, 0.56), frameon=False, fontsize=7.5)


SIZES = MappingProxyType(
    {
        "smoke": Config(seeds=2, ends=lengths(6, 300), iterations=12),
        "desk": Config(seeds=20, ends=lengths(20, 10_000)),
        "full": Config(seeds=20, ends=lengths(40, 10_000)),
    }
)

EXPERIMENT = Experiment(
    name="fig7",
    title="Newton's iterates on the two-well chain are predictable from the first update on",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="An exponent of an iterate is that of the Jacobians at its states, which are no trajectory before the last. "
    "Steps are counted as the paper counts, updates + 1. Seeds differ from the published runs but for the way of "
    "drawing.",
)
