"""``parascan exponents``: the spectrum of exponents, dimension and entropy, and exponents along the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer

import parascan as ps

from .. import pictures
from ..diagnostics import Estimate, LyapunovEstimate, pesin_sum
from ..diagnostics.diagnosis import scaled, span
from ..pictures import style
from . import report
from ._arguments import DtypeOption, JsonOption, Precision, SeedOption, SettingsOption, SubjectArgument, SubjectLength
from ._errors import interruptible, wrong_usage
from ._files import check_file
from ._json import echo_json
from ._pictures import save_picture
from ._subject import Subject, subject_of

MOST_BY_DEFAULT = 8
"""Number of exponents that are measured by default; all of them where D is smaller."""


def exponents(
    subject: SubjectArgument,
    length: SubjectLength = None,
    k: Annotated[
        int | None, typer.Option("--k", min=1, help="Exponents, from the largest: all, and at most 8, when left out.")
    ] = None,
    windows: Annotated[int, typer.Option(min=1, help="Windows along the data for finite-time exponents.")] = 20,
    seed: SeedOption = 0,
    dtype: DtypeOption = Precision.float64,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Draw the spectrum and the windows to a png, pdf or svg file.")
    ] = None,
) -> None:
    """Measure Lyapunov exponents: the spectrum, per step and per unit of time, with intervals.

    Prints the exponents, the dimension by the formula of Kaplan and Yorke, the sum of the positive exponents (by
    Pesin's formula the entropy, in nats), and the largest exponent in windows along the data.

    For example:

    - `parascan exponents lorenz`
    - `parascan exponents my_module:my_function --k 2 --windows 50 --plot exponents.svg`
    """
    check_file("--plot", picture, style.SUFFIXES)
    with interruptible("the same command starts again.") as check, jax.enable_x64(dtype == Precision.float64):
        with wrong_usage():
            found = subject_of(subject, length, settings or [], jax.random.key(seed))
        with report.progress() as bar:
            bar.add_task(f"{found.name}, T = {found.length}: exponents", total=None)
            with wrong_usage():
                estimate = ps.lyapunov_exponents(
                    *found.call,
                    key=jax.random.key(seed),
                    k=min(_size(found), MOST_BY_DEFAULT) if k is None else k,
                    dt=found.dt or 1.0,
                    windows=min(windows, found.length),
                )
        check()
        _deliver(estimate, found, as_json, picture)


def _size(found: Subject) -> int:
    """D, the number of floating entries of a state."""
    leaves = [jax.numpy.asarray(leaf) for leaf in jax.tree.leaves(found.call[1])]
    return max(1, sum(leaf.size for leaf in leaves if jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating)))


def _deliver(estimate: LyapunovEstimate, found: Subject, as_json: bool, picture: Path | None) -> None:
    """Print the exponents, and draw them if asked to."""
    if as_json:
        echo_json("exponents", _record(estimate, found))
    else:
        title = f"{found.name}, T = {found.length}, D = {estimate.size}"
        report.console().print(report.summary(title, _lines(estimate, found)))
    if picture is not None:
        title = f"{found.name}, T = {found.length}: {_dimensions(estimate)}"
        figure = pictures.exponents(estimate, length=found.length, title=title)
        save_picture(figure, picture, tell=not as_json)


def _record(estimate: LyapunovEstimate, found: Subject) -> Mapping[str, Any]:
    """All that was measured, for JSON."""
    per_time = {} if found.dt is None else {"per_time": estimate.estimate_per_time.to_dict(), "dt": found.dt}
    return {
        "name": found.name,
        "length": found.length,
        "size": estimate.size,
        "per_step": estimate.estimate.to_dict(),
        **per_time,
        "kaplan_yorke": estimate.kaplan_yorke.to_dict(),
        "pesin_sum": pesin_sum(estimate).to_dict(),
        "resolution": estimate.resolution,
        "finite_time": np.asarray(estimate.finite_time, float).tolist(),
    }


def _lines(estimate: LyapunovEstimate, found: Subject) -> dict[str, str]:
    """What is printed, by name."""
    lines = {f"exponent {i + 1}": _both(each, found.dt) for i, each in enumerate(_each(estimate.estimate))}
    windows = np.asarray(estimate.finite_time, float)
    first = windows.reshape(len(windows), -1)[:, 0]
    lines["in windows"] = (
        f"the first is {np.min(first):.4g} to {np.max(first):.4g} per step in {len(first)} windows, "
        f"positive in {np.mean(first > 0):.0%}"
    )
    lines["Kaplan-Yorke"] = _open(estimate.kaplan_yorke, "more exponents are needed: raise --k")
    lines["Pesin sum"] = f"{_both(pesin_sum(estimate), found.dt)}, in nats"
    lines["resolution"] = f"{estimate.resolution:.2g} per step is zero to this precision"
    return lines


def _each(estimate: Estimate) -> list[Estimate]:
    """One estimate for each number of an estimate of several."""
    value, low, high = (np.atleast_1d(np.asarray(each)) for each in (estimate.value, estimate.low, estimate.high))
    words = (estimate.method, estimate.unit, estimate.level, estimate.assumptions)
    return [Estimate(*numbers, *words) for numbers in zip(value, low, high, strict=True)]


def _both(estimate: Estimate, dt: float | None) -> str:
    """A rate per step, and per unit of time where the system has one."""
    per_time = "" if dt is None else f"; {span(scaled(estimate, 1 / dt, '1/time'))} per unit of time"
    return f"{span(estimate)} per step{per_time}"


def _open(estimate: Estimate, remedy: str) -> str:
    """A number with its interval, or what to do to know it."""
    return remedy if np.isnan(float(estimate.value)) else span(estimate)


def _dimensions(estimate: LyapunovEstimate) -> str:
    """Dimension and entropy in a line."""
    dimension, entropy = estimate.kaplan_yorke, pesin_sum(estimate)
    known = "unknown" if np.isnan(float(dimension.value)) else f"{float(dimension.value):.4g}"
    return f"Kaplan-Yorke dimension {known}, sum of positive exponents {float(entropy.value):.4g} per step"
