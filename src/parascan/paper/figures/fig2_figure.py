"""Figure 2's three panels."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from ...pictures import style
from ...pictures.style import Axes, Figure

if TYPE_CHECKING:
    import xarray

COLORS = "cividis"
"""From dark to light in lightness alone, so that every reader sees the same order."""


def draw(dataset: "xarray.Dataset", theory: Float[np.ndarray, "G K"]) -> Figure:
    """Left theory, center the mean over seeds, right every network at one length.

    Args:
        dataset: of figure 2.
        theory: -log mu~ of every gain and length.
    """
    figure = style.empty(10.5, 3.3)
    from matplotlib.colors import LogNorm

    left, center, right = figure.subplots(1, 3)
    exponents = dataset.exponent.mean("seed").values
    # Near zero the exponents of neighboring gains may change places; the axis needs them in order.
    edges = _edges(np.maximum.accumulate(exponents))
    lengths = _edges(np.log10(dataset.length.values))
    shade = left.pcolormesh(edges, 10**lengths, np.maximum(theory.T, 1e-1), cmap=COLORS, norm=LogNorm(1, 3000))
    figure.colorbar(shade, ax=left, label=r"$-\log\tilde\mu$", extend="both")
    left.set_title("theory: conditioning", loc="left")
    with np.errstate(invalid="ignore"):
        mean = dataset.updates.mean("seed", skipna=True).values + 1
    filled = _fill_columns(mean)
    norm = LogNorm(1, float(dataset.length.max()))
    shown = np.minimum(mean.T, float(dataset.length.max()))
    shade = center.pcolormesh(edges, 10**lengths, shown, cmap=COLORS, norm=norm)
    figure.colorbar(shade, ax=center, label="Newton steps")
    _marks(center, exponents, dataset.length.values, filled, np.isinf(mean))
    center.set_title("experiment: mean steps", loc="left")
    center.patch.set(facecolor="white", hatch="////", edgecolor=style.MUTED)
    for panel in (left, center):
        panel.set_yscale("log")
        panel.set_ylabel("length T")
        panel.axhline(dataset.right, color="0.7", linewidth=1.6)
        panel.axvline(0, color="white", linewidth=0.8, linestyle=":")
    _right(right, dataset)
    for panel in (left, center, right):
        panel.set_xlabel(r"largest exponent $\lambda$ (1/step)")
        panel.tick_params(colors=style.INK, labelsize=8)
    style.letters((left, center, right))
    handles, labels = center.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _marks(
    panel: Axes,
    exponents: Float[np.ndarray, " G"],
    lengths: Float[np.ndarray, " K"],
    filled: Bool[np.ndarray, "G K"],
    beyond: Bool[np.ndarray, "G K"],
) -> None:
    """Fields that show what a neighboring gain took, and fields beyond the color scale; none where there is none."""
    for chosen, marker, label in (
        (filled & ~beyond, ".", "not run: as a neighboring gain"),
        (beyond, "^", "not solved within the updates allowed"),
    ):
        gain, length = np.nonzero(chosen)
        if len(gain):
            panel.plot(
                exponents[gain], lengths[length], marker, color="white", markeredgecolor=style.INK, markersize=3,
                markeredgewidth=0.5, linestyle="", label=label,
            )  # fmt: skip


def _right(panel: Axes, dataset: Any) -> None:
    """Every network, a point each."""
    cut = dataset.sel(length=dataset.right)
    exponent, steps = cut.exponent.values.ravel(), cut.updates.values.ravel() + 1
    for chosen, color in ((exponent < 0, style.PREDICTABLE), (exponent >= 0, style.CHAOTIC)):
        panel.plot(exponent[chosen], steps[chosen], "o", color=color, markersize=2.6, alpha=0.6, markeredgewidth=0)
    panel.axvline(0, color=style.INK, linewidth=0.8, linestyle=":")
    panel.axhline(dataset.right, color="0.7", linewidth=1.6)
    panel.set_ylabel(f"Newton steps at T = {dataset.right:,}")
    panel.set_title(f"{dataset.sizes['seed']} seeds, {dataset.sizes['gain']} gains", loc="left")
    style.beyond(panel, exponent[np.isinf(steps)], None)
    panel.spines[["top", "right"]].set_visible(False)


def _edges(centers: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N+1"]:
    """Borders halfway between neighbors."""
    middle = (centers[1:] + centers[:-1]) / 2
    return np.concatenate([[2 * centers[0] - middle[0]], middle, [2 * centers[-1] - middle[-1]]])


def _fill_columns(mean: Float[np.ndarray, "G K"]) -> Bool[np.ndarray, "G K"]:
    """Give a length that only some gains were run at to their neighbors, in place, and say where; whole gaps stay."""
    missing = np.isnan(mean)
    for column in mean.T:
        run = np.flatnonzero(~np.isnan(column))
        for place in np.flatnonzero(np.isnan(column)):
            near = run[np.abs(run - place) <= 1]
            if near.size:
                column[place] = column[near[0]]
    return missing & ~np.isnan(mean)
