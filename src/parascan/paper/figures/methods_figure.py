"""Picture of the threshold by method and by length of block."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...pictures import style
from ...pictures.style import Axes, Figure
from .panels import MARKERS, SHADES, medians, row, threshold, titles

if TYPE_CHECKING:
    import xarray


def draw(dataset: "xarray.Dataset", exact: Sequence[str]) -> Figure:
    """Three panels of updates over T, or over the number of blocks, against the exponent."""
    figure, panels = row(11.0, 4.3, (1.0, 1.0, 1.0))
    names = [str(name) for name in dataset.solver.values]
    groups = ([each for each in names if each in exact], [each for each in names if each not in exact])
    for panel, group in zip(panels[:2], groups, strict=True):
        for number, name in enumerate(group):
            one = dataset.sel(solver=name)
            _curve(panel, one.exponent.values, one.updates.values / dataset.length, number, name)
    for number, block in enumerate(dataset.block.values):
        one = dataset.sel(block=block)
        count = -(-dataset.block_length // int(block))
        name = f"B = {block}, {count} blocks"
        _curve(panels[2], one.block_exponent.values, one.block_updates.values / count, number, name)
    for panel in panels:
        threshold(panel)
        panel.axhline(1, color=style.MUTED, linestyle=":", linewidth=1.2, zorder=0)
        panel.set_yscale("log")
        panel.set_xlabel("largest exponent per step")
        if panel.lines[:-2]:
            panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False, fontsize=7.5)
    panels[0].set_ylabel("updates / T")
    panels[2].set_ylabel("updates / number of blocks")
    low = min(panel.get_ylim()[0] for panel in panels[:2])
    for panel in panels[:2]:
        panel.set_ylim(low, 12 if "gradient descent" in names else 1.5)
    titles(panels, ("methods with the Jacobian", "methods without", "Newton's method on blocks"))
    return figure


def _curve(panel: Axes, exponents: np.ndarray, share: np.ndarray, number: int, name: str) -> None:
    """Median over networks of similar exponents, the networks themselves faint."""
    color, marker = SHADES[number], MARKERS[number]
    panel.plot(exponents.ravel(), share.ravel(), ".", color=color, markersize=2, alpha=0.25, zorder=1)
    places, middle = medians(exponents.ravel(), share.ravel())
    panel.plot(places, middle, marker=marker, color=color, markersize=4.5, linewidth=1.2, label=name, zorder=3)
