"""A diagnosis in panels: exponents along the data, growth of perturbations, expected iterations against T."""

from collections.abc import Mapping

import numpy as np

from ..diagnostics import Diagnosis, WindowGrowth
from ..diagnostics.diagnosis import span
from .style import (
    CHAOTIC,
    INK,
    MUTED,
    PREDICTABLE,
    Axes,
    Figure,
    crosses,
    frame,
    legend_below,
    legend_beside,
    letters,
    single,
    titled,
)


def diagnosis(found: Diagnosis, growth: WindowGrowth | None = None, *, title: str = "") -> Figure:
    """A diagnosis in three panels: exponents along the data, growth of perturbations, expected iterations against T.

    Args:
        found: the diagnosis.
        growth: largest and least growth over windows of the first steps; its panel is left out when None.
        title: what was diagnosed, for the line above the picture; T and D when empty.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    name = title or f"T = {found.length}, D = {found.size}"
    count = 2 if growth is None else 3
    figure = titled(7.5, 3.0 * count, f"{name}: {found.verdict}\n{_told(found)}")
    panels = list(figure.subplots(count, 1))
    for panel in panels:
        frame(panel)
    _exponents(panels[0], found)
    if growth is not None:
        _windows(panels[1], found, growth)
    _iterations(panels[-1], found)
    for panel in panels:
        legend_beside(panel)
    letters(panels)
    return figure


def diagnosis_panels(found: Diagnosis, growth: WindowGrowth) -> Mapping[str, Figure]:
    """The panels of a diagnosis as figures of their own, by name, for a narrow page.

    Args:
        found: the diagnosis.
        growth: largest and least growth over windows of the first steps.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figures = {}
    for name in ("exponents", "growth", "iterations"):
        figures[name], panel = single(3.6)
        if name == "exponents":
            _exponents(panel, found)
        elif name == "growth":
            _windows(panel, found, growth)
        else:
            _iterations(panel, found)
        legend_below(figures[name], panel)
    return figures


def _told(found: Diagnosis) -> str:
    """The exponent with its interval and units; also per unit of time where ``dt`` is not one."""
    per_step, per_time = found.exponent, found.exponent_per_time
    text = rf"$\lambda$ = {span(per_step)} per step"
    return text if float(per_time.value) == float(per_step.value) else f"{text}, {span(per_time)} per unit of time"


def _exponents(panel: Axes, found: Diagnosis) -> None:
    """Finite-time exponents of the pilots where they ran, and the estimate with its interval."""
    value, low, high = (float(each) for each in (found.exponent.value, found.exponent.low, found.exponent.high))
    color = CHAOTIC if value > 0 else PREDICTABLE
    panel.axhline(0, color=INK, linewidth=0.8)
    if np.isfinite([low, high]).all():
        panel.axhspan(low, high, color=color, alpha=0.2, linewidth=0, label=f"{found.exponent.level:.0%} interval")
    if np.isfinite(value):
        panel.axhline(value, color=color, linewidth=1.2, label=r"$\lambda$, exponent")
    seen = np.isfinite(found.per_pilot)
    panel.plot(found.pilot_places[seen], found.per_pilot[seen], "o", color=INK, markersize=4, label="pilots")
    crosses(panel, found.pilot_places[~seen], 0.0, "pilots without\na finite one")
    panel.set_xlabel("step of the data")
    panel.set_ylabel(r"exponent $\lambda$ (1/step)")


def _windows(panel: Axes, found: Diagnosis, growth: WindowGrowth) -> None:
    """Growth over windows, measured, and both envelopes."""
    tens = 1 / np.log(10)
    k = np.asarray(growth.lengths)
    panel.fill_between(
        k, np.asarray(growth.lowest) * tens, np.asarray(growth.highest) * tens, color=MUTED, alpha=0.5, linewidth=0,
        label="windows of\nthe first steps",
    )  # fmt: skip
    slope = float(found.exponent.value) * k
    for constant, style, label in ((found.a, "-", r"$a\,e^{\lambda k}$"), (found.b, "--", r"$b\,e^{\lambda k}$")):
        panel.plot(k, (np.log(float(constant.value)) + slope) * tens, style, color=INK, linewidth=1.2, label=label)
    panel.axhline(0, color=INK, linewidth=0.5)
    if not np.isfinite(np.asarray(growth.highest)).any():
        panel.text(0.5, 0.6, "no finite growth was measured", transform=panel.transAxes, ha="center", color=INK)
    panel.set_xlabel(r"$k$, steps of a window")
    panel.set_ylabel("growth of a perturbation\n" r"over $k$ steps ($\log_{10}$)")


def _iterations(panel: Axes, found: Diagnosis) -> None:
    """Newton's expected iterations against T, what was measured, and T itself."""
    curve = found.newton_curve()
    lengths = np.array([length for length, _ in curve])
    value, low, high = (
        np.maximum([float(getattr(each, name)) for _, each in curve], 0.5) for name in ("value", "low", "high")
    )
    panel.fill_between(
        lengths,
        low,
        high,
        color=PREDICTABLE,
        alpha=0.2,
        linewidth=0,
        label=f"{found.iterations['newton'].level:.0%} interval",
    )
    panel.plot(lengths, value, color=PREDICTABLE, linewidth=1.2, label="Newton, expected")
    measured = np.maximum(found.pilot.counts, 0.5)
    panel.plot(found.pilot.ends, measured, ".", color=INK, markersize=4, label="measured by\nthe pilot")
    panel.plot(lengths, lengths, ":", color=MUTED, linewidth=1.2, label=r"$T$, as many as steps")
    panel.plot(lengths, lengths / 4, "--", color=MUTED, linewidth=1.0, label=r"$T/4$")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_ylim(bottom=0.5)
    panel.set_xlabel(r"$T$, steps")
    panel.set_ylabel("iterations")
