"""A plan as bars: the time that every method is expected to take."""

import numpy as np

from ..planning import Candidate, Plan
from ..solvers import Sequential
from .style import CHAOTIC, INK, LABEL_SIZE, MUTED, PREDICTABLE, SMALL_SIZE, Axes, Figure, frame, legend_below, titled

MOST_BARS = 10
"""Most methods that are drawn, the chosen one first."""

COLORS = {"chosen": PREDICTABLE, "possible": MUTED, "rejected": "#C9C9C9"}
"""Colors of bars by the standing of their method."""


def plan(found: Plan, *, title: str = "") -> Figure:
    """A plan as bars, the chosen method first: expected time of a call with its interval, on a logarithmic axis.

    Args:
        found: the plan.
        title: what was planned, for the line above the picture; T and D when empty.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    shown = found.candidates[:MOST_BARS]
    figure = titled(4.4, 1.3 + 0.42 * len(shown), title or f"T = {found.length}, D = {found.size}, {found.verdict}")
    panel = figure.subplots()
    frame(panel)
    value, low, high = (
        np.array([float(getattr(each.seconds, end)) for each in shown]) * 1e3 for end in ("value", "low", "high")
    )
    floor = float(np.min(np.where(low > 0, low, value))) / 2
    for row, each in enumerate(shown):
        bar = {"left": floor, "height": 0.4, "color": COLORS[each.standing], "linewidth": 0}
        panel.barh(row, value[row] - floor, label=_label(each, shown[:row]), **bar)
        panel.plot([max(low[row], floor), high[row]], [row, row], color=INK, linewidth=1.2, label=_interval(row, each))
        panel.text(
            floor, row - 0.27, f" {each.name}", fontsize=SMALL_SIZE, color=INK, va="bottom", parse_math=False,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5},
        )  # fmt: skip
    _sequential(panel, found)
    panel.set_xscale("log")
    panel.set_xlim(floor, float(np.max(high)) * 1.3)
    panel.set_ylim(len(shown) - 0.5, -0.8)
    panel.set_yticks([])
    panel.set_xlabel("expected time of a call (ms)", fontsize=LABEL_SIZE)
    legend_below(figure, panel)
    return figure


def _label(candidate: Candidate, before: tuple[Candidate, ...]) -> str | None:
    """The standing of a method for the legend, once."""
    return None if any(each.standing == candidate.standing for each in before) else candidate.standing


def _interval(row: int, candidate: Candidate) -> str | None:
    """What the lines on the bars are, for the legend, once."""
    return f"{candidate.seconds.level:.0%} interval" if row == 0 else None


def _sequential(panel: Axes, found: Plan) -> None:
    """The time of one step after the other across all bars."""
    for each in found.candidates:
        if isinstance(each.solver, Sequential) and each.solver.unroll == 1 and each.device == found.platform:
            seconds = float(each.seconds.value) * 1e3
            panel.axvline(
                seconds, color=CHAOTIC, linestyle="--", linewidth=1.0, zorder=0, label="one step after the other"
            )
            return
