"""Figure 6's counts in the arithmetic of the code that the paper published, descent with its own rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...pictures import style
from ...pictures.style import Figure
from ..harness.claims import Claim, between, check
from ..harness.experiment import Experiment
from . import network_published
from .fig2_published import DESK_GAINS
from .mean_field import LENGTHS, Exponents
from .network_published import Others, Trace, counted

if TYPE_CHECKING:
    import xarray

STYLES = {
    "newton": ("Newton (DEER)", style.PREDICTABLE, "o"),
    "quasi_newton": ("quasi-Newton", "#E69F00", "s"),
    "descent": ("gradient descent", style.CHAOTIC, "^"),
}
"""Names, colors and markers, those of figure 6."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        seeds: of the networks.
        gains: g.
        ends: lengths whose merits a run of Newton's method keeps, the last of them T.
        exponent_length: steps over which exponents are averaged.
        tolerance: of figure 6.
        until: tolerance at which a run of Newton's method ends, that of figure 2, whose runs these are.
    """

    seeds: tuple[int, ...] = tuple(range(5))
    gains: tuple[float, ...] = tuple(round(0.5 + 0.1 * k, 1) for k in range(16))
    ends: tuple[int, ...] = tuple(end for end in LENGTHS if end <= 1000)
    exponent_length: int = 10_000
    tolerance: float = 1e-4
    until: float = 1e-10


SIZES = MappingProxyType(
    {
        "smoke": Config(seeds=(0,), gains=(0.5, 0.8, 2.0), ends=(9, 30, 100), exponent_length=1000),
        "desk": Config(seeds=(0,), gains=DESK_GAINS),
        "full": Config(),
    }
)
"""Configurations by name; smoke and desk measure the networks of figure 2 in this arithmetic."""


def points(config: Config) -> tuple[Exponents | Trace | Others, ...]:
    """Exponents of every seed, then Newton's method on every network, then the other two."""
    networks = [(seed, gain) for seed in config.seeds for gain in config.gains]
    return (
        *(Exponents(seed, config.gains, config.exponent_length) for seed in config.seeds),
        *(Trace(*network, config.ends, config.until) for network in networks),
        *(Others(*network, config.ends[-1], config.tolerance) for network in networks),
    )


def gather(config: Config, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """Counts by method, seed and gain, and exponents."""
    import xarray

    seeds, shape = len(config.seeds), (len(config.seeds), len(config.gains))
    networks, ends = seeds * len(config.gains), np.asarray(config.ends)
    newton = [counted(each["merits"], ends, config.tolerance)[-1] for each in values[seeds : seeds + networks]]
    others = values[seeds + networks :]
    steps = np.array([newton, *([each[name] for each in others] for name in ("quasi_newton", "descent"))])
    return xarray.Dataset(
        {
            "steps": (("solver", "seed", "gain"), steps.reshape(len(STYLES), *shape)),
            "exponent": (("seed", "gain"), np.array([each["exponent"] for each in values[:seeds]])),
        },
        coords={"solver": list(STYLES), "seed": list(config.seeds), "gain": list(config.gains)},
        attrs={"length": config.ends[-1]},
    )


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the paper reads off the counts."""
    length = int(dataset.length)
    exponent = dataset.exponent.values.ravel()
    steps = {method: dataset.steps.sel(solver=method).values.ravel() for method in STYLES}
    calm = exponent < -0.05
    rows = list(zip(*(steps[method][calm] for method in STYLES), strict=True))
    most = float(steps["newton"][calm].max(initial=0))
    order = np.argsort(exponent)
    falls = {method: int(np.diff(counts[order]).min(initial=0)) for method, counts in steps.items()}
    return (
        between("steps of Newton below exponent -0.05, largest", 1, 20, most, published="a small number"),
        check(
            "steps do not fall as the exponent rises, by method", list(STYLES),
            lambda method: None if falls[method] >= -0.1 * length else f"{method} falls by {-falls[method]}",
            published="monotone", tolerance="T/10",
        ),
        check(
            "Newton takes the fewest steps, then quasi-Newton, then descent, below exponent -0.05", rows,
            lambda row: None if row[0] <= row[1] <= row[2] else f"{row[0]}, {row[1]} and {row[2]} steps",
            published="degrades more quickly with less curvature",
        ),
        between(
            "steps of quasi-Newton and descent at the largest gain, over T", 1, 1,
            float(dataset.steps.isel(gain=-1).sel(solver=["quasi_newton", "descent"]).min()) / length, published="1",
        ),
    )  # fmt: skip


def table(dataset: "xarray.Dataset") -> tuple[tuple[str, ...], ...]:
    """A line for each gain, means over seeds."""
    lines: list[tuple[str, ...]] = [("g", "exponent per step", *(label for label, *_ in STYLES.values()))]
    for gain in dataset.gain.values:
        cells = dataset.sel(gain=gain).mean("seed")
        counts = (f"{cells.steps.sel(solver=method).item():.0f}" for method in STYLES)
        lines.append((f"{gain:.2f}", f"{cells.exponent.item():.3f}", *counts))
    return tuple(lines)


def figure(dataset: "xarray.Dataset") -> Figure:
    """Counts over the exponent, a point a network."""
    figure, (panel,) = style.canvas(5.6, 3.6, (1.0,))
    for method, (label, color, marker) in STYLES.items():
        panel.semilogy(
            dataset.exponent.values.ravel(), dataset.steps.sel(solver=method).values.ravel(), marker, color=color,
            markersize=4, linestyle="", label=label,
        )  # fmt: skip
    panel.axhline(int(dataset.length), color=style.MUTED, linewidth=1.0, linestyle=":")
    panel.axvline(0, color=style.INK, linewidth=0.8, linestyle=":")
    panel.set_xlabel(r"largest exponent $\lambda$ per step")
    panel.set_ylabel("steps, at most T")
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8)
    return figure


EXPERIMENT = Experiment(
    name="fig6",
    arithmetic="published",
    title="Steps of Newton, quasi-Newton and gradient descent",
    sizes=SIZES,
    points=points,
    measure=network_published.measure,
    gather=gather,
    claims=claims,
    figure=figure,
    table=table,
    note="Newton and quasi-Newton stop at merit/T <= 1e-4 and count one step more than their updates; descent stops at "
    "merit <= 1e-4, without the 1/T, with the published step sizes 0.6, 0.5 and 0.25, and counts its updates. All stop "
    "at T. Seconds are those of a machine and not of an arithmetic: they stand with the other arithmetic alone.",
)
