"""Table 1: Newton's method is slow on nine chaotic flows and takes a few updates on their observers.

Every flow is taken twice, as the chaotic system itself and as its observer: largest exponent by algorithm 1, updates
of Newton's method until merit/T <= 1e-10 from the published guess, and the distance of its trajectory from the
sequential one. Needs 64-bit types; the command line sees to it.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import parascan as ps

from ..plot import Figure
from ._agreement import chaotic, contracting
from ._claims import Claim, check
from ._files import write_json, write_text
from ._portions import Portion, in_portions
from ._provenance import provenance, versions
from ._store import Iterate, Slot
from ._table1_figure import draw
from ._table1_rows import PUBLISHED, SIZES, Case, Config, Report, Row

__all__ = ["PUBLISHED", "SIZES", "Case", "Config", "Report", "Row", "claims", "figure", "run", "save"]

TAIL = 0.2
"""Largest share of the predictable steps that may be left out because their residuals are not yet rounding."""

ROUNDING_DEVIATIONS = 4
"""Standard deviations over roundings that an exponent may differ by: three of the difference of two such exponents."""


def run(config: Config, folder: Path, progress: Callable[[Report], None] = lambda report: None) -> tuple[Row, ...]:
    """The rows of the table, two for each flow, each stored as soon as it is there.

    A row that ``folder`` holds for the same configuration and versions is read, not computed. An interrupted Newton
    run goes on from the last iterate stored, with the same numbers as without the interrupt.

    Args:
        config: what to run.
        folder: where rows and iterates are stored.
        progress: called at every change of stage and after every portion of updates; an exception from it ends the
            run, and what was stored stays.

    Returns:
        The rows in the paper's order, each flow before its observer.

    Raises:
        ValueError: 64-bit types are disabled.

    Source: table 1 and appendix J.5 of the paper.
    """
    if jnp.result_type(float) != jnp.float64:
        raise ValueError("dtype: given 64-bit types disabled, expected them enabled, as with jax.enable_x64(True).")
    cases = config.cases()
    rows = []
    for number, case in enumerate(cases):
        slot = Slot(folder, f"{case.system}_{case.kind}", {**asdict(case), "versions": versions()})
        stored = slot.load()
        if stored is None:
            row = _measured(case, slot, lambda report, n=number: progress(replace(report, number=n, cases=len(cases))))
        else:
            row = Row(**{**stored, **{name: math.nan for name, value in stored.items() if value is None}})
        rows.append(row)
        stage = "finished" if stored is None else "stored"
        progress(Report(case, stage, number + 1, len(cases), row.updates, row.merit))
    return tuple(rows)


def _measured(case: Case, slot: Slot, progress: Callable[[Report], None]) -> Row:
    """A row, computed and stored."""
    system = case.build()
    inputs = system.inputs(max(case.length, case.exponent_length))
    progress(Report(case, "exponent"))
    call = (system.step, system.initial_state, _first(inputs, case.exponent_length), case.exponent_length)
    estimate = ps.lyapunov_exponents(*call, key=jax.random.key(case.seed), warm_up=0, dt=PUBLISHED.DT)
    xs = _first(inputs, case.length)
    portion = _newton(case, system, xs, slot, progress)
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
    slot.save(asdict(row), {"states": states, "sequential": reference}, provenance())
    return row


def _newton(
    case: Case, system: ps.systems.System, xs: Array | None, slot: Slot, progress: Callable[[Report], None]
) -> Portion:
    """Newton's method from the guess or from the stored iterate, with every iterate stored before it is reported."""

    def after(portion: Portion) -> None:
        if portion.unfinished:
            slot.save_iterate(Iterate(np.asarray(portion.solution.states), portion.updates))
        progress(Report(case, "newton", updates=portion.updates, merit=float(portion.solution.stats.merit)))

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
        start=slot.load_iterate(),
    )


def _first(xs: Array | None, length: int) -> Array | None:
    """The first inputs, None for an autonomous system."""
    return None if xs is None else xs[:length]


def claims(rows: Sequence[Row]) -> tuple[Claim, ...]:
    """What the paper states about the rows, checked.

    Args:
        rows: as ``run`` returns them.
    """
    observers = [row for row in rows if row.kind == "observer"]
    flows = {row.system: row for row in rows if row.kind == "flow"}
    pairs = [(flows[row.system], row) for row in observers if row.system in flows]
    return (
        check("every Newton run meets its criterion", rows, _unsolved),
        check("every observer takes the published number of steps within one, as updates + 1", observers, _miscounted),
        check("every exponent is the published one within 0.02 or 5 %", rows, _wrong_exponent, _roundings),
        check("every trajectory is the sequential one within the tolerance", rows, _astray),
        check("every chaotic flow takes more updates than its observer", pairs, _not_slower),
    )


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


def save(rows: Sequence[Row], config: Config, folder: Path) -> None:
    """Write ``table1.csv`` (one line a row) and ``table1.json`` (configuration, rows, claims, versions, hardware).

    Args:
        rows: as ``run`` returns them.
        config: what was run.
        folder: where to write.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write_text(folder / "table1.csv", text.getvalue())
    verdicts = [{**asdict(claim), "passed": claim.passed} for claim in claims(rows)]
    content = {"config": asdict(config), "rows": [asdict(row) for row in rows], "claims": verdicts, **provenance()}
    write_json(folder / "table1.json", content)


def figure(rows: Sequence[Row]) -> Figure:
    """The rows in figure 8's form: steps of each flow and its observer, and their exponents, beside the published.

    Args:
        rows: as ``run`` returns them.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    return draw(rows)
