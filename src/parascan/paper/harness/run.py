"""A run of an experiment: measure what is not measured yet, store every point as it comes, gather the dataset."""

import contextlib
import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...api.sweeping import attempts
from .experiment import Experiment
from .points import PointStore
from .provenance import versions
from .workforce import Measure, Workforce
from .written_files import write_atomically

if TYPE_CHECKING:
    import xarray


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
        RuntimeError: a measurement failed; the text names the first. All other points were measured and stored.
    """
    config = experiment.sizes[size]
    store = PointStore(folder, experiment.measure)
    store.sweep()
    points = list(dict.fromkeys(experiment.points(config)))
    missing = [point for point in points if not store.has(point)]
    fresh, failed, before = 0, list[str](), len(points) - len(missing)
    progress(Report(before, len(points)))
    perform = functools.partial(_performed, workforce.perform, store.measure)
    calls = [(point, store.scratch(point)) for point in missing]
    # One in reserve for everyone, so that nobody waits for this process to store a point.
    at_once = 1 if workforce.hands == 1 else 2 * workforce.hands
    last = None
    with contextlib.closing(attempts(perform, calls, workforce.executor, at_once)) as ended:
        for each in ended:
            if each is not None and each[1].reason:
                failed.append(f"{missing[each[0]]} failed: {each[1].reason}")
            elif each is not None:
                last = missing[each[0]]
                store.save(last, *each[1].value)
                fresh += 1
            progress(Report(before + fresh, len(points), fresh, last))
    if failed:
        others = f", and so did {len(failed) - 1} more; the others are stored" if len(failed) > 1 else ""
        raise RuntimeError(f"the measurement of {failed[0]}{others}")
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


def _performed(perform: Callable[..., tuple[dict, dict]], measure: Measure, call: tuple[Any, Path]) -> Any:
    """Values of a point in its folder, and what they were computed with; runs where the workforce is."""
    return perform(measure, *call)


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
