"""A run of an experiment: measure what is not measured yet, store every point as it comes, gather the dataset."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .experiment import Experiment
from .points import PointStore
from .provenance import versions
from .workforce import Workforce
from .written_files import write_atomically

if TYPE_CHECKING:
    import xarray

PULSE = 0.2
"""Seconds between two looks at whether somebody asked to stop."""


@dataclass(frozen=True)
class Report:
    """Where a run is.

    Attributes:
        finished: points that are stored.
        total: points in all.
        fresh: points measured in this run.
        point: the last point stored, None before the first.
    """

    finished: int
    total: int
    fresh: int = 0
    point: Any = None


def run(
    experiment: Experiment,
    size: str,
    folder: Path,
    workforce: Workforce,
    progress: Callable[[Report], None] = lambda report: None,
) -> "xarray.Dataset":
    """The dataset of an experiment.

    A point that ``folder`` holds for the same code and versions is read, not measured. Every other one is stored as
    soon as it is there, so that a run that was stopped or killed goes on where it was and ends with the same dataset.
    Only one run at a time may use a folder.

    Args:
        experiment: what to run.
        size: name of one of its configurations.
        folder: where points are stored, of all experiments.
        workforce: who measures.
        progress: called with every stored point, and several times a second meanwhile; an exception from it ends the
            run, and what was stored stays.

    Returns:
        The dataset, with configuration, versions and hardware among its attributes.

    Raises:
        RuntimeError: a measurement failed; the text names the point.
    """
    config = experiment.sizes[size]
    store = PointStore(folder, experiment.measure)
    store.sweep()
    points = list(dict.fromkeys(experiment.points(config)))
    missing = [point for point in points if not store.has(point)]
    progress(Report(len(points) - len(missing), len(points)))
    for done, (point, (values, about)) in enumerate(_measured(store, missing, workforce, progress, len(points)), 1):
        store.save(point, values, about)
        progress(Report(len(points) - len(missing) + done, len(points), done, point))
    stored = [store.load(point) for point in experiment.points(config)]
    dataset = experiment.gather(config, [values for values, _ in stored])
    machines = sorted({json.dumps(about["hardware"], sort_keys=True) for _, about in stored})
    return dataset.assign_attrs(
        experiment=experiment.name,
        title=experiment.title,
        size_name=size,
        configuration=json.dumps(asdict(config), sort_keys=True),
        versions=json.dumps(versions(), sort_keys=True),
        hardware=f"[{', '.join(machines)}]",
        note=experiment.note,
    )


def _measured(
    store: PointStore,
    points: Sequence[Any],
    workforce: Workforce,
    progress: Callable[[Report], None],
    total: int,
) -> Iterator[tuple[Any, tuple[Mapping[str, Any], Mapping[str, Any]]]]:
    """Points with their values, in the order in which they come."""
    waiting, running = list(reversed(points)), dict[Future, Any]()
    try:
        while waiting or running:
            # One in reserve for everyone, so that nobody waits for this process to store a point.
            while waiting and len(running) < 2 * workforce.hands:
                point = waiting.pop()
                call = (workforce.perform, store.measure, point, store.scratch(point))
                running[workforce.executor.submit(*call)] = point
                if workforce.hands == 1:
                    break
            finished, _ = wait(running, PULSE, FIRST_COMPLETED)
            for future in finished:
                point = running.pop(future)
                yield point, _result(future, point)
            if not finished:
                left = len(waiting) + len(running)
                progress(Report(total - left, total, len(points) - left))
    finally:
        for future in running:
            future.cancel()


def _result(future: Future, point: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What was measured of a point."""
    try:
        return future.result()
    except Exception as error:
        raise RuntimeError(f"the measurement of {point} failed: {type(error).__name__}: {error}") from error


def write_dataset(dataset: "xarray.Dataset", path: Path) -> None:
    """A netCDF file, in one step; the old format, which needs nothing but SciPy.

    Args:
        dataset: of ``run``.
        path: the file.
    """
    content = dataset.to_netcdf(engine="scipy")
    write_atomically(path, lambda file: file.write(content))


def read_dataset(path: Path) -> "xarray.Dataset":
    """A dataset that ``write_dataset`` wrote, in memory."""
    import xarray

    return xarray.load_dataset(path, engine="scipy")
