"""Figure 2 in the arithmetic of the code that the paper published: the plateau at T steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...pictures import style
from ...pictures.style import Figure
from ..harness.claims import Claim, check, near
from ..harness.experiment import Experiment
from . import network_published
from .mean_field import GAINS, LENGTHS, Exponents
from .network_published import Trace, counted

if TYPE_CHECKING:
    import xarray

RIGHT = 1000
"""T of the right panel."""

DESK_GAINS = (0.5, 0.7, 0.9, 1.0, 1.1, 2.0)
"""Gains of figure 6 on both sides of the threshold, for either figure."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        seeds: of the networks.
        gains: g.
        ends: lengths T.
        exponent_length: steps over which exponents are averaged.
        tolerance: bound on merit/T.
    """

    seeds: tuple[int, ...] = tuple(range(20))
    gains: tuple[float, ...] = GAINS
    ends: tuple[int, ...] = LENGTHS
    exponent_length: int = 10_000
    tolerance: float = 1e-10


SIZES = MappingProxyType(
    {
        "smoke": Config(seeds=(0,), gains=(0.5, 0.8, 2.0), ends=(9, 30, 100), exponent_length=1000),
        "desk": Config(seeds=(0,), gains=DESK_GAINS, ends=tuple(end for end in LENGTHS if end <= RIGHT)),
        "full": Config(),
    }
)
"""Configurations by name; an update of 1000 steps takes half a second, and an unpredictable network 1000 of them."""


def points(config: Config) -> tuple[Exponents | Trace, ...]:
    """Exponents of every seed, then every network, the least gain first."""
    found: list[Exponents | Trace] = [Exponents(seed, config.gains, config.exponent_length) for seed in config.seeds]
    found += [Trace(seed, gain, config.ends, config.tolerance) for seed in config.seeds for gain in config.gains]
    return tuple(found)


def gather(config: Config, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """Counts by seed, gain and length, at most T as the figure shows them, least merits of a run, and exponents."""
    import xarray

    seeds, ends = len(config.seeds), np.asarray(config.ends)
    exponent = np.array([each["exponent"] for each in values[:seeds]])
    counts = [counted(each["merits"], ends, config.tolerance) for each in values[seeds:]]
    steps = np.array(counts).reshape(seeds, len(config.gains), len(ends))
    least = np.array([np.nanmin(each["merits"], axis=0) for each in values[seeds:]]).reshape(steps.shape)
    return xarray.Dataset(
        {
            "steps": (("seed", "gain", "length"), steps),
            "least": (("seed", "gain", "length"), least),
            "exponent": (("seed", "gain"), exponent),
        },
        coords={"seed": list(config.seeds), "gain": list(config.gains), "length": list(config.ends)},
    )


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """The step in the right panel, whose upper level is T."""
    length = int(dataset.length[-1])
    exponent, steps = dataset.exponent.values.ravel(), dataset.steps.isel(length=-1).values.ravel()
    calm, wild = steps[exponent < -0.05], steps[exponent > 0.05]
    largest = float(dataset.steps.isel(length=-1, gain=-1).mean())
    return (
        check(
            f"steps below exponent -0.05, T = {length}", calm,
            lambda count: None if count <= length / 10 else f"{count} steps",
            published="a small number, whatever the exponent", tolerance="at most T/10", ours=_range(calm),
        ),
        check(
            f"steps above exponent 0.05, T = {length}", wild,
            lambda count: None if count >= 0.2 * length else f"{count} steps",
            published="up to T", tolerance="at least T/5", ours=_range(wild),
        ),
        *([near(f"steps at g = 2, T = {RIGHT}, mean over seeds", RIGHT, largest, relative=0.1)]
          if length == RIGHT else []),
    )  # fmt: skip


def _range(counts: np.ndarray) -> str:
    """Least and largest count."""
    return f"{counts.min()} to {counts.max()}" if counts.size else "none"


def table(dataset: "xarray.Dataset") -> tuple[tuple[str, ...], ...]:
    """A line for each gain: means over seeds at some lengths, and the least merit that the largest came down to."""
    lengths = [int(each) for each in dataset.length.values[:: max(1, dataset.sizes["length"] // 4)]]
    lengths += [int(dataset.length[-1])] if lengths[-1] != dataset.length[-1] else []
    lines: list[tuple[str, ...]] = [
        ("g", "exponent per step", *(f"steps, T = {each}" for each in lengths), "least merit/T")
    ]
    for gain in dataset.gain.values:
        cells = dataset.sel(gain=gain).mean("seed")
        counts = (f"{cells.steps.sel(length=each).item():.0f}" for each in lengths)
        lines.append(
            (f"{gain:.2f}", f"{cells.exponent.item():.3f}", *counts, f"{cells.least.isel(length=-1).item():.0e}")
        )
    return tuple(lines)


def figure(dataset: "xarray.Dataset") -> Figure:
    """The right panel: every network at the largest length."""
    figure, (panel,) = style.canvas(5.2, 3.4, (1.0,))
    length = int(dataset.length[-1])
    exponent, steps = dataset.exponent.values.ravel(), dataset.steps.isel(length=-1).values.ravel()
    for chosen, color in ((exponent < 0, style.PREDICTABLE), (exponent >= 0, style.CHAOTIC)):
        panel.plot(exponent[chosen], steps[chosen], "o", color=color, markersize=4)
    panel.axhline(length, color=style.MUTED, linewidth=1.0, linestyle=":")
    panel.axvline(0, color=style.INK, linewidth=0.8, linestyle=":")
    panel.set_xlabel(r"largest exponent $\lambda$ (1/step)")
    panel.set_ylabel(f"Newton steps at T = {length:,}")
    return figure


EXPERIMENT = Experiment(
    name="fig2",
    arithmetic="published",
    title="Newton's steps over the exponent",
    sizes=SIZES,
    points=points,
    measure=network_published.measure,
    gather=gather,
    claims=claims,
    figure=figure,
    table=table,
    note="The published scan multiplies Jacobians of unpredictable networks over hundreds of steps. The products "
    "amplify the rounding of states to more than the tolerance, so no iterate meets it and the count is T. All lengths "
    "of a network are counted along one run over the longest: the scan's value at a step does not depend on how many "
    "follow.",
)
