"""Table 1 in the arithmetic of the code that the paper published, and which of its counts hang on the last bits.

Every row is run from the published start, and again from starts that one unit of rounding in one coordinate moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from ...pictures import style
from ...pictures.style import Figure
from ..harness.experiment import Experiment
from .published_newton import newton
from .table1_published_claims import KINDS, claims, far, rows_of
from .table1_rows import PUBLISHED, Case, Config

if TYPE_CHECKING:
    import xarray

NUDGES = ((0, 0), (0, 1), (1, 1), (2, 1), (0, -1), (1, -1))
"""Which coordinate of the start is moved, and by how many units of rounding; the first is the published start."""


@dataclass(frozen=True)
class Published:
    """What to run.

    Attributes:
        rows: systems and lengths; exponents are those of the other arithmetic.
        nudges: starts of every row, the first of ``NUDGES``.
        left_out: flows and starts that are not run, as they take long.
    """

    rows: Config
    nudges: int = len(NUDGES)
    left_out: tuple[tuple[str, int], ...] = ()


SIZES = MappingProxyType(
    {
        "smoke": Published(Config(systems=("kawczynski_strizhak", "lorenz"), flow_length=700, observer_length=700), 2),
        "demo": Published(Config()),
        "desk": Published(
            Config(flow_length=PUBLISHED.LENGTH), left_out=tuple(("thomas", k) for k in range(3, len(NUDGES)))
        ),
        "full": Published(Config(flow_length=PUBLISHED.LENGTH)),
    }
)
"""Configurations by name, of the sizes of table 1; desk runs three starts of Thomas's flow, which takes the longest."""


@dataclass(frozen=True)
class Nudged:
    """One run.

    Attributes:
        case: the row.
        nudge: which of ``NUDGES``.
    """

    case: Case
    nudge: int


def points(config: Published) -> tuple[Nudged, ...]:
    """The rows in the paper's order, all starts of a row together, so that its programs are compiled once."""
    starts = range(config.nudges)
    every = (Nudged(case, nudge) for case in config.rows.cases() for nudge in starts)
    left_out = {(name, "flow", nudge) for name, nudge in config.left_out}
    return tuple(point for point in every if (point.case.system, point.case.kind, point.nudge) not in left_out)


def measure(point: Nudged, folder: Path) -> Mapping[str, Any]:
    """The published loop on one row, from one start.

    Args:
        point: what to measure.
        folder: not needed.

    Source: table 1 and appendix J.5 of the paper.
    """
    case = point.case
    system = case.build()
    guess = PUBLISHED.guess()[: case.length]
    start = jnp.asarray(nudged(np.asarray(system.initial_state), *NUDGES[point.nudge]))
    xs = system.inputs(case.length)
    # What the published loop has without the factor 1/2 is counted too: see ``nine_flows``.
    found = newton(system.step, start, xs, guess, case.tolerance)
    strict = newton(system.step, start, xs, guess, case.tolerance / 2) if found.count < 20 else found
    return {
        "count": found.count,
        "strict": strict.count,
        "converged": found.converged,
        "merit": found.merit,
        "shortest": found.shortest,
        "marched": found.marched,
    }


def nudged(start: np.ndarray, coordinate: int, units: int) -> np.ndarray:
    """A start with one coordinate moved by some units of rounding."""
    moved = start.copy()
    for _ in range(abs(units)):
        moved[coordinate] = np.nextafter(moved[coordinate], np.inf * units)
    return moved


def gather(config: Published, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """Counts by flow, kind and start; NaN where a start was left out."""
    import xarray

    systems = list(config.rows.systems)
    shape = (len(systems), len(KINDS), config.nudges)
    names = ("count", "strict", "converged", "merit", "shortest", "marched")
    columns: dict[str, Any] = {}
    for name in names:
        column = np.full(shape, np.nan)
        for point, found in zip(points(config), values, strict=True):
            column[systems.index(point.case.system), KINDS.index(point.case.kind), point.nudge] = found[name]
        columns[name] = (("system", "kind", "nudge"), column)
    columns["length"] = ("kind", [config.rows.flow_length, config.rows.observer_length])
    printed = [[getattr(PUBLISHED.ROWS[name], kind).steps for kind in KINDS] for name in systems]
    columns["published"] = (("system", "kind"), printed)
    return xarray.Dataset(columns, coords={"system": systems, "kind": list(KINDS), "nudge": range(config.nudges)})


HEADINGS = (
    "",
    "T",
    "published",
    "ours",
    "1 unit of rounding",
    "within 5 %",
    "fewest states before NaN",
    "met criterion",
)
"""Of the printed table: counts from the published start, their range over the moved ones, and what was lost."""


def table(dataset: "xarray.Dataset") -> tuple[tuple[str, ...], ...]:
    """A line for each flow and one for its observer."""
    lines: list[tuple[str, ...]] = [HEADINGS]
    for row in rows_of(dataset):
        spread = f"{row.least} to {row.most}" if row.most > row.least else "the same" if row.starts else "not run"
        near = ("yes" if far(row) is None else "no") if row.comparable else "other T"
        lost = f"{row.shortest}" if row.shortest < row.length else "all finite"
        numbers = (f"{row.length}", f"{row.published}", f"{row.count}", spread, near, lost)
        lines.append((row.label, *numbers, "yes" if row.converged else "no"))
    return tuple(lines)


def figure(dataset: "xarray.Dataset") -> Figure:
    """Our counts over the published ones, with their range over starts."""
    figure, (panel,) = style.canvas(5.2, 4.4, (1.0,))
    for kind, color, marker in (("flow", style.CHAOTIC, "o"), ("observer", style.PREDICTABLE, "s")):
        cells = dataset.sel(kind=kind)
        ours, printed = cells["count"].isel(nudge=0).values, cells.published.values
        low, high = cells["count"].min("nudge").values, cells["count"].max("nudge").values
        panel.errorbar(
            printed, ours, yerr=(ours - low, high - ours), fmt=marker, color=color, markersize=5, capsize=3,
            linestyle="", label="chaotic flow" if kind == "flow" else "its observer",
        )  # fmt: skip
    ends = (1.5, 1.5 * PUBLISHED.LENGTH)
    panel.plot(ends, ends, color=style.MUTED, linewidth=0.9, zorder=0)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("published count, T = 30,000")
    panel.set_ylabel("count in the published arithmetic")
    panel.legend(frameon=False, fontsize=9)
    return figure


EXPERIMENT = Experiment(
    name="table1",
    arithmetic="published",
    title="Counts of nine chaotic flows and their observers, to the last bits",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    table=table,
    note="The published loop puts no state back. Once products of a flow's Jacobians overflow, every later state is "
    "NaN, and each update makes one more step finite: the count is T, less the steps that were left, plus the updates "
    "up to there. A flow of large exponent never meets the criterion, because rounding in products over thousands of "
    "steps is larger than its states; the loop then stops at T. Bars, and the column of one unit of rounding, are up "
    "to five runs a row whose start has one coordinate moved by one unit of rounding.",
)
