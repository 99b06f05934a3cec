"""Figure 8: the steps of table 1 as bars, chaotic flows beside their observers, over their exponents."""

from typing import TYPE_CHECKING

from ...pictures.style import Figure
from ..harness.claims import Claim, between
from ..harness.experiment import Experiment
from . import table1
from .table1_figure import draw

if TYPE_CHECKING:
    import xarray

RESETS = (
    "An overflow here puts the states that overflowed back to the guess. The published loop puts none back: each "
    "update then makes one more step right, and the median is met in that arithmetic (`--arithmetic published`), below."
)
"""Why flows take fewer steps than published; measured by ``fig8_published``."""


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the picture shows at a glance."""
    updates = dataset.updates
    share = (updates.sel(kind="flow") / dataset.length.sel(kind="flow")).median().item()
    return (
        between(
            "largest count of steps of an observer, as updates + 1", 1, 15,
            updates.sel(kind="observer").max().item() + 1, published="14", tolerance="± 1",
        ),
        between(
            "steps of a chaotic flow over T, median", 0.25, 1.0, share, published="0.98",
            tolerance="at least a quarter", explanation=RESETS,
        ),
        between(
            "exponent of an observer, per unit of time, largest", float("-inf"), 0.0,
            dataset.exponent.sel(kind="observer").max().item(), published="-0.07", tolerance="negative",
        ),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """Counts and exponents of each flow and its observer beside the published ones."""
    return draw(table1.rows_of(dataset))


EXPERIMENT = Experiment(
    name="fig8",
    title="Newton is slow on chaotic flows and fast on their observers",
    sizes=table1.SIZES,
    points=table1.points,
    measure=table1.measure,
    gather=table1.gather,
    claims=claims,
    figure=figure,
    note="Drawn from the points of table 1.",
)
