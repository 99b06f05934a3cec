"""Table 1 in the published arithmetic: its rows, and what they say."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..harness.claims import Claim, check
from .table1_rows import PUBLISHED

if TYPE_CHECKING:
    import xarray

NEAR = 0.05
"""How far a count may be from the published one, as a share of that."""

KINDS = ("flow", "observer")
"""What there is of a system: itself, and its observer."""


@dataclass(frozen=True)
class Counts:
    """A row of the dataset.

    Attributes:
        label: the paper's name of the flow, with what is made of it.
        length: T.
        published: the printed count.
        count: ours, from the published start.
        strict: ours by the rule without the factor 1/2 in the merit.
        least: least count of all starts that were run.
        most: largest.
        starts: how many were run beside the published one.
        converged: whether the run from the published start met the criterion.
        shortest: fewest steps that were left before NaN.
    """

    label: str
    length: int
    published: int
    count: int
    strict: int
    least: int
    most: int
    starts: int
    converged: bool
    shortest: int

    @property
    def comparable(self) -> bool:
        """Whether the row was run at the length that the paper's count is of."""
        return self.length == PUBLISHED.LENGTH

    @property
    def loose(self) -> bool:
        """Whether the count hangs on the last bits: other starts change it by more than is allowed."""
        return self.most - self.least > NEAR * self.count


def rows_of(dataset: "xarray.Dataset") -> tuple[Counts, ...]:
    """The rows, each flow before its observer."""
    found = []
    for system in dataset.system.values:
        for kind in KINDS:
            cells = dataset.sel(system=system, kind=kind)
            first, label = cells.isel(nudge=0), PUBLISHED.ROWS[str(system)].label
            found.append(
                Counts(
                    label=label if kind == "flow" else f"{label} observer",
                    length=int(cells.length),
                    published=int(cells.published),
                    count=int(first["count"]),
                    strict=int(first["strict"]),
                    least=int(cells["count"].min()),
                    most=int(cells["count"].max()),
                    starts=int(cells["count"].notnull().sum()) - 1,
                    converged=bool(first["converged"]),
                    shortest=int(first["shortest"]),
                )
            )
    return tuple(found)


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """The 18 counts, and what they say."""
    rows = rows_of(dataset)
    flows, observers = rows[::2], rows[1::2]
    comparable = [row for row in rows if row.comparable]
    counts = check(
        "counts of flows and observers, as the published loop counts", comparable, far, _reason,
        published="2 to 30000", tolerance="5 % each, unless the last bits decide",
    )  # fmt: skip
    return (
        *([counts] if comparable else []),
        check(
            "counts of observers do not hang on the last bits", observers, _unsure,
            tolerance="one step under 1 unit of rounding of the start",
        ),
        check(
            "every observer converges before any state is NaN", observers, _lost, published="no overflow",
        ),
        check(
            "every chaotic flow takes more steps than its observer", list(zip(flows, observers, strict=True)),
            lambda pair: None if pair[0].count > pair[1].count else f"{pair[0].label}: {pair[0].count}",
            published="9 of 9",
        ),
    )  # fmt: skip


def far(row: Counts) -> str | None:
    """A count that is too far from the published one."""
    if abs(row.count - row.published) <= NEAR * row.published:
        return None
    return f"{row.label}: {row.count}, published {row.published}"


def _reason(row: Counts) -> str | None:
    """Why a count may differ all the same."""
    if row.strict == row.published:
        return f"without the factor 1/2 in the merit it is {row.strict}"
    if row.loose:
        return f"starts moved by one unit of rounding take {row.least} to {row.most} steps"
    return None


def _unsure(row: Counts) -> str | None:
    """An observer's count that other roundings change."""
    return None if row.most - row.least <= 1 else f"{row.label}: {row.least} to {row.most}"


def _lost(row: Counts) -> str | None:
    """An observer that does not get there, or on whose way something was NaN."""
    if row.converged and row.shortest == row.length:
        return None
    return f"{row.label}: {row.count} steps, {row.shortest} of {row.length} states left"
