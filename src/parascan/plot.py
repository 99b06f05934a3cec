"""Pictures: the only place that needs matplotlib, which is imported when a picture is drawn and not before."""

import importlib.util
from typing import IO, Any, TypeAlias

import numpy as np
from jaxtyping import Float

from .diagnostics import Diagnosis, WindowGrowth

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


def diagnosis(found: Diagnosis, growth: WindowGrowth, *, title: str) -> Figure:
    """A diagnosis in three panels: exponents along the data, growth of perturbations, expected iterations against T.

    Args:
        found: the diagnosis.
        growth: largest and least growth over windows of the first steps.
        title: one line above the picture.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    require()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 9.0), layout="constrained")
    panels = list(figure.subplots(3, 1))
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(colors=INK, labelsize=9)
    panels[0].set_title(f"{title}: {found.verdict}", fontsize=10, loc="left")
    _exponents(panels[0], found)
    _windows(panels[1], found, growth)
    _iterations(panels[2], found)
    for panel in panels:
        panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _exponents(panel: Axes, found: Diagnosis) -> None:
    """Finite-time exponents of the pilots where they ran, and the estimate with its interval."""
    value, low, high = (float(each) for each in (found.exponent.value, found.exponent.low, found.exponent.high))
    color = CHAOTIC if value > 0 else PREDICTABLE
    panel.axhline(0, color=INK, linewidth=0.8)
    if np.isfinite([low, high]).all():
        panel.axhspan(low, high, color=color, alpha=0.2, linewidth=0, label="interval of\nthe exponent")
    panel.axhline(value, color=color, linewidth=1.2, label="exponent")
    panel.plot(found.pilot_places, found.per_pilot, "o", color=INK, markersize=4, label="pilots")
    panel.set_xlabel("step of the data")
    panel.set_ylabel("exponent per step")


def _windows(panel: Axes, found: Diagnosis, growth: WindowGrowth) -> None:
    """Growth over windows, measured, and both envelopes."""
    tens = 1 / np.log(10)
    k = np.asarray(growth.lengths)
    panel.fill_between(
        k, np.asarray(growth.lowest) * tens, np.asarray(growth.highest) * tens, color=MUTED, alpha=0.5, linewidth=0,
        label="windows of\nthe first steps",
    )  # fmt: skip
    slope = float(found.exponent.value) * k
    for constant, style, label in ((found.a, "-", "a e^(exponent k)"), (found.b, "--", "b e^(exponent k)")):
        panel.plot(k, (np.log(float(constant.value)) + slope) * tens, style, color=INK, linewidth=1.2, label=label)
    panel.axhline(0, color=INK, linewidth=0.5)
    panel.set_xlabel("k, steps of a window")
    panel.set_ylabel("log10 of the growth of a\nperturbation over k steps")


def _iterations(panel: Axes, found: Diagnosis) -> None:
    """Newton's expected iterations against T, what was measured, and T itself."""
    curve = found.newton_curve()
    lengths = np.array([length for length, _ in curve])
    value, low, high = (
        np.maximum([float(getattr(each, name)) for _, each in curve], 0.5) for name in ("value", "low", "high")
    )
    panel.fill_between(lengths, low, high, color=PREDICTABLE, alpha=0.2, linewidth=0, label="its interval")
    panel.plot(lengths, value, color=PREDICTABLE, linewidth=1.2, label="Newton, expected")
    measured = np.maximum(found.pilot.counts, 0.5)
    panel.plot(found.pilot.ends, measured, ".", color=INK, markersize=4, label="measured by\nthe pilot")
    panel.plot(lengths, lengths, ":", color=MUTED, linewidth=1.2, label="T, as many as steps")
    panel.plot(lengths, lengths / 4, "--", color=MUTED, linewidth=1.0, label="T / 4")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_ylim(bottom=0.5)
    panel.set_xlabel("T, steps")
    panel.set_ylabel("iterations")


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


def _shades(count: int) -> list[tuple[float, float, float, float]]:
    """Colors in the order of their lightness, which is what every reader can tell apart."""
    from matplotlib import colormaps

    return [colormaps["viridis"](position) for position in np.linspace(0.0, 0.85, count)]
