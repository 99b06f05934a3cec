"""Figure 6: steps and seconds of Newton, quasi-Newton, descent, sequential evaluation, and of this library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...pictures import style
from ...pictures.style import Axes, Figure
from ..harness.claims import Claim, between, check, rank_correlation
from ..harness.experiment import Experiment
from .fig6_measure import METHODS, RATES, Network, measure, published_rate

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        seeds: of the networks.
        gains: g.
        length: T.
        tolerance: bound on merit/T.
        block: steps in a block.
        rate_gains: gains whose networks of the first seed are solved with every step size of descent.
        budget: updates of gradient descent after which to give up.
        repeats: runs that a time is the median of.
        timed: updates after which a run of quasi-Newton need not go on to be timed.
    """

    seeds: tuple[int, ...] = tuple(range(5))
    gains: tuple[float, ...] = tuple(round(0.5 + 0.1 * k, 1) for k in range(16))
    length: int = 1000
    tolerance: float = 1e-4
    block: int = 32
    rate_gains: tuple[float, ...] = tuple(round(0.5 + 0.1 * k, 1) for k in range(16))
    budget: int = 10_000
    repeats: int = 5
    timed: int = 1000


SIZES = MappingProxyType(
    {
        "smoke": Config(
            seeds=(0,), gains=(0.7, 0.8, 0.9, 1.7), length=60, rate_gains=(), budget=2000, repeats=3, timed=2, block=10
        ),
        "desk": Config(seeds=(0, 1, 2), rate_gains=(0.5, 0.6, 0.7), budget=1500, repeats=3, timed=5),
        "full": Config(),
    }
)
"""Configurations by name; the paper's has every step size on every network."""

STYLES = {
    "newton": ("Newton (DEER)", style.PREDICTABLE, "o", "-"),
    "quasi_newton": ("quasi-Newton", "#E69F00", "s", "-"),
    "descent": ("gradient descent", style.CHAOTIC, "^", "-"),
    "sequential": ("sequential", "#009E73", "D", "-"),
    "blocks": ("Newton over blocks", "#56B4E9", "v", "--"),
    "default": ("parascan's choice", style.INK, "x", "--"),
    "plan": ("parascan's plan", "#CC79A7", "o", ":"),
}
"""Names, colors that stay apart for every kind of color blindness, markers and lines."""


def points(config: Config) -> tuple[Network, ...]:
    """A point a network."""
    rest = (config.budget, config.repeats, config.timed)
    found = []
    for seed in config.seeds:
        for gain in config.gains:
            every = seed == config.seeds[0] and gain in config.rate_gains
            rates = RATES if every else (published_rate(gain),)
            strict = seed == config.seeds[0]
            found.append(Network(seed, gain, config.length, config.tolerance, config.block, rates, *rest, strict))
    return tuple(found)


def gather(config: Config, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """Steps and seconds by seed, gain and method, exponents, and what descent does with each step size."""
    import xarray

    shape = (len(config.seeds), len(config.gains))
    by_rate = np.full((*shape, len(RATES)), np.nan)
    for place, point in enumerate(points(config)):
        where = np.unravel_index(place, shape)
        by_rate[where][[RATES.index(rate) for rate in point.rates]] = values[place]["descent_by_rate"]
    columns: dict[str, Any] = {"descent_by_rate": (("seed", "gain", "rate"), by_rate)}
    for name in ("exponent", "best_rate", "descent_strict"):
        columns[name] = (("seed", "gain"), np.array([each[name] for each in values]).reshape(shape))
    for name in ("steps", "seconds"):
        stacked = np.array([each[name] for each in values]).reshape(*shape, len(METHODS))
        columns[name] = (("seed", "gain", "solver"), stacked)
    coordinates = {"seed": list(config.seeds), "gain": list(config.gains), "solver": list(METHODS), "rate": list(RATES)}
    return xarray.Dataset(columns, coords=coordinates, attrs={"length": config.length, "budget": config.budget})


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the paper reads off the figure."""
    exponent = dataset.exponent.values.ravel()
    steps = {method: dataset.steps.sel(solver=method).values.ravel() for method in METHODS}
    calm = exponent < -0.05
    rows = list(zip(*(steps[method][calm] for method in ("newton", "quasi_newton", "descent")), strict=True))
    most = float(steps["newton"][calm].max(initial=0)) + 1
    return (
        between("steps of Newton below exponent -0.05, largest", 1, 20, most, published="a small number"),
        *(_rises(f"steps of {STYLES[name][0]} rise with the exponent: rank correlation", exponent, steps[name])
          for name in ("newton", "quasi_newton", "descent")),
        check(
            "Newton takes the fewest steps, then quasi-Newton, then descent, below exponent -0.05", rows, _order,
            published="degrades more quickly with less curvature",
        ),
        *_rates(dataset),
        *_times(dataset),
    )  # fmt: skip


def _rises(quantity: str, exponent: np.ndarray, steps: np.ndarray) -> Claim:
    """Whether steps rise with the exponent, where the method got to the end."""
    known = np.isfinite(steps)
    found = rank_correlation(exponent[known], steps[known])
    return between(quantity, 0.7, 1.0, found, published="monotone", tolerance="at least 0.7")


def _order(row: tuple[float, float, float]) -> str | None:
    """Counts out of order."""
    return None if row[0] <= row[1] <= row[2] else f"{row[0]:g}, {row[1]:g} and {row[2]:g} steps"


def _rates(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """The step sizes that were best, beside the published ones."""
    tried = dataset.descent_by_rate.isel(seed=0)
    rows = []
    for gain in dataset.gain.values:
        counts = dict(zip(RATES, tried.sel(gain=gain).values, strict=True))
        if not np.isnan(list(counts.values())).any() and np.isfinite(min(counts.values())):
            rows.append((float(gain), counts))

    def fault(row: tuple[float, dict[float, float]]) -> str | None:
        gain, counts = row
        rate, best = published_rate(gain), min(counts, key=lambda each: counts[each])
        if counts[rate] <= 1.1 * counts[best]:
            return None
        return f"g = {gain}: {counts[best]:g} steps with {best}, {counts[rate]:g} with the published {rate}"

    if not rows:
        return ()
    claim = check(
        "the published step size of descent is the best of nine, for each gain tried",
        rows,
        fault,
        published="0.6, 0.5, then 0.25",
        tolerance="10 % more steps",
    )
    return (claim,)  # fmt: skip


def _times(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What is said about seconds; they are those of the machine that ran this."""
    seconds = dataset.seconds.mean("seed")
    exponent = dataset.exponent.mean("seed").values
    ratio = (seconds.sel(solver="newton") / seconds.sel(solver="sequential")).values
    calm, wild = np.median(ratio[exponent < -0.05]), np.median(ratio[exponent > 0.05])
    step = seconds.sel(solver="sequential").median().item() / dataset.length
    flat = seconds.sel(solver="sequential")
    hardware = (
        f"A sequential step takes {step * 1e6:.1f} microseconds on this processor: no launch of a kernel delays it as "
        f"on the paper's GPU, and there are not enough cores to do an update's {dataset.length} linearizations at once."
    )
    choice = (seconds.sel(solver="default") / seconds.sel(solver="sequential")).max().item()
    return (
        between(
            "time of sequential evaluation, largest over least mean", 1, 3, float(flat.max() / flat.min()),
            published="constant",
        ),
        between(
            "time of Newton over sequential, predictable, median", 0.0, 0.5, float(calm), published="0.1 on an H100",
            tolerance="at most 0.5", explanation=hardware,
        ),
        between(
            "time of Newton over sequential, unpredictable, median", 5, 200, float(wild),
            published="10 to 100 on an H100", tolerance="5 to 200", explanation=hardware,
        ),
        between(
            "beyond the paper: time of parascan's choice over sequential, largest", 0, 1.5, choice, published="none",
            tolerance="at most 1.5",
        ),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """Steps above, seconds below, over the exponent; means over seeds."""
    figure, (top, bottom) = style.canvas(6.4, 6.2, (1.0, 1.0))
    for method in METHODS:
        if method not in ("sequential", "default", "plan"):
            _curve(top, dataset, "steps", method)
        _curve(bottom, dataset, "seconds", method)
    top.axhline(dataset.length, color=style.MUTED, linewidth=1.0, linestyle=":")
    top.annotate(f"T = {dataset.length:,}", (0.01, dataset.length), (0, 2), xycoords=("axes fraction", "data"),
                 textcoords="offset points", fontsize=8, color=style.MUTED)  # fmt: skip
    top.set_ylabel("steps (updates + 1)")
    bottom.set_ylabel("seconds")
    bottom.set_xlabel(r"largest exponent $\lambda$ per step")
    for panel in (top, bottom):
        panel.axvline(0, color=style.INK, linewidth=0.8, linestyle=":")
    style.letters((top, bottom))
    handles, labels = bottom.get_legend_handles_labels()
    top.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8)
    return figure


def _curve(panel: Axes, dataset: "xarray.Dataset", name: str, method: str) -> None:
    """A method's mean over seeds; where a seed did not get to the end there is nothing to average."""
    label, color, marker, line = STYLES[method]
    # Plans were made for the first seed alone.
    dataset = dataset.isel(seed=[0]) if method == "plan" else dataset
    reached = np.isfinite(dataset.steps.sel(solver=method)).all("seed").values
    values = dataset[name].sel(solver=method).mean("seed").values + (1 if name == "steps" else 0)
    exponent = dataset.exponent.mean("seed").values
    order = np.argsort(exponent)
    shown = np.where(reached, values, np.nan)[order]
    # Rings around what a plan agrees with, which would hide it otherwise.
    ring = {"markersize": 8, "markerfacecolor": "none"} if method == "plan" else {"markersize": 4}
    if not reached.any():
        return
    panel.semilogy(exponent[order], shown, line, color=color, marker=marker, linewidth=1.2, label=label, **ring)
    if name == "steps":
        style.beyond(panel, exponent[~reached], None, color)


EXPERIMENT = Experiment(
    name="fig6",
    title="Steps and seconds of Newton, quasi-Newton, gradient descent, sequential evaluation, and of this library",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    alone=True,
    note="One rule for all: merit/T <= 1e-4, where the published loop of descent left out 1/T (`descent_strict` in the "
    "dataset counts by that rule). The weights have no diagonal, so quasi-Newton's updates are Jacobi's; its time is "
    "that of the first updates with the diagonal computed, in proportion. Newton is `ps.deer()`, whose linear solve "
    "on a processor is sequential and without stored Jacobians. Gaps are where a network did not converge within the "
    "updates allowed. Plans were made for the networks of the first seed.",
)
