"""Panels side by side, and marks on them that every figure needs."""

from collections.abc import Sequence

import numpy as np

from ...pictures.style import INK, MUTED, Axes, Figure, empty, frame, letters

SHADES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F3C8D", "#8A8A8A", "#B8A000")
"""Colors that stay apart for every kind of color blindness, in the order of use; markers tell the last ones apart."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "p")
"""Shapes in the order of use."""


def row(width: float, height: float, ratios: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """An empty figure with panels beside one another.

    Args:
        width: in inches.
        height: in inches.
        ratios: width of each panel relative to the others.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = empty(width, height)
    panels = list(figure.subplots(1, len(ratios), squeeze=False, width_ratios=list(ratios))[0])
    for panel in panels:
        frame(panel)
    return figure, panels


def threshold(panel: Axes, label: str = "") -> None:
    """The line between predictable and unpredictable, at an exponent of zero."""
    panel.axvline(0, color=INK, linestyle="--", linewidth=0.9, zorder=0, label=label or None)


def as_many_as_steps(panel: Axes, lengths: np.ndarray, label: str = "T, sequential") -> None:
    """The line on which an iterative method takes as many updates as there are steps."""
    panel.plot(lengths, lengths, ":", color=MUTED, linewidth=1.2, label=label)


def titles(panels: Sequence[Axes], texts: Sequence[str]) -> None:
    """A letter and one line above each panel."""
    for panel, text in zip(panels, texts, strict=True):
        panel.set_title(text, loc="left")
    letters(panels)


def medians(exponents: np.ndarray, values: np.ndarray, bins: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Medians over points of similar exponents, as many in each bin.

    Args:
        exponents: of the points [N].
        values: of the points [N], infinite where unknown but large.
        bins: number of bins, fewer where points are few.

    Returns:
        Median exponents and median values of the bins.
    """
    order = np.argsort(exponents)
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    return np.array([np.median(exponents[part]) for part in parts]), np.array(
        [np.median(values[part]) for part in parts]
    )
