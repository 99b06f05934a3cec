"""`python -m benchmarks.planner_map`: the page on planning from the stored judgement of the planner: map and tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .documents import put_between, table_line
from .planner import FOLDER, stored, summary

DOCUMENT = Path(__file__).parent.parent / "docs" / "planning.md"
PICTURES = DOCUMENT.parent / "pictures"
BEGIN, END = "<!-- judgement: begin -->", "<!-- judgement: end -->"

COLORS = {"one step after the other": "#8A8A8A", "chunks side by side": "#0072B2", "Newton": "#D55E00"}
"""Of the winning methods, apart for every kind of color blindness and in gray."""

MARKERS = {"one step after the other": "o", "chunks side by side": "s", "Newton": "^"}

LARGEST_GAIN = 8.0
"""Speed at which markers stop growing."""

CLEAR = 1.05
"""Times the sequential speed from which a method has won, and not merely drawn."""


def winner(row: Mapping[str, Any]) -> str:
    """The kind of the fastest method; one step after the other where nothing is clearly faster.

    Args:
        row: of the planner's judgement.
    """
    times = _by_kind(row)
    return min(times, key=lambda kind: times[kind]) if gain(row) >= CLEAR else "one step after the other"


def gain(row: Mapping[str, Any]) -> float:
    """How many times as fast as one step after the other the best method is."""
    return row["times"]["lax.scan"] / min(_by_kind(row).values())


def _by_kind(row: Mapping[str, Any]) -> dict[str, float]:
    """The least seconds of every kind of method; not of the default, which does not say which way it went."""
    times = {"one step after the other": row["times"]["lax.scan"]}
    for name, seconds in row["times"].items():
        ran = _now_called(row["planned"] if name == "plan" else name)
        kind = "Newton" if "Newton" in ran else "chunks side by side" if "chunks" in ran else None
        if kind is not None:
            times[kind] = min(times.get(kind, np.inf), seconds)
    return times


def _now_called(name: str) -> str:
    """A method's name today: what is stored may call the chunks of the default blocks."""
    return name if "Newton" in name else name.replace("blocks", "chunks")


def draw(rows: list[dict[str, Any]]) -> Figure:
    """Winners over exponent and length, and over exponent and size.

    Args:
        rows: of the planner's judgement.
    """
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    rng = np.random.default_rng(0)
    for panel, (name, label) in zip(axes, (("length", "steps T"), ("size", "size of the state D")), strict=True):
        panel.axvspan(0, 10, color="#F2F2F2", lw=0)
        panel.axvline(0, color="#222222", lw=1)
        for kind, color in COLORS.items():
            chosen = [row for row in rows if winner(row) == kind]
            # Moved a little, so that systems of one length do not hide one another.
            moved = [row[name] * np.exp(rng.normal(0, 0.08)) for row in chosen]
            exponents = [max(row["exponent"], -20.0) for row in chosen]
            sizes = [14 + 14 * (min(gain(row), LARGEST_GAIN) - 1) for row in chosen]
            panel.scatter(exponents, moved, s=sizes, c=color, marker=MARKERS[kind], alpha=0.8, lw=0, label=kind)
        panel.set_xscale("symlog", linthresh=0.01)
        panel.set_yscale("log")
        panel.set_xlim(-30, 1.5)
        panel.set_xticks([-10, -1, -0.1, 0, 0.1, 1], ["-10", "-1", "-0.1", "0", "0.1", "1"])
        panel.set_xlabel(r"largest Lyapunov exponent $\lambda$, 1/step")
        panel.set_ylabel(label)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_sizes([40])
    axes[0].text(0.012, axes[0].get_ylim()[0] * 1.3, "unpredictable", fontsize=8, color="#555555", rotation=90)
    return figure


def tables(path: Path) -> str:
    """The summary of all systems and of each kind, and the systems that show a difference, in Markdown.

    Args:
        path: of the stored judgement.
    """
    rows = list(stored(path).values())
    kinds = sorted({row["kind"] for row in rows})
    summaries = [summary(rows), *(summary([row for row in rows if row["kind"] == kind]) for kind in kinds)]
    lines = [table_line("", "all", *kinds), table_line(*["---"] * (len(kinds) + 2))]
    lines.extend(table_line(name, *(_number(each[name]) for each in summaries)) for name in summaries[0])
    told = [row for row in rows if max(row["regret"], row["default_regret"], gain(row)) >= CLEAR]
    lines += [
        "",
        f"The {len(told)} of {len(rows)} systems where some method is {CLEAR} times as fast as `lax.scan`, the plan or "
        "the default:",
        "",
        table_line(
            "system", "exponent", "best method", "planned", "plan / best", "default / best", "plan, of lax.scan",
            "default, of lax.scan", "Newton: forecast", "measured",
        ),
        table_line(*["---"] * 10),
    ]  # fmt: skip
    for row in sorted(told, key=lambda row: -row["regret"]):
        ratios = [f"{row[name]:.2f}" for name in ("regret", "default_regret", "speed", "default_speed")]
        iterations = "" if row["iterations"] is None else row["iterations"]
        forecast = f"{row['forecast'][0]:.0f}"
        exponent = f"{row['exponent']:.3g}"
        ways = _now_called(row["best"]), _now_called(row["planned"])
        lines.append(table_line(row["name"], exponent, *ways, *ratios, forecast, iterations))
    return "\n".join(lines)


def _number(value: float) -> str:
    """Three digits, or nothing where nothing is known."""
    return "" if np.isnan(value) else f"{value:.3g}"


def main() -> None:
    """Draw the map and put the tables of all machines between the marks of the page."""
    paths = sorted(FOLDER.glob("*.jsonl"))
    if not paths:
        raise SystemExit("nothing is stored: run python -m benchmarks.planner first")
    PICTURES.mkdir(exist_ok=True)
    rows = list(stored(paths[0]).values())
    figure = draw(rows)
    for suffix in ("svg", "png"):
        figure.savefig(PICTURES / f"planning_map.{suffix}", dpi=160)
    text = "\n\n".join(f"Measured on {path.stem.replace('-', ' ')}.\n\n{tables(path)}" for path in paths)
    put_between(DOCUMENT, (BEGIN, END), text)


if __name__ == "__main__":
    main()
