"""Table 1: Newton's method is slow on nine chaotic flows and takes a few updates on their observers.

Every flow is taken twice, as the chaotic system itself and as its observer: largest exponent by algorithm 1, updates
of Newton's method until merit/T <= 1e-10 from the published guess, and the distance of its trajectory from the
sequential one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import parascan as ps

from ...pictures.style import Figure
from ..harness.agreement import chaotic, contracting
from ..harness.claims import Claim, check
from ..harness.experiment import Experiment
from ..harness.portions import Portion, in_portions
from ..harness.store import Iterate, IterateFile
from .table1_figure import typeset
from .table1_rows import PUBLISHED, SIZES, Case, Config, Row

if TYPE_CHECKING:
    import xarray

TAIL = 0.2
"""Largest share of the predictable steps that may be left out because their residuals are not yet rounding."""

ROUNDING_DEVIATIONS = 4
"""Standard deviations over roundings that an exponent may differ by: three of the difference of two such exponents."""


def points(config: Config) -> tuple[Case, ...]:
    """The measurements: each flow, then its observer."""
    return config.cases()


def measure(case: Case, folder: Path) -> Mapping[str, Any]:
    """A row of the table with both trajectories; Newton's method goes on from the iterate that the folder holds.

    Args:
        case: what to measure.
        folder: where iterates are stored until the row is finished.

    Source: table 1 and appendix J.5 of the paper.
    """
    system = case.build()
    inputs = system.inputs(max(case.length, case.exponent_length))
    call = (system.step, system.initial_state, _first(inputs, case.exponent_length), case.exponent_length)
    estimate = ps.lyapunov_exponents(*call, key=jax.random.key(case.seed), warm_up=0, dt=PUBLISHED.DT)
    xs = _first(inputs, case.length)
    portion = _newton(case, system, xs, IterateFile(folder / "iterate.npz"))
    sequential = ps.rollout(system.step, system.initial_state, xs, case.length, solver=ps.Sequential())
    states, reference = portion.solution.states, sequential.states
    per_step = float(estimate.per_step)
    if case.kind == "observer":
        agreement = contracting(states, reference, per_step, case.tolerance)
    else:
        agreement = chaotic(system, xs, states, reference, per_step)
    published = getattr(PUBLISHED.ROWS[case.system], case.kind)
    row = Row(
        system=case.system,
        kind=case.kind,
        length=case.length,
        exponent=float(estimate.per_time),
        spread=float(estimate.spread) / PUBLISHED.DT,
        updates=portion.updates,
        message=ps.Result[portion.solution.result],
        merit=float(portion.solution.stats.merit),
        **asdict(agreement),
        worst=float(jnp.max(jnp.abs(states - reference))),
        published_exponent=published.exponent,
        published_spread=published.spread,
        published_steps=published.steps,
    )
    return {**asdict(row), "states": np.asarray(states), "sequential": np.asarray(reference)}


def _newton(case: Case, system: ps.systems.System, xs: Array | None, stored: IterateFile) -> Portion:
    """Newton's method from the guess or from the stored iterate, with every iterate of a portion's end stored."""

    def after(portion: Portion) -> None:
        if portion.unfinished:
            stored.save(Iterate(np.asarray(portion.solution.states), portion.updates))

    return in_portions(
        system,
        xs,
        case.length,
        solver=ps.deer(),
        criterion=ps.Merit(case.tolerance),
        # The same trajectory at every T, as the method is causal: a shorter run is the beginning of a longer one.
        guess=PUBLISHED.guess()[: case.length],
        size=case.portion,
        after=after,
        start=stored.load(),
    )


def _first(xs: Array | None, length: int) -> Array | None:
    """The first inputs, None for an autonomous system."""
    return None if xs is None else xs[:length]


def gather(config: Config, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """The rows by flow and kind."""
    import xarray

    systems, kinds = list(config.systems), ["flow", "observer"]
    columns = {}
    for field in fields(Row):
        if field.name not in ("system", "kind"):
            column = np.array([each[field.name] for each in values]).reshape(len(systems), len(kinds))
            columns[field.name] = (("system", "kind"), column)
    return xarray.Dataset(columns, coords={"system": systems, "kind": kinds})


def rows_of(dataset: "xarray.Dataset") -> tuple[Row, ...]:
    """The rows of a dataset, each flow before its observer."""
    found = []
    for system in dataset.system.values:
        for kind in dataset.kind.values:
            cells = dataset.sel(system=system, kind=kind)
            values = {str(name): cells[name].values.item() for name in cells.data_vars}
            found.append(Row(system=str(system), kind=kind, **values))
    return tuple(found)


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the paper states about the rows, checked."""
    return claims_of(rows_of(dataset))


def claims_of(rows: Sequence[Row]) -> tuple[Claim, ...]:
    """What the paper states about the rows, checked.

    Args:
        rows: of ``rows_of``.
    """
    observers = [row for row in rows if row.kind == "observer"]
    flows = {row.system: row for row in rows if row.kind == "flow"}
    pairs = [(flows[row.system], row) for row in observers if row.system in flows]
    return (
        check("every Newton run meets its criterion", rows, _unsolved, tolerance="merit/T at most 1e-10"),
        check(
            "steps of every observer, as updates + 1", observers, _miscounted, published="2 to 14", tolerance="± 1 each"
        ),
        check(
            "exponents of flows and observers, per unit of time", rows, _wrong_exponent, _roundings,
            published="-6.28 to 1.02", tolerance="± 0.02 or 5 % each, or what roundings make of an orbit",
        ),
        check("every trajectory is the sequential one", rows, _astray, tolerance="theorem 2, or the horizon"),
        check("every chaotic flow takes more updates than its observer", pairs, _not_slower, published="9 of 9"),
    )  # fmt: skip


def _unsolved(row: Row) -> str | None:
    """Why a row's Newton run failed."""
    return f"{row.label} {row.kind}: {row.message}" if row.message else None


def _miscounted(row: Row) -> str | None:
    """The count of an observer that is too far from the published one."""
    if abs(row.counted - row.published_steps) <= 1:
        return None
    return f"{row.label}: {row.updates} updates + 1 = {row.counted}, published {row.published_steps}"


def _wrong_exponent(row: Row) -> str | None:
    """An exponent that is too far from the published one."""
    if abs(row.exponent - row.published_exponent) <= max(0.02, 0.05 * abs(row.published_exponent)):
        return None
    return f"{row.label} {row.kind}: {row.exponent:.4f} per unit of time, published {row.published_exponent}"


def _roundings(row: Row) -> str | None:
    """Whether the difference is one that two machines with different roundings would have between them."""
    if not abs(row.exponent - row.published_exponent) <= ROUNDING_DEVIATIONS * row.published_spread:
        return None
    return f"within what other roundings make of a chaotic orbit ({row.published_spread} standard deviation)"


def _astray(row: Row) -> str | None:
    """A trajectory that is too far from the sequential one, or was hardly compared."""
    if row.compared < (1 - TAIL) * row.horizon:
        return f"{row.label} {row.kind}: only {row.compared} of {row.horizon} predictable steps solved to rounding"
    if row.error <= row.tolerance:
        return None
    return f"{row.label} {row.kind}: error {row.error:.1e}, tolerance {row.tolerance:.1e}"


def _not_slower(pair: tuple[Row, Row]) -> str | None:
    """A flow that takes no more updates than its observer."""
    flow, observer = pair
    if flow.updates > observer.updates:
        return None
    return f"{flow.label}: {flow.updates} updates, its observer {observer.updates}"


HEADINGS = ("", "exponent", "paper", "T", "updates", "+ 1", "paper", "error", "tolerance", "over steps")
"""Of the printed table: exponents, counts, and the distance from the sequential trajectory."""


def table(dataset: "xarray.Dataset") -> tuple[tuple[str, ...], ...]:
    """A line for each flow and one for its observer, published numbers beside ours."""
    lines: list[tuple[str, ...]] = [HEADINGS]
    for row in rows_of(dataset):
        name = row.label if row.kind == "flow" else f"{row.label} observer"
        numbers = (f"{row.exponent:.3f}", f"{row.published_exponent:.2f}", f"{row.length}", f"{row.updates}")
        counts = (f"{row.counted}", f"{row.published_steps}")
        lines.append((name, *numbers, *counts, f"{row.error:.0e}", f"{row.tolerance:.0e}", f"{row.compared}"))
    return tuple(lines)


def figure(dataset: "xarray.Dataset") -> Figure:
    """The table as a picture, published numbers beside ours."""
    return typeset(rows_of(dataset))


EXPERIMENT = Experiment(
    name="table1",
    title="Exponents and Newton steps of nine chaotic flows and their observers",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    table=table,
    note="Exponents are per unit of time. Steps are updates of Newton's method from standard normals until "
    "merit/T <= 1e-10; the paper's loop tests each iterate one update late, so its count is ours + 1. Its counts of "
    "flows depend on whether iterates that overflow are put back; they are shown here and claimed in the published "
    "arithmetic. An observer's distance from the sequential trajectory is a root mean square, a flow's the largest "
    "entry up to the prediction horizon (equation 7).",
)
