"""Figure 8 in the arithmetic of the code that the paper published: the steps of table 1 as bars."""

from typing import TYPE_CHECKING

import numpy as np

from ...pictures import style
from ...pictures.style import Figure
from ..harness.claims import Claim, between, near
from ..harness.experiment import Experiment
from . import table1_published
from .table1_rows import PUBLISHED

if TYPE_CHECKING:
    import xarray


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the picture shows at a glance."""
    first = dataset["count"].isel(nudge=0)
    flows, observers = first.sel(kind="flow"), first.sel(kind="observer")
    share = (flows / dataset.length.sel(kind="flow")).median().item()
    whole = int(dataset.length.sel(kind="flow")) == PUBLISHED.LENGTH and dataset.sizes["system"] == len(PUBLISHED.ROWS)
    medians = (
        near("steps of a chaotic flow over T, median", 29396 / PUBLISHED.LENGTH, share, relative=0.05),
        near("steps of an observer, median", 3, observers.median().item(), absolute=1),
    )
    return (
        between(
            "largest count of steps of an observer", 1, 15, observers.max().item(), published="14", tolerance="± 1"
        ),
        *(medians if whole else ()),
    )


def figure(dataset: "xarray.Dataset") -> Figure:
    """Counts of each flow and its observer, the published ones as diamonds."""
    figure, (panel,) = style.canvas(9.0, 3.8, (1.0,))
    systems = [str(each) for each in dataset.system.values]
    for kind, shift, color in (("flow", -0.21, style.CHAOTIC), ("observer", 0.21, style.PREDICTABLE)):
        cells, places = dataset.sel(kind=kind), np.arange(len(systems)) + shift
        label = f"{'chaotic flow' if kind == 'flow' else 'its observer'}, T = {int(cells.length):,}"
        panel.bar(places, cells["count"].isel(nudge=0).values, 0.4, color=color, label=label)
        panel.plot(
            places, cells.published.values, "D", markersize=4.5, markerfacecolor=color, markeredgecolor=style.INK
        )
    panel.set_yscale("log")
    panel.set_ylim(0.9, PUBLISHED.LENGTH * 4)
    panel.set_ylabel("steps (log scale)\ndiamonds: the paper")
    labels = [PUBLISHED.ROWS[name].label for name in systems]
    panel.set_xticks(range(len(labels)), [label.replace(" ", "\n", 1).replace("-S", "-\nS") for label in labels])
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=9)
    return figure


EXPERIMENT = Experiment(
    name="fig8",
    arithmetic="published",
    title="Steps on chaotic flows and on their observers",
    sizes=table1_published.SIZES,
    points=table1_published.points,
    measure=table1_published.measure,
    gather=table1_published.gather,
    claims=claims,
    figure=figure,
    note="Drawn from the points of table 1 in the published arithmetic.",
)
