"""What all pictures have in common: colors, panels, letters, legends, files. The only place that needs matplotlib.

matplotlib is imported when a picture is drawn and not before.
"""

import importlib.util
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

import numpy as np

from ..api.extras import missing

Figure: TypeAlias = Any
"""A matplotlib figure; its type is not imported, because matplotlib may be missing."""

Axes: TypeAlias = Any
"""A panel of a matplotlib figure."""

CHAOTIC = "#D55E00"
"""Vermilion, which stays apart from the blue below for every kind of color blindness, and in gray."""

PREDICTABLE = "#0072B2"
"""Blue."""

INK = "#222222"
"""Text, published values and lines of reference."""

MUTED = "#8A8A8A"
"""Grids and what is there for comparison only."""

SUFFIXES = frozenset({".png", ".pdf", ".svg"})
"""Formats of pictures."""

LABEL_SIZE = 9
"""Points of text along the axes."""

SMALL_SIZE = 8
"""Points of numbers along the axes and of legends, the least that stays legible in a column of a journal."""


def require() -> None:
    """Refuse to go on without matplotlib, before time is spent on what cannot be drawn.

    Raises:
        ImportError: matplotlib is not installed; the text says how to install it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError(missing("matplotlib", "pictures need", "plot"))


def empty(width: float, height: float) -> Figure:
    """An empty figure whose parts make room for each other.

    Args:
        width: in inches.
        height: in inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    require()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def canvas(width: float, height: float, ratios: tuple[float, ...]) -> tuple[Figure, list[Axes]]:
    """An empty figure with one panel below the other.

    Args:
        width: in inches.
        height: in inches.
        ratios: height of each panel relative to the others.

    Returns:
        The figure and its panels, which share the horizontal axis.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = empty(width, height)
    grid = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)
    axes = list(grid[:, 0])
    for panel in axes:
        frame(panel)
    return figure, axes


def titled(width: float, height: float, title: str) -> Figure:
    """An empty figure with a title at its upper left.

    Args:
        width: in inches.
        height: in inches.
        title: one line or more.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = empty(width, height)
    figure.suptitle(title, fontsize=LABEL_SIZE, x=0.01, ha="left", color=INK)
    return figure


def single(height: float) -> tuple[Figure, Axes]:
    """A figure of one panel that stays legible on the screen of a telephone: narrow, for a legend below.

    Args:
        height: in inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = empty(4.4, height)
    panel = figure.subplots()
    frame(panel)
    return figure, panel


def frame(panel: Axes) -> None:
    """A panel's axes as all pictures have them."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(colors=INK, labelsize=SMALL_SIZE)
    panel.xaxis.label.set_size(LABEL_SIZE)
    panel.yaxis.label.set_size(LABEL_SIZE)


def letters(panels: Sequence[Axes]) -> None:
    """A bold letter before the title of each panel, in the order of reading.

    Args:
        panels: with their titles on the left, if they have any.
    """
    for letter, panel in zip("abcdefghijkl", panels, strict=False):
        title = panel.get_title(loc="left")
        panel.set_title(rf"$\mathbf{{{letter}}}$   {title}".rstrip(), loc="left", fontsize=LABEL_SIZE, color=INK)


def legend_beside(panel: Axes) -> None:
    """A legend on the right of a panel, where it hides nothing; none where there is nothing to tell apart."""
    if panel.get_legend_handles_labels()[0]:
        panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=SMALL_SIZE)


def legend_below(figure: Figure, panel: Axes) -> None:
    """A legend below a panel in two columns, its labels in one line each."""
    handles, labels = panel.get_legend_handles_labels()
    if handles:
        labels = [label.replace("\n", " ") for label in labels]
        figure.legend(handles, labels, loc="outside lower left", ncols=2, frameon=False, fontsize=SMALL_SIZE)


def with_intervals(panel: Axes, places: Any, value: Any, low: Any, high: Any) -> None:
    """Exponents with their intervals, by what the interval says of the sign; only what occurs is in the legend.

    Args:
        panel: where.
        places: along the horizontal axis ``[N]``.
        value: exponents ``[N]``; those that are not finite are left out.
        low: lower ends.
        high: upper ends; an end that is infinite is not drawn.
    """
    places, value, low, high = (np.asarray(each, float) for each in (places, value, low, high))
    finite = np.isfinite(value)
    ends = np.stack([value - low, high - value])
    ends = np.maximum(np.where(np.isfinite(ends), ends, 0), 0)
    above, below = low > 0, high < 0
    for chosen, color, fill, label in (
        (finite & below, PREDICTABLE, PREDICTABLE, r"$\lambda < 0$"),
        (finite & above, CHAOTIC, CHAOTIC, r"$\lambda > 0$"),
        (finite & ~above & ~below, INK, "white", "sign is open"),
    ):
        if chosen.any():
            panel.errorbar(
                places[chosen], value[chosen], ends[:, chosen], fmt="o", color=color, markerfacecolor=fill,
                markersize=4.5, linewidth=1.1, capsize=2.5, label=label,
            )  # fmt: skip


def crosses(panel: Axes, places: Any, height: float, label: str) -> None:
    """Points without a value, marked at a height of the panel; nothing, not even in the legend, where there are none.

    Args:
        panel: where.
        places: along the horizontal axis.
        height: from 0 at the bottom to 1 at the top of the panel.
        label: what they are.
    """
    if np.size(places):
        panel.plot(
            places, np.full(np.shape(places), height), "x", color=INK, markersize=5, label=label, clip_on=False,
            transform=panel.get_xaxis_transform(), zorder=5,
        )  # fmt: skip


def beyond(panel: Axes, places: Any, label: str | None, color: str = CHAOTIC) -> None:
    """Values above the axis as triangles at its upper end; nothing where there are none.

    Args:
        panel: where.
        places: along the horizontal axis.
        label: what they are.
        color: of the triangles.
    """
    if np.size(places):
        panel.plot(
            places, np.ones(np.shape(places)), "^", color=color, markerfacecolor="white", markersize=5.5, label=label,
            clip_on=False, transform=panel.get_xaxis_transform(), zorder=5,
        )  # fmt: skip


def save(figure: Figure, file: IO[bytes], suffix: str) -> None:
    """Write a figure to an open binary file, the same bytes for the same figure.

    Args:
        figure: what ``canvas`` began.
        file: an open binary file.
        suffix: format, such as ``.png``, ``.pdf`` or ``.svg``.
    """
    from matplotlib import rc_context

    metadata = {"Date": None} if suffix == ".svg" else {"CreationDate": None} if suffix == ".pdf" else None
    with rc_context({"svg.hashsalt": "parascan"}):
        figure.savefig(file, format=suffix.lstrip("."), dpi=160, metadata=metadata)


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """Colors in the order of their lightness, which is what every reader can tell apart.

    Args:
        count: how many.
    """
    from matplotlib import colormaps

    return [colormaps["viridis"](position) for position in np.linspace(0.0, 0.85, count)]
