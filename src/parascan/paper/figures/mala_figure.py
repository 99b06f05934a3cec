"""Picture of the Metropolis-adjusted chain by step size."""

from typing import TYPE_CHECKING

import numpy as np

from ...pictures import style
from ...pictures.style import Axes, Figure
from .panels import MARKERS, row, threshold, titles

if TYPE_CHECKING:
    import xarray

LABELS = {"jump": "the jump as it is", "smooth": "a smooth accept"}
COLORS = {"jump": style.PREDICTABLE, "smooth": "#E69F00"}


def draw(dataset: "xarray.Dataset") -> Figure:
    """Three panels."""
    figure, panels = row(11.0, 3.4, (1.0, 1.0, 1.15))
    sizes = dataset.step_size.values
    _band(panels[0], sizes, dataset.exponent.values, style.PREDICTABLE)
    panels[0].axhline(0, color=style.INK, linestyle="--", linewidth=0.9, zorder=0)
    panels[0].plot(sizes, -1.585 * sizes, ":", color=style.INK, linewidth=1.1, label="unadjusted, in the limit")
    panels[0].set_ylim(1.6 * float(dataset.exponent.min()), 2.0 * max(float(dataset.exponent.max()), 0.05))
    panels[0].set_ylabel("largest exponent per step")
    panels[0].legend(loc="lower left", frameon=False, fontsize=7.5)
    _band(panels[1], sizes, dataset.accepted.values, style.INK)
    panels[1].set_ylim(0, 1.05)
    panels[1].set_ylabel("share of accepted proposals")
    for panel in panels[:2]:
        panel.set_xscale("log")
        panel.set_xlabel("step size")
    _updates(panels[2], dataset)
    titles(panels, ("exponent", "acceptance", "updates of Newton's method"))
    return figure


def _band(panel: Axes, sizes: np.ndarray, values: np.ndarray, color: str) -> None:
    """Median and range over the seeds."""
    panel.fill_between(sizes, values.min(axis=1), values.max(axis=1), color=color, alpha=0.2, linewidth=0)
    panel.plot(sizes, np.median(values, axis=1), "o-", color=color, markersize=3.5, linewidth=1.2)


def _updates(panel: Axes, dataset: "xarray.Dataset") -> None:
    """Every chain, by linearization."""
    for number, name in enumerate(dataset.linearization.values):
        one = dataset.sel(linearization=name)
        panel.plot(
            one.exponent.values.ravel(), one.updates.values.ravel(), MARKERS[number], color=COLORS[str(name)],
            markersize=4, alpha=0.7, markeredgewidth=0, label=LABELS[str(name)],
        )  # fmt: skip
    threshold(panel)
    panel.axhline(dataset.length, color=style.MUTED, linestyle=":", linewidth=1.2, label=f"T = {dataset.length}")
    panel.set_yscale("log")
    panel.set_ylim(1, 2 * dataset.length)
    panel.set_xlabel("largest exponent per step")
    panel.set_ylabel("updates")
    panel.legend(loc="lower left", frameon=False, fontsize=7.5)
