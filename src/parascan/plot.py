"""Pictures: the only place that needs matplotlib, which is imported when a picture is drawn and not before."""

import importlib.util
from typing import IO, Any, TypeAlias

import numpy as np
from jaxtyping import Float

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

MOST_COMPONENTS = 6
"""Number of state entries drawn; more would hide each other."""


def require() -> None:
    """Refuse to go on without matplotlib, before time is spent on what cannot be drawn.

    Raises:
        ImportError: matplotlib is not installed; the text says how to install it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("matplotlib is not installed, and pictures need it: pip install 'parascan[plot]'")


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
    require()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)
    axes = list(grid[:, 0])
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(colors=INK, labelsize=9)
    return figure, axes


def trajectory(
    states: Float[np.ndarray, "T D"], error: Float[np.ndarray, " T"] | None, *, title: str, dt: float | None
) -> Figure:
    """A trajectory over time, and its distance from the sequential one where that was measured.

    Args:
        states: the states [T, D], of which the first entries are drawn.
        error: largest distance from the sequential trajectory at every step [T], in units of the state, or None.
        title: one line above the picture.
        dt: length of a step in units of time, None to count steps.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    shown = min(states.shape[1], MOST_COMPONENTS)
    figure, panels = canvas(8.0, 3.2 if error is None else 4.8, (1.0,) if error is None else (2.0, 1.0))
    time = np.arange(1, len(states) + 1) * (dt or 1)
    for index, color in enumerate(_shades(shown)):
        panels[0].plot(time, states[:, index], color=color, linewidth=0.9, label=f"entry {index}")
    panels[0].set_ylabel("state")
    panels[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    panels[0].set_title(title, fontsize=10, loc="left")
    if error is not None:
        # Zero has no place on a logarithmic axis; it is left out.
        panels[1].semilogy(time, np.where(error > 0, error, np.nan), color=INK, linewidth=0.8)
        panels[1].set_ylabel("distance from\nsequential")
    panels[-1].set_xlim(0, time[-1])
    panels[-1].set_xlabel("step" if dt is None else "time (dt times step)")
    return figure


def save(figure: Figure, file: IO[bytes], suffix: str) -> None:
    """Write a figure to an open binary file.

    Args:
        figure: what ``canvas`` began.
        file: an open binary file.
        suffix: format, such as ``.png``, ``.pdf`` or ``.svg``.
    """
    figure.savefig(file, format=suffix.lstrip("."), dpi=160)


def _shades(count: int) -> list[tuple[float, float, float, float]]:
    """Colors in the order of their lightness, which is what every reader can tell apart."""
    from matplotlib import colormaps

    return [colormaps["viridis"](position) for position in np.linspace(0.0, 0.85, count)]
