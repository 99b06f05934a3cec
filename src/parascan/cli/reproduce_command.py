"""``parascan reproduce``: tables and figures of the paper, with their claims checked."""

import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ..api.extras import missing
from ..paper.experiments import registry
from ..paper.harness.claims import Claim
from ..paper.harness.experiment import Experiment
from ..paper.harness.page import write_page
from ..paper.harness.run import Report, run, write_dataset
from ..paper.harness.workforce import Workforce, workforce
from ..paper.harness.written_files import write_atomically, write_json
from ..pictures import style
from . import report
from ._arguments import JsonOption
from ._errors import interruptible, wrong_usage
from ._json import echo_json

ALL, PAGE = "all", "page"

RESULTS = Path("results")


class Arithmetics(StrEnum):
    """Arithmetics in which an experiment can be run."""

    library = "library"
    published = "published"


class Size(StrEnum):
    """Sizes at which an experiment can be run, up to the paper's."""

    smoke = "smoke"
    demo = "demo"
    desk = "desk"
    full = "full"


ArithmeticOption = Annotated[
    Arithmetics,
    typer.Option(
        help="published: as the paper's own code computes and counts, for table1, fig2, fig6 and fig8; stored beside "
        "the library's."
    ),
]
"""In which arithmetic an experiment is run."""


def reproduce(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help=f"`all`, some of {', '.join(registry.EXPERIMENTS)}, or `page` to write the documentation's page from "
            "what is stored.",
            show_default=False,
        ),
    ],
    size: Annotated[
        Size,
        typer.Option(
            help="smoke: seconds; desk: all of it within an hour on two cores; full: the paper's sizes; demo: table 1 "
            "in a minute, its chaotic flows over 8000 steps."
        ),
    ] = Size.desk,
    arithmetic: ArithmeticOption = Arithmetics.library,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for datasets, claims and pictures.")] = RESULTS,
    workers: Annotated[int, typer.Option(min=1, help="Processes of this machine, a thread each.")] = os.cpu_count()
    or 1,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that measures in place of processes here.")
    ] = None,
    source: Annotated[Path, typer.Option("--from", file_okay=False, help="For `page`: folder of a run.")] = RESULTS,
    to: Annotated[Path, typer.Option(file_okay=False, help="For `page`: folder of the documentation.")] = Path("docs"),
    as_json: JsonOption = False,
) -> None:
    """Reproduce tables and figures of the paper: measure, store, check the claims, draw.

    Every point is stored as soon as it is measured and never measured again: after Ctrl-C or a kill the same command
    goes on where it was, and ends with the same datasets. Each experiment leaves `NAME.nc` (the dataset with its
    configuration, versions and hardware), `NAME.json` (the claims with their verdicts), `NAME.png` and `NAME.svg`.
    Files of the published arithmetic are called `NAME-published`. Exits with 1 when a claim is missed and nothing
    explains it.

    For example:

    - `parascan reproduce table1 --size demo`
    - `parascan reproduce all --size smoke --out results`
    - `parascan reproduce table1 --arithmetic published`
    """
    if names == [PAGE]:
        _page(source, to, as_json)
        return
    console = report.console(aside=as_json)
    chosen = _chosen(names, size, arithmetic)
    options = [f"--size {size}", *([] if arithmetic == Arithmetics.library else [f"--arithmetic {arithmetic}"])]
    options += [f"--out {out}", *([f"--scheduler {scheduler}"] if scheduler else [])]
    again = f"parascan reproduce {' '.join(names)} {' '.join(options)}"
    started, missed, failed = time.perf_counter(), list[str](), list[str]()
    experiments: dict[str, Any] = {}
    with interruptible(f"stored points are in {out / 'points'}; go on with: {again}") as check:
        for experiment in chosen:
            try:
                with _hands(experiment, workers, scheduler) as hands:
                    verdicts = _reproduce(experiment, size, out, hands, check, console)
            except RuntimeError as error:
                # The others can do without it, and what it stored stays.
                console.print(f"{experiment.name}: {error}", markup=False)
                failed.append(experiment.name)
                experiments[experiment.name] = {"failed": str(error), "claims": []}
            else:
                experiments[experiment.name] = {"failed": None, "claims": listed(verdicts)}
                missed += [experiment.name] * (not all(claim.passed for claim in verdicts))
    if len(chosen) > 1:
        outcome = "every claim is met or explained" if not missed + failed else ""
        outcome += f"claims missed in: {', '.join(missed)}. " if missed else ""
        outcome += f"failed: {', '.join(failed)}" if failed else ""
        console.print(f"{len(chosen)} experiments in {time.perf_counter() - started:.0f} seconds; {outcome}")
    if as_json:
        echo_json("reproduce", {"size": str(size), "out": str(out), "experiments": experiments})
    if missed or failed:
        raise typer.Exit(1)


def _page(source: Path, to: Path, as_json: bool) -> None:
    """Write the documentation's page from what is stored."""
    with wrong_usage():
        written = write_page(source, to, registry.ordered())
    if as_json:
        echo_json("reproduce", {"page": str(written)})
    else:
        report.console().print(f"page: {written}", markup=False, soft_wrap=True)


def listed(verdicts: Sequence[Claim]) -> list[dict[str, Any]]:
    """Claims with their verdicts, for JSON.

    Args:
        verdicts: of an experiment.
    """
    return [{**asdict(claim), "verdict": claim.verdict} for claim in verdicts]


def _chosen(names: Sequence[str], size: str, arithmetic: Arithmetics) -> list[Experiment]:
    """The experiments of some names; all that have the size and the arithmetic for ``all``."""
    if importlib.util.find_spec("xarray") is None:
        raise typer.BadParameter(missing("xarray", "datasets need", "paper"))
    if names == [ALL]:
        known = registry.EXPERIMENTS if arithmetic == Arithmetics.library else registry.PUBLISHED
        return [experiment for experiment in known.values() if size in experiment.sizes]
    with wrong_usage():
        chosen = [registry.get(name, arithmetic.value) for name in dict.fromkeys(names)]
    for experiment in chosen:
        if size not in experiment.sizes:
            expected = ", ".join(experiment.sizes)
            raise typer.BadParameter(f"size: given {size}, expected one that {experiment.name} has: {expected}.")
    return chosen


@contextmanager
def _hands(experiment: Experiment, workers: int, scheduler: str | None) -> Iterator[Workforce]:
    """The workers that measure an experiment; one that measures time gets no second worker beside it."""
    with ExitStack() as stack:
        try:
            found = workforce(0) if experiment.alone else workforce(workers, scheduler)
            hands = stack.enter_context(found)
        except (ImportError, OSError, ValueError) as error:
            raise typer.BadParameter(f"scheduler: given {scheduler}: {error}") from error
        yield hands


def _reproduce(
    experiment: Experiment, size: str, out: Path, hands: Workforce, check: Callable[[], None], console: Console
) -> tuple[Claim, ...]:
    """The claims of an experiment with their verdicts, and its files."""
    console.print(f"{experiment.name}, size {size}: {experiment.title}", style="bold")
    console.print(f"configuration: {experiment.sizes[size]}", markup=False)
    with report.reproduction() as bar:
        task = bar.add_task(experiment.name, total=None)

        def progress(at: Report) -> None:
            report.show(bar, task, at)
            check()

        dataset = run(experiment, size, out / "points", hands, progress)
    verdicts = experiment.claims(dataset)
    write_dataset(dataset, out / f"{experiment.stem}.nc")
    write_json(out / f"{experiment.stem}.json", {"claims": listed(verdicts), **dataset.attrs})
    _draw(experiment, dataset, out, console)
    if experiment.table is not None:
        console.print(report.cells(experiment.table(dataset)))
    console.print(report.claims(verdicts))
    console.print(escape(experiment.note))
    return verdicts


def _draw(experiment: Experiment, dataset: Any, out: Path, console: Console) -> None:
    """Draw the picture in two formats; skipped without matplotlib."""
    try:
        figure = experiment.figure(dataset)
    except ImportError as error:
        console.print(f"no picture: {error}", markup=False)
        return
    paths = [out / f"{experiment.stem}{suffix}" for suffix in (".png", ".svg")]
    for path in paths:
        write_atomically(path, lambda file, path=path: style.save(figure, file, path.suffix))
    console.print(f"dataset: {out / experiment.stem}.nc; picture: {', '.join(map(str, paths))}", soft_wrap=True)
