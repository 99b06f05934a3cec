"""Picture of first-order optimizers on the merit beside Gauss-Newton."""

from typing import TYPE_CHECKING

import numpy as np

from ...pictures import style
from ...pictures.style import Figure
from .panels import MARKERS, SHADES, medians, row, threshold, titles

if TYPE_CHECKING:
    import xarray

PLAIN = ("sgd", "momentum", "nesterov", "sm3", "adagrad", "lbfgs")
"""Optimizers of the left panel."""


def draw(dataset: "xarray.Dataset", newton: str) -> Figure:
    """Two panels of updates against the exponent, with Gauss-Newton in both."""
    figure, panels = row(9.5, 4.4, (1.0, 1.0))
    names = [str(name) for name in dataset.optimizer.values if name != newton]
    groups = ([each for each in names if each in PLAIN], [each for each in names if each not in PLAIN])
    never = 1.6 * dataset.most
    exponents = dataset.exponent.values.ravel()
    for panel, group in zip(panels, groups, strict=True):
        for number, name in enumerate([newton, *group]):
            counts = dataset.updates.sel(optimizer=name).values.ravel()
            counts = np.where(np.isfinite(counts), counts, never)
            color = style.INK if name == newton else SHADES[number - 1]
            panel.plot(exponents, counts, ".", color=color, markersize=3, alpha=0.3, zorder=1)
            places, middle = medians(exponents, counts, bins=10)
            panel.plot(
                places, middle, color=color, marker=MARKERS[number], markersize=4.5, label=name, zorder=3,
                linewidth=2.2 if name == newton else 1.2,
            )  # fmt: skip
        threshold(panel)
        panel.axhline(dataset.most, color=style.MUTED, linestyle=":", linewidth=1.2, zorder=0)
        panel.set_yscale("log")
        panel.set_ylim(1, 2.6 * dataset.most)
        panel.annotate(
            "not within so many updates", (0.02, dataset.most), (0, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", fontsize=7, color=style.MUTED,
        )  # fmt: skip
        panel.set_xlabel("largest exponent per step")
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False, fontsize=7.5)
    panels[0].set_ylabel("updates")
    titles(panels, ("plain, momentum, structure", "adaptive rates"))
    return figure
