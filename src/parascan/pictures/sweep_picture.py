"""A sweep: the threshold of a system along one parameter, or over two."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ..api.sweeping import ParameterSweep
from .style import (
    CHAOTIC,
    INK,
    LABEL_SIZE,
    MUTED,
    PREDICTABLE,
    SMALL_SIZE,
    Axes,
    Figure,
    beyond,
    canvas,
    crosses,
    frame,
    legend_below,
    legend_beside,
    letters,
    single,
    titled,
    with_intervals,
)


def sweep(found: ParameterSweep, *, title: str) -> Figure:
    """Exponent, expected and counted updates against the parameter; maps of exponent and updates for two of them.

    Args:
        found: the sweep.
        title: one line above the picture.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    return _line(found, title) if len(found.parameters) == 1 else _map(found, title)


def _line(found: ParameterSweep, title: str) -> Figure:
    """Two panels over one parameter."""
    figure, panels = canvas(7.5, 6.0, (1.0, 1.2))
    ((name, places),) = found.parameters.items()
    places = places.astype(float)
    panels[0].set_title(title, fontsize=LABEL_SIZE, loc="left")
    _exponents(panels[0], places, found)
    _updates(panels[1], places, found)
    _threshold(panels, found, name)
    for panel in panels:
        legend_beside(panel)
    panels[-1].set_xlabel(name)
    _spread(panels[-1], places)
    letters(panels)
    return figure


def sweep_panels(found: ParameterSweep) -> Mapping[str, Figure]:
    """The panels of a sweep over one parameter as figures of their own, by name, for a narrow page.

    Args:
        found: the sweep.

    Raises:
        ImportError: matplotlib is not installed.
    """
    ((name, places),) = found.parameters.items()
    figures = {}
    for title, draw in (("exponent", _exponents), ("updates", _updates)):
        figures[title], panel = single(3.8)
        draw(panel, places.astype(float), found)
        _threshold([panel], found, name)
        _spread(panel, places)
        panel.set_xlabel(name)
        legend_below(figures[title], panel)
    return figures


def _spread(panel: Axes, places: Float[np.ndarray, " N"]) -> None:
    """A logarithmic axis for values that are not evenly spread."""
    if len(places) > 2 and places[0] > 0 and np.ptp(np.diff(places)) > 0.1 * np.ptp(places) / len(places):
        panel.set_xscale("log")


def _exponents(panel: Axes, places: Float[np.ndarray, " N"], found: ParameterSweep) -> None:
    """Exponents with their intervals, and marks where there is none."""
    value, low, high = (np.asarray(each) for each in (found.exponent.value, found.exponent.low, found.exponent.high))
    finite = np.isfinite(value)
    panel.axhline(0, color=INK, linewidth=0.8)
    panel.plot(places[finite], value[finite], color=MUTED, linewidth=0.9, zorder=1)
    with_intervals(panel, places, value, low, high)
    crosses(panel, places[np.isneginf(value)], 0.0, r"$\lambda = -\infty$")
    crosses(panel, places[np.isnan(value)], 0.5, "no exponent")
    panel.set_ylabel("largest exponent " r"$\lambda$" f" (1/step),\n{found.exponent.level:.0%} intervals")


def _updates(panel: Axes, places: Float[np.ndarray, " N"], found: ParameterSweep) -> None:
    """Expected updates with their interval, counted ones, and counts of rollouts that did not succeed."""
    value, low, high = (np.asarray(each) for each in (found.expected.value, found.expected.low, found.expected.high))
    known = np.isfinite(value)
    if known.any():
        ends = (np.maximum(np.where(np.isfinite(each), each, value), 0.5)[known] for each in (low, high))
        panel.fill_between(
            places[known],
            *ends,
            color=MUTED,
            alpha=0.3,
            linewidth=0,
            label=f"{found.expected.level:.0%} interval of\nexpected updates",
        )
        panel.plot(
            places[known], np.maximum(value[known], 0.5), "--", color=INK, linewidth=1.2, label="expected updates"
        )
    counted = found.solved & np.isfinite(found.updates)
    if counted.any():
        panel.plot(
            places[counted], np.maximum(found.updates[counted], 0.5), "s", color=PREDICTABLE, markersize=4.5,
            label="counted updates",
        )  # fmt: skip
    panel.set_yscale("log")
    if found.length is not None:
        panel.axhline(found.length, color=MUTED, linestyle=":", linewidth=1.2, label=f"$T$ = {found.length:,}")
    beyond(panel, places[~found.solved & np.isfinite(found.updates)], "not solved within\nthe updates allowed")
    crosses(panel, places[found.reason != ""], 0.0, "failed")
    panel.set_ylabel("updates")


def _threshold(panels: Sequence[Axes], found: ParameterSweep, name: str) -> None:
    """The first crossing, with its interval, in all panels; named in the first."""
    value, low, high = (float(each) for each in (found.threshold.value, found.threshold.low, found.threshold.high))
    if np.isnan(value):
        return
    label = f"$\\lambda = 0$ at {name}\n= {value:.4g}"
    for panel in panels:
        first = panel is panels[0]
        panel.axvline(value, color=CHAOTIC, linestyle="--", linewidth=1.0, zorder=0, label=label if first else None)
        if np.isfinite([low, high]).all():
            interval = f"its interval,\n{low:.4g} to {high:.4g}" if first else None
            panel.axvspan(low, high, color=CHAOTIC, alpha=0.1, linewidth=0, zorder=0, label=interval)


def _map(found: ParameterSweep, title: str) -> Figure:
    """Two maps over two parameters, with the line where the exponent is zero."""
    figure = titled(9.0, 3.9, title)
    from matplotlib.colors import LogNorm, TwoSlopeNorm

    left, right = figure.subplots(1, 2, sharey=True)
    (across, first), (along, second) = ((name, axis.astype(float)) for name, axis in found.parameters.items())
    exponent = np.asarray(found.exponent.value, float)
    finite = exponent[np.isfinite(exponent)]
    # Each sign has its own scale: exponents above zero are small beside those of systems that forget at once.
    least, most = min(float(finite.min(initial=0.0)), -1e-9), max(float(finite.max(initial=0.0)), 1e-9)
    norm = TwoSlopeNorm(0.0, least, most)
    _fields(figure, left, found, exponent, norm, "RdBu_r", r"largest exponent $\lambda$ (1/step)")
    updates = np.where(np.isfinite(found.updates), np.maximum(found.updates, 1), np.nan)
    top = max(float(np.nanmax(updates, initial=1.0)), 2.0)
    _fields(figure, right, found, updates, LogNorm(1, top), "cividis", "counted updates")
    for panel in (left, right):
        frame(panel)
        known = np.asarray(found.threshold.value, float)
        seen = np.isfinite(known)
        if seen.any():
            panel.plot(known[seen], second[seen], "o-", color=INK, markerfacecolor="white", markersize=4,
                       linewidth=1.0, label=r"threshold, $\lambda = 0$")  # fmt: skip
        panel.set_xlabel(across)
    left.set_ylabel(along)
    _unsolved(right, found, first, second)
    letters([left, right])
    handles, labels = right.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL_SIZE)
    return figure


def _fields(
    figure: Figure, panel: Axes, found: ParameterSweep, values: Any, norm: Any, colors: str, label: str
) -> None:
    """A colored field for every point; hatched where nothing is known."""
    from matplotlib.colors import LogNorm

    first, second = (_edges(axis.astype(float)) for axis in found.parameters.values())
    panel.patch.set(facecolor="white", hatch="////", edgecolor=MUTED)
    shown = np.ma.masked_invalid(np.clip(values, norm.vmin, norm.vmax)).T
    shade = panel.pcolormesh(first, second, shown, norm=norm, cmap=colors, rasterized=True)
    bar = figure.colorbar(shade, ax=panel, pad=0.02)
    bar.set_label(label, fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)
    if not isinstance(norm, LogNorm):
        ticks = [*np.linspace(norm.vmin, 0, 4)[:-1], *np.linspace(0, norm.vmax, 4)]
        bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])


def _unsolved(
    panel: Axes, found: ParameterSweep, first: Float[np.ndarray, " N"], second: Float[np.ndarray, " M"]
) -> None:
    """Marks on points whose rollout did not succeed, and on points that failed."""
    for chosen, marker, label in (
        (~found.solved & np.isfinite(found.updates), "^", "not solved within the updates allowed"),
        (found.reason != "", "x", "failed"),
    ):
        if chosen.any():
            across, along = np.nonzero(chosen)
            panel.plot(first[across], second[along], marker, color=CHAOTIC, markersize=5, linestyle="", label=label)


def _edges(centers: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N+1"]:
    """Borders halfway between neighbors; half a unit beside a single value."""
    if len(centers) == 1:
        return np.array([centers[0] - 0.5, centers[0] + 0.5])
    middle = (centers[1:] + centers[:-1]) / 2
    return np.concatenate([[2 * centers[0] - middle[0]], middle, [2 * centers[-1] - middle[-1]]])
