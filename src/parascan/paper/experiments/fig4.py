"""Figure 4: the largest exponent of a mean-field network rises with the gain of its weights, whatever the seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...pictures import style
from ...pictures.style import Figure
from ..harness.claims import Claim, between, near
from ..harness.experiment import Experiment
from .mean_field import GAINS, Exponents, measure

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        seeds: of the networks.
        gains: g.
        length: steps over which exponents are averaged.
    """

    seeds: tuple[int, ...] = tuple(range(20))
    gains: tuple[float, ...] = GAINS
    length: int = 10_000


SIZES = MappingProxyType(
    {
        "smoke": Config(seeds=(0, 1), gains=(0.5, 0.8, 1.1, 1.4, 1.7, 2.0), length=1000),
        "desk": Config(),
        "full": Config(),
    }
)
"""Configurations by name; a desk can do the paper's."""


def points(config: Config) -> tuple[Exponents, ...]:
    """A point a seed, the same as those of figure 2."""
    return tuple(Exponents(seed, config.gains, config.length) for seed in config.seeds)


def gather(config: Config, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """Exponents by seed and gain."""
    import xarray

    columns = {name: (("seed", "gain"), np.stack([each[name] for each in values])) for name in ("exponent", "spread")}
    return xarray.Dataset(columns, coords={"seed": list(config.seeds), "gain": list(config.gains)})


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the paper reads off the figure."""
    mean = dataset.exponent.mean("seed")
    band = dataset.exponent.max("seed") - dataset.exponent.min("seed")
    gains = dataset.gain.values
    at = float(np.interp(1.2, gains, mean.values))
    fall = float(np.max(np.maximum.accumulate(mean.values) - mean.values))
    return (
        near("exponent at g = 1.2, per step, mean over seeds", 0.0, at, absolute=0.02),
        between(
            "largest fall of the mean exponent as g rises, per step", 0.0, 0.005, fall, published="monotone",
            tolerance="0.005",
        ),
        between(
            "largest min-max range over seeds, over the rise of the mean from the least to the largest g", 0.0, 0.2,
            float(band.max() / (mean[-1] - mean[0])), published="small", tolerance="at most 0.2",
        ),
        between("exponent at g = 0.5, per step", -1.0, 0.0, float(mean[0]), published="negative"),
        between("exponent at g = 2, per step", 0.0, 1.0, float(mean[-1]), published="positive"),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """The mean over seeds with the range from the least to the largest."""
    figure, (panel,) = style.canvas(4.6, 3.2, (1.0,))
    exponent, gains = dataset.exponent, dataset.gain.values
    panel.fill_between(
        gains, exponent.min("seed"), exponent.max("seed"), color=style.PREDICTABLE, alpha=0.3, linewidth=0,
        label=f"least to largest of {dataset.sizes['seed']} seeds",
    )  # fmt: skip
    panel.plot(gains, exponent.mean("seed"), color=style.PREDICTABLE, linewidth=1.5, label="mean")
    panel.axhline(0, color=style.INK, linewidth=0.8, linestyle=":")
    panel.set_xlabel("g, scale of the weights")
    panel.set_ylabel(r"largest exponent $\lambda$ per step")
    panel.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


EXPERIMENT = Experiment(
    name="fig4",
    title="The gain of a mean-field network sets its largest exponent",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="Algorithm 1 with three start directions and no warm-up; the points are those of figure 2.",
)
