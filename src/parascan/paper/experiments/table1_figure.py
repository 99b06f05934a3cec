"""Figure 8's form: steps of Newton's method on each flow and on its observer, and the exponents that explain them."""

from collections.abc import Sequence

import numpy as np

from ...pictures import style
from ...pictures.style import Axes, Figure
from .table1_rows import PUBLISHED, Kind, Row

COLORS: dict[Kind, str] = {"flow": style.CHAOTIC, "observer": style.PREDICTABLE}
SHIFTS: dict[Kind, float] = {"flow": -0.21, "observer": 0.21}
NAMES: dict[Kind, str] = {"flow": "chaotic flow", "observer": "its observer"}


def draw(rows: Sequence[Row]) -> Figure:
    """Two panels over the flows: counts as the paper counts (updates + 1), and exponents, each beside the published."""
    figure, (steps, exponents) = style.canvas(11.0, 6.6, (1.5, 1.0))
    systems = list(dict.fromkeys(row.system for row in rows))
    for kind in COLORS:
        chosen = [row for row in rows if row.kind == kind]
        places = np.array([systems.index(row.system) for row in chosen]) + SHIFTS[kind]
        _bars(steps, places, chosen, kind)
        _points(exponents, places, chosen, kind)
    _frame_steps(steps, rows)
    style.letters((steps, exponents))
    _frame_exponents(exponents, [PUBLISHED.ROWS[name].label for name in systems])
    return figure


def _bars(panel: Axes, places: np.ndarray, rows: Sequence[Row], kind: Kind) -> None:
    """Counts as bars with their numbers inside, where no line crosses them; the published ones as diamonds."""
    counts = [row.counted for row in rows]
    lengths = ", ".join(f"{length:,}" for length in sorted({row.length for row in rows}))
    panel.bar(places, counts, 0.4, color=COLORS[kind], label=f"{NAMES[kind]}, T = {lengths}")
    for place, count in zip(places, counts, strict=True):
        panel.annotate(
            f"{count:,}", (place, count), (0, -3), textcoords="offset points", ha="center", va="top", fontsize=7,
            fontweight="bold", color="white",
        )  # fmt: skip
    _published(panel, places + 0.2, [row.published_steps for row in rows], kind)


def _points(panel: Axes, places: np.ndarray, rows: Sequence[Row], kind: Kind) -> None:
    """Exponents as bars from zero; the published ones as diamonds."""
    panel.bar(places, [row.exponent for row in rows], 0.4, color=COLORS[kind])
    _published(panel, places + 0.2, [row.published_exponent for row in rows], kind)


def _published(panel: Axes, places: np.ndarray, values: Sequence[float], kind: Kind) -> None:
    """Published values, at the shoulders of their bars."""
    panel.plot(places, values, "D", markersize=4.5, markerfacecolor=COLORS[kind], markeredgecolor=style.INK, zorder=4)


def _frame_steps(panel: Axes, rows: Sequence[Row]) -> None:
    """Axis, lines at the lengths T, and the legend."""
    panel.set_yscale("log")
    panel.set_ylabel("Newton steps\n(updates + 1, log scale)")
    for length in sorted({row.length for row in rows} | {PUBLISHED.LENGTH}):
        panel.axhline(length, color=style.INK, linestyle="--", linewidth=0.9, zorder=0)
        panel.annotate(
            f"T = {length:,}", (1.0, length), (-2, 2), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="bottom", fontsize=8, color=style.INK,
        )  # fmt: skip
    panel.set_ylim(0.9, PUBLISHED.LENGTH * 4)
    panel.plot(
        [],
        [],
        "D",
        markersize=4.5,
        markerfacecolor=style.MUTED,
        markeredgecolor=style.INK,
        label="published, T = 30,000",
    )
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)


def _frame_exponents(panel: Axes, labels: Sequence[str]) -> None:
    """Axis and names of the flows; linear within 0.1 of zero, logarithmic beyond, as exponents span two decades."""
    panel.set_yscale("symlog", linthresh=0.1, linscale=0.6)
    panel.set_yticks([-5, -1, -0.1, 0, 0.1, 1], ["-5", "-1", "-0.1", "0", "0.1", "1"])
    panel.minorticks_off()
    panel.set_ylim(-10, 2)
    panel.axhline(0, color=style.INK, linewidth=0.8)
    panel.set_ylabel("largest exponent\n(per unit of time)")
    panel.set_xticks(range(len(labels)), [label.replace(" ", "\n", 1).replace("-S", "-\nS") for label in labels])


def typeset(rows: Sequence[Row]) -> Figure:
    """The table as the paper prints it, every published number in gray beside ours."""
    systems = list(dict.fromkeys(row.system for row in rows))
    found = {(row.system, row.kind): row for row in rows}
    headings = (
        "",
        "exponent\nof the flow",
        "exponent of\nits observer",
        "steps\nof the flow",
        "steps of\nits observer",
    )
    figure = style.empty(8.0, 0.32 * (len(systems) + 3))
    panel = figure.subplots()
    panel.set_axis_off()
    panel.set_xlim(0, 5.6)
    panel.set_ylim(len(systems) + 0.6, -1.6)
    places = (0.0, 2.2, 3.2, 4.3, 5.3)
    for place, heading in zip(places, headings, strict=True):
        panel.text(place, -0.9, heading, ha="center", va="center", fontsize=9, color=style.INK)
    for edge in (-1.55, -0.35, len(systems) - 0.4):
        panel.plot([0, 5.6], [edge, edge], color=style.INK, linewidth=0.9)
    for line, name in enumerate(systems):
        panel.text(0.0, line, PUBLISHED.ROWS[name].label, va="center", fontsize=9, color=style.INK)
        pair: list[Row] = [found[name, kind] for kind in COLORS]
        cells = [(f"{row.exponent:.2f}", f"{row.published_exponent:.2f}") for row in pair]
        cells += [(f"{row.counted:,}", f"{row.published_steps:,}") for row in pair]
        for place, (ours, published) in zip(places[1:], cells, strict=True):
            panel.text(place - 0.04, line, ours, ha="right", va="center", fontsize=9, color=style.INK)
            panel.text(place + 0.04, line, published, ha="left", va="center", fontsize=8, color=style.MUTED)
    lengths = ", ".join(f"{length:,}" for length in sorted({row.length for row in rows}))
    caption = f"black: ours (steps as updates + 1; T = {lengths}); gray: the paper (T = 30,000)"
    panel.text(0.0, len(systems) + 0.1, caption, va="center", fontsize=8, color=style.MUTED)
    return figure
