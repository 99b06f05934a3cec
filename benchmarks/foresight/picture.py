"""Said against true exponents, and the parts of right answers by kind."""

import math

import numpy as np
from matplotlib.figure import Figure

from .counts import METHODS
from .judge import Judged, by_kind, shares

COLORS = {"holds": "#0072B2", "misses": "#E69F00", "wrong verdict": "#D55E00"}
MARKERS = {"holds": "o", "misses": "s", "wrong verdict": "^"}

SHORT = {
    "interval holds": "exponent",
    "newton": "Newton",
    "quasi_newton": "quasi-Newton",
    "picard": "Picard",
    "jacobi": "Jacobi",
}
"""Columns of the map: intervals that are to hold."""

LEAST = 1e-5
"""Exponent below which the scale is linear."""


def outcome(one: Judged) -> str:
    """The word of the legend."""
    return "wrong verdict" if one.wrong else "holds" if one.held else "misses"


def draw(known: list[Judged]) -> Figure:
    """The picture.

    Args:
        known: the systems.
    """
    figure = Figure(figsize=(9.0, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    ends = 3.0
    left.plot([-ends, ends], [-ends, ends], color="#8A8A8A", lw=0.8, zorder=0)
    left.axhline(0, color="#DDDDDD", lw=0.6, zorder=0)
    left.axvline(0, color="#DDDDDD", lw=0.6, zorder=0)
    for word, color in COLORS.items():
        chosen = [j for j in known if outcome(j) == word and math.isfinite(j.true) and math.isfinite(j.said)]
        if chosen:
            true, said = np.array([[j.true, j.said] for j in chosen]).T
            left.scatter(
                true, said, s=14, c=color, marker=MARKERS[word], lw=0, alpha=0.8, label=f"{word} ({len(chosen)})"
            )
    for scale in (left.set_xscale, left.set_yscale):
        scale("symlog", linthresh=LEAST)
    marks = [-1, -1e-2, -1e-4, 0, 1e-4, 1e-2, 1]
    names = ["-1", "$-10^{-2}$", "$-10^{-4}$", "0", "$10^{-4}$", "$10^{-2}$", "1"]
    left.set_xticks(marks, names)
    left.set_yticks(marks, names)
    left.set_xlabel("true exponent over T steps, 1/step")
    left.set_ylabel("exponent said, 1/step")
    left.legend(frameon=False, fontsize=8, loc="upper left")
    left.spines[["top", "right"]].set_visible(False)
    left.set_title("a", loc="left", fontweight="bold")
    _map(right, known)
    return figure


def _map(panel, known: list[Judged]) -> None:
    """Parts of intervals that hold, for every kind."""
    groups = {kind: shares(group) for kind, group in by_kind(known).items() if group}
    columns = ["interval holds", *METHODS]
    parts = np.array([[figures[column] for column in columns] for figures in groups.values()])
    panel.imshow(parts, vmin=0.5, vmax=1.0, cmap="cividis", aspect="auto")
    for (row, column), part in np.ndenumerate(parts):
        if math.isfinite(part):
            color = "black" if part > 0.75 else "white"
            panel.text(column, row, f"{part:.0%}", ha="center", va="center", fontsize=7, color=color)
    panel.set_xticks(range(len(columns)), [SHORT[column] for column in columns], rotation=20, fontsize=8)
    panel.set_yticks(range(len(groups)), list(groups), fontsize=8)
    panel.set_title("b", loc="left", fontweight="bold")
    panel.text(0.5, 1.02, "intervals that hold", transform=panel.transAxes, ha="center", va="bottom", fontsize=9)
