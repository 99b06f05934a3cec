"""Picture of all flows and their observers."""

from typing import TYPE_CHECKING

import numpy as np

from ...diagnostics.forecast.updates import holds
from ...pictures import style
from ...pictures.style import Axes, Figure
from .forecasts_figure import corridor

if TYPE_CHECKING:
    import xarray

COLORS = {"flow": style.CHAOTIC, "observer": style.PREDICTABLE}
MARKERS = {"flow": "o", "observer": "s"}
NAMES = {"flow": "flow", "observer": "best observer"}


def draw(dataset: "xarray.Dataset") -> Figure:
    """Exponents over updates, flow by flow, and forecasts beside them."""
    figure = style.empty(11.0, 5.0)
    panels = figure.subplot_mosaic([["exponents", "forecasts"], ["updates", "forecasts"]], width_ratios=(1.5, 1.0))
    kept = dataset.where(np.isfinite(dataset.dt), drop=True)
    kept = kept.isel(flow=np.argsort(kept.exponent.sel(kind="flow").values))
    for panel in panels.values():
        style.frame(panel)
    style.letters([panels[name] for name in ("exponents", "updates", "forecasts")])
    _by_flow(panels["exponents"], kept, "exponent", "largest exponent\n(per unit of time)")
    panels["exponents"].set_yscale("symlog", linthresh=0.1, linscale=0.6)
    panels["exponents"].axhline(0, color=style.INK, linestyle="--", linewidth=0.9, zorder=0)
    panels["exponents"].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=8)
    _by_flow(panels["updates"], kept, "updates", f"updates of Newton's\nmethod, T = {dataset.length}")
    panels["updates"].set_yscale("log")
    panels["updates"].axhline(dataset.length, color=style.MUTED, linestyle=":", linewidth=1.2, zorder=0)
    panels["updates"].set_xlabel(f"{kept.flow.size} flows in the order of their exponents")
    _forecasts(panels["forecasts"], kept)
    return figure


def _by_flow(panel: Axes, kept: "xarray.Dataset", name: str, label: str) -> None:
    """One place for each flow; its name where there are few."""
    places = np.arange(kept.flow.size)
    for kind, color in COLORS.items():
        panel.plot(
            places, kept[name].sel(kind=kind).values, MARKERS[kind], color=color, markersize=3.5, label=NAMES[kind]
        )  # fmt: skip
        if name == "updates":
            style.beyond(panel, places[~np.isfinite(kept[name].sel(kind=kind).values)], None, color)
    few = kept.flow.size <= 12
    panel.set_xticks(places if few else [], kept.flow.values if few else [], rotation=35, ha="right", fontsize=7)
    panel.set_ylabel(label)


def _forecasts(panel: Axes, kept: "xarray.Dataset") -> None:
    """Forecasts against what was taken, of flows and observers."""
    most = float(kept.updates.max())
    corridor(panel, max(most, float(kept.forecast.max())))
    for kind, color in COLORS.items():
        one = kept.sel(kind=kind)
        expected, taken = one.forecast.values, one.updates.values
        known = np.isfinite(expected) & np.isfinite(taken)
        share = np.mean(holds(expected[known], taken[known])) if known.any() else np.nan
        panel.plot(
            np.maximum(taken, 1), np.maximum(expected, 1), MARKERS[kind], color=color, markersize=4, alpha=0.6,
            markeredgewidth=0, label=f"{NAMES[kind]}, {share:.0%} within 1.5x or 2",
        )  # fmt: skip
    panel.set_aspect("equal")
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8)
