"""The picture of forecasts: where they count as right."""

import numpy as np

from ...diagnostics.forecast.updates import FACTOR, SLACK
from ...pictures.style import INK, MUTED, Axes


def corridor(panel: Axes, most: float) -> None:
    """The diagonal, what counts as right beside it, and logarithmic axes from one update on."""
    line = np.geomspace(0.8, 1.6 * most, 200)
    low, high = np.minimum(line / FACTOR, line - SLACK), np.maximum(line * FACTOR, line + SLACK)
    panel.fill_between(line, np.maximum(low, 0.1), high, color=MUTED, alpha=0.2, linewidth=0, zorder=0)
    panel.plot(line, line, color=INK, linewidth=0.8, zorder=1)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlim(0.8, 1.6 * most)
    panel.set_ylim(0.8, 1.6 * most)
    panel.set_xlabel("updates taken")
    panel.set_ylabel("updates forecast")
