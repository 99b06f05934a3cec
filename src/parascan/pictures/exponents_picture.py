"""A spectrum of exponents with their intervals, and the exponents in windows along the data."""

import numpy as np

from ..diagnostics import LyapunovEstimate
from .style import (
    INK,
    MUTED,
    SMALL_SIZE,
    Axes,
    Figure,
    crosses,
    frame,
    letters,
    shades,
    titled,
    with_intervals,
)

MOST_LINES = 6
"""Most exponents that are drawn along the data; more lines would hide each other."""


def exponents(found: LyapunovEstimate, *, length: int, title: str) -> Figure:
    """The spectrum, and finite-time exponents along the data where there are any.

    Args:
        found: the estimate.
        length: steps T.
        title: one line above the picture.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = titled(8.4, 3.9, title)
    panels = (
        list(figure.subplots(1, 2, width_ratios=(1.0, 1.5))) if found.finite_time is not None else [figure.subplots()]
    )
    for panel in panels:
        frame(panel)
        panel.axhline(0, color=INK, linewidth=0.8)
    _spectrum(panels[0], found)
    if found.finite_time is not None:
        _windows(panels[1], found, length)
        letters(panels)
    for panel in panels:
        panel.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False, fontsize=SMALL_SIZE,
            columnspacing=1.0, handlelength=1.5,
        )  # fmt: skip
    return figure


def _spectrum(panel: Axes, found: LyapunovEstimate) -> None:
    """Exponents in their order, with intervals."""
    value, low, high = (
        np.asarray(each, float).reshape(-1) for each in (found.estimate.value, found.estimate.low, found.estimate.high)
    )
    place = np.arange(1, len(value) + 1)
    with_intervals(panel, place, value, low, high)
    crosses(panel, place[~np.isfinite(value)], 0.0, "without a finite exponent")
    panel.set_xlim(0.5, len(value) + 0.5)
    panel.set_xticks(place if len(place) <= 12 else place[:: -(-len(place) // 8)])
    panel.set_xlabel(r"$i$, order of the exponent")
    panel.set_ylabel(r"exponent $\lambda_i$ (1/step)")
    panel.set_title(f"spectrum, {found.estimate.level:.0%} intervals", loc="left")


def _windows(panel: Axes, found: LyapunovEstimate, length: int) -> None:
    """Exponents of windows, as steps over the data, the mean of each as a line."""
    windows = np.asarray(found.finite_time, float)
    windows = windows.reshape(len(windows), -1)
    count = len(windows)
    edges = np.append(np.arange(count) * (length // count), length)
    shown = min(windows.shape[1], MOST_LINES)
    for index, color in enumerate(shades(shown)):
        label = rf"$\lambda_{{{index + 1}}}$"
        panel.stairs(windows[:, index], edges, baseline=None, color=color, linewidth=1.3, label=label)
        mean = float(np.asarray(found.per_step).reshape(-1)[index])
        if np.isfinite(mean):
            panel.axhline(mean, color=color, linewidth=0.8, linestyle=":")
    panel.plot([], [], ":", color=MUTED, linewidth=0.8, label="over all steps")
    panel.set_xlim(0, length)
    panel.set_xlabel("step of the data")
    panel.set_ylabel("exponent of a window (1/step)")
    panel.set_title(f"{count} windows along the data", loc="left")
