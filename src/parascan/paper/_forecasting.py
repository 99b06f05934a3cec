"""When a forecast counts as right, and its picture."""

import numpy as np
from jaxtyping import Bool, Float

from ..plot import INK, MUTED, Axes

FACTOR, SLACK = 1.5, 2
"""A forecast holds within this factor or so many updates."""


def holds(expected: Float[np.ndarray, " N"], taken: Float[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Whether each forecast is close enough to the updates that were taken."""
    near = np.abs(expected - taken) <= SLACK
    return near | ((expected <= FACTOR * taken) & (taken <= FACTOR * expected))


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
