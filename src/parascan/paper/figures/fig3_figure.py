"""Figure 3's picture: the landscape, one chain, and steps against T."""

from typing import TYPE_CHECKING

import numpy as np

from ...pictures import style
from ...pictures.style import Axes, Figure
from .panels import as_many_as_steps, row, titles

if TYPE_CHECKING:
    import xarray


def draw(dataset: "xarray.Dataset") -> Figure:
    """Three panels."""
    figure, panels = row(11.0, 3.3, (1.15, 1.1, 1.0))
    _landscape(figure, panels[0], dataset)
    _trace(panels[1], dataset)
    _steps(panels[2], dataset)
    titles(panels, ("potential and norm of the Jacobian", "a chain over time", "median Newton steps"))
    return figure


def _landscape(figure: Figure, panel: Axes, dataset: "xarray.Dataset") -> None:
    """Norms in color, white where they are one; the potential as contours."""
    from matplotlib.colors import TwoSlopeNorm

    norm = dataset.norm.values
    reach = float(np.max(np.abs(norm - 1)))
    colors = panel.pcolormesh(
        dataset.across, dataset.along, norm, cmap="RdBu_r", norm=TwoSlopeNorm(1.0, 1 - reach, 1 + reach),
        shading="gouraud", rasterized=True,
    )  # fmt: skip
    potential = dataset.potential.values
    levels = potential.min() + np.array([0.25, 0.75, 1.5, 2.5, 4.0, 6.0, 9.0])
    panel.contour(dataset.across, dataset.along, potential, levels, colors=style.INK, linewidths=0.7)
    bar = figure.colorbar(colors, ax=panel, shrink=0.9, pad=0.02)
    bar.set_label("spectral norm of the Jacobian", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    panel.set_xlabel("coordinate across the wells")
    panel.set_ylabel("other coordinate")


def _trace(panel: Axes, dataset: "xarray.Dataset") -> None:
    """The coordinate across the wells, with the centers of the wells."""
    for center in (-1.4, 1.6):
        panel.axhline(center, color=style.MUTED, linestyle="--", linewidth=0.8, zorder=0)
    panel.plot(dataset.step, dataset.trace, color=style.PREDICTABLE, linewidth=0.5)
    exponent = float(dataset.exponent.sel(seed=dataset.attrs["traced_seed"]))
    panel.annotate(
        f"exponent {exponent:.2f} per unit of time", (0.98, 0.98), xycoords="axes fraction", ha="right", va="top",
        fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )  # fmt: skip
    panel.set_xlim(0, int(dataset.step[-1]))
    panel.set_ylim(top=float(dataset.trace.max()) + 1.0)
    panel.set_xlabel("step")
    panel.set_ylabel("coordinate across the wells")


def _steps(panel: Axes, dataset: "xarray.Dataset") -> None:
    """Median with quartiles over the seeds, and T itself."""
    counted = dataset.updates.values + 1
    lengths = dataset.length.values
    low, middle, high = np.quantile(counted, [0.25, 0.5, 0.75], axis=0)
    panel.fill_between(lengths, low, high, color=style.PREDICTABLE, alpha=0.2, linewidth=0, label="quartiles")
    panel.plot(lengths, middle, "o-", color=style.PREDICTABLE, markersize=3.5, linewidth=1.2, label="median")
    as_many_as_steps(panel, lengths)
    panel.axhline(35, color=style.INK, linestyle="--", linewidth=0.8, label="35, published most")
    panel.set_xscale("log")
    panel.set_ylim(0, 1.25 * max(float(high.max()), 35.0))
    panel.set_xlabel("sequence length T")
    panel.set_ylabel("Newton steps (updates + 1)")
    panel.legend(loc="center left", bbox_to_anchor=(0.13, 0.56), frameon=False, fontsize=7.5)
