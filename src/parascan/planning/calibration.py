"""Calibration: the machine's record measured once, and the file in the user's cache that keeps it."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..linear import DenseTransition, linear_recurrence
from ..problem.boundaries import Blocked
from ..problem.flat_recurrence import Recurrence
from ..programs.built_in import here
from ..programs.closure import close_over
from ..programs.cost import chunk_seconds, near, row_seconds, step_seconds, use
from ..programs.hardware import detected, processor
from ..programs.machine import FORM, Link, Links, Machine
from ..programs.platform import platform_of
from ..programs.work import Work
from ..solvers.evaluation_cost import work_of
from .measure import ROWS, measure_row
from .timing import seconds_of, seconds_of_call

SIZES = (1, 4, 16, 64)
"""Sizes D of the states whose steps are timed."""

CHUNKS = (8, 32, 128)
"""Numbers of chunks side by side on which steps are timed."""

WIDTHS = (2, 8)
"""Sizes D of the linear recurrences that are timed."""

ALONE, LINKS, TREE = 4096, 4096, 64
"""Steps of the timed loops: of a system, of a linear recurrence by a loop, and of one by a tree of products."""

GROUPS = {
    "small": ("turn", "wait", "wait_costly", "entry", "term"),
    "beside": ("entry_beside", "vectorized", "called", "join", "move", "move_far"),
    "large": (
        *("turn_large", "loop", "stall", "operation", "operation_large"),
        *("turn_near", "operation_near"),
    ),
    "row": ("row",),
}
"""Groups of numbers that are measured together: one factor is fitted by which all numbers of a group are multiplied."""

LEAST_FACTOR, LEAST_GAIN = 0.05, 0.1
"""Least factor and gain that are believed: a measurement that was disturbed may leave nothing for one of them."""


def fingerprint() -> Mapping[str, str]:
    """What a calibrated record is valid for: the device, the processor, and the versions that compile for them."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "processor": processor(),
        "cores": str(detected()["cores"]),
        "jax": jax.__version__,
        "form": str(FORM),
    }


def cache_file(platform: str, dtype: str, folder: Path | None = None) -> Path:
    """Where the record of this machine is kept.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        dtype: of the states.
        folder: the user's cache folder when None: ``$XDG_CACHE_HOME/parascan`` or ``~/.cache/parascan``.
    """
    if folder is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "parascan"
    text = json.dumps({**fingerprint(), "platform": platform}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return folder / f"rates_{platform}_{'float64' if is_double(dtype) else 'float32'}_{digest}.json"


def known_machine(platform: str, dtype: str, folder: Path | None = None) -> Machine:
    """The best record of this machine: the calibrated one, or what is known without measuring.

    A file of another version, or one that cannot be read, counts as none; the record's ``origin`` says so.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        dtype: of the states.
        folder: the user's cache folder when None: ``$XDG_CACHE_HOME/parascan`` or ``~/.cache/parascan``.
    """
    try:
        return Machine.from_json(cache_file(platform, dtype, folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return here(platform, double=is_double(dtype))


def is_double(dtype: str) -> bool:
    """Whether a dtype goes by the record of double precision; all narrower ones go by that of single precision.

    Args:
        dtype: of the states.
    """
    return dtype in ("float64", "complex128")


def calibrate(dtype: str = "float32", progress: Callable[[str], None] = lambda line: None) -> Machine:
    """The record of the default device, measured in some seconds on steps of a few sizes.

    Args:
        dtype: of the states, ``"float32"`` or ``"float64"``; the latter needs 64-bit types enabled.
        progress: called with a text that says what is measured next.

    Raises:
        ValueError: 64-bit types are asked for and disabled.
    """
    if dtype == "float64" and jnp.result_type(float) != jnp.float64:
        raise ValueError(f"dtype: given {dtype}, expected 64-bit types enabled, as with jax.enable_x64(True).")
    progress("an empty call")
    call = seconds_of_call(dtype)
    known = here(platform_of(), double=is_double(dtype)).known("calibrated", {"call": call})
    sequences = [_network(size, dtype) for size in SIZES]
    progress(f"{dtype} steps one after the other")
    alone = [seconds_of(Recurrence.trajectory, each) / each.length for each in sequences]
    work = [work_of(each) for each in sequences]
    rows = []
    for each in sequences:
        progress(f"{dtype} steps of {each.size} entries side by side")
        rows.append([measure_row(each, known, chunks) for chunks in CHUNKS])
    found = known.known("calibrated", _rates(known, work, alone, rows))
    found = found.known("calibrated", _gains(found, work, rows))
    progress(f"{dtype} Jacobian-vector products")
    found = found.known("calibrated", {"pushforward": _product(sequences[1], known)})
    progress(f"{dtype} linear recurrences")
    loops = _loops(dtype, known)
    trees = []
    for backend in Links._fields[1:]:
        progress(f"{dtype} linear recurrences, {backend}")
        trees.append(_trees(backend, dtype, known, loops))
    return found.known("calibrated", {"links": Links(loops, *trees)})


def _rates(known: Machine, work: list[Work], alone: list[float], rows: list[list[float]]) -> dict[str, float]:
    """Numbers of all groups: the known ones, times one factor for each group that fits the measured times best.

    A time is a sum of one part for each group, and the part is proportional to the group's factor.
    """
    names = tuple(GROUPS)
    parts = [_only(known, name) for name in names]
    columns = [[step_seconds(each, part) for part in parts] for each in work]
    times = list(alone)
    for each, measured in zip(work, rows, strict=True):
        if each.small:
            columns.extend([row_seconds(each, part, chunks) for part in parts] for chunks in CHUNKS)
            times.extend(measured)
    factors = dict(zip(names, _fit(columns, times), strict=True))
    return {
        rate: max(factors[name], LEAST_FACTOR) * getattr(known, rate)
        for name, rates in GROUPS.items()
        for rate in rates
    }


def _only(known: Machine, name: str) -> Machine:
    """A machine on which nothing takes time but what one group of numbers says."""
    others = (rate for group, rates in GROUPS.items() if group != name for rate in rates)
    return dataclasses.replace(known, **dict.fromkeys(others, 0.0))


def _gains(found: Machine, work: list[Work], rows: list[list[float]]) -> dict[str, float]:
    """How many times as fast large steps are side by side, of each kind: the mean over the numbers of chunks."""
    gains: dict[str, list[float]] = {}
    for each, measured in zip(work, rows, strict=True):
        if each.small:
            continue
        of_one = dataclasses.replace(found, gain=1.0, gain_near=1.0)
        for chunks, seconds in zip(CHUNKS, measured, strict=True):
            if use(chunks, found) >= 1:
                alone = chunks * chunk_seconds(each, of_one, chunks)
                name = "gain_near" if near(each, found) else "gain"
                gains.setdefault(name, []).append(max(alone / max(seconds - found.row, 0.1 * seconds), LEAST_GAIN))
    return {name: float(np.exp(np.mean(np.log(each)))) for name, each in gains.items()}


def _loops(dtype: str, known: Machine) -> Link:
    """Rates of linear recurrences by loops."""
    rows, times = [], []
    for size in WIDTHS:
        rows.append([1.0, size**2])
        times.append(_recurrence_seconds("sequential", size, LINKS, dtype, known) / LINKS)
    step, entry = _fit(rows, times)
    return Link(step, entry)


def _trees(backend: str, dtype: str, known: Machine, loops: Link) -> Link:
    """Rates of linear recurrences by trees of matrix products: what a step takes beyond one of a loop.

    The cost of a level is not measured: telling it from that of products takes long trees, which compile slowly.
    """
    size, level = WIDTHS[1], getattr(known.links, backend).level
    beyond = _recurrence_seconds(backend, size, TREE, dtype, known) - level * 2 * math.log2(TREE)
    product = max(beyond / TREE - loops.step - loops.entry * size**2, 0.0) / size**3
    return Link(loops.step, loops.entry, product, level)


def _recurrence_seconds(backend: str, size: int, length: int, dtype: str, known: Machine) -> float:
    """Time of one linear recurrence beyond that of an empty call."""
    keys = jax.random.split(jax.random.key(size), 2)
    matrices = 0.3 * jax.random.normal(keys[0], (length, size, size), dtype) / math.sqrt(size)
    drive = jax.random.normal(keys[1], (length, size), dtype)
    seconds = seconds_of(lambda A, b: linear_recurrence(DenseTransition(A), b, backend=backend), matrices, drive)
    return max(seconds - known.call, seconds / 2)


def _network(size: int, dtype: str) -> Recurrence:
    """A network of tanh units with inputs."""
    keys = jax.random.split(jax.random.key(size), 2)
    weights = 0.5 * jax.random.normal(keys[0], (size, size), dtype) / math.sqrt(size)
    length = max(ALONE, max(CHUNKS) * ROWS)

    def advance(state: Array, x: Array) -> Array:
        return jnp.tanh(weights @ state + x)

    inputs, start = jax.random.normal(keys[1], (length, size), dtype), jnp.zeros(size, dtype)
    return Recurrence(close_over(advance, start, inputs[0]), start, inputs, length)


def _product(recurrence: Recurrence, known: Machine) -> float:
    """Cost of a Jacobian-vector product, in evaluations of the step on as many chunks."""
    chunks = CHUNKS[1]
    short = Recurrence(recurrence.advance, recurrence.initial, recurrence.inputs[: chunks * ROWS], chunks * ROWS)
    blocks = Blocked.of(short, ROWS).coarse
    states = jnp.zeros((chunks, recurrence.size), recurrence.dtype)
    with_products = (
        seconds_of(lambda b, s: b.pushed(s, jnp.eye(recurrence.size, dtype=recurrence.dtype)), blocks, states) / ROWS
    )
    plain = measure_row(recurrence, known, chunks)
    return max(with_products / plain - 1, 0.1) / recurrence.size


def _fit(rows: list[list[float]], seconds: list[float]) -> tuple[float, ...]:
    """Coefficients, none negative, that give the times with the least relative error."""
    # Loaded here, since it changes the filters of warnings.
    from scipy.optimize import nnls

    times, columns = np.asarray(seconds), np.asarray(rows)
    # In units in which all columns are of one size, without which the least squares are ill-posed.
    units = np.max(columns, axis=0)
    units = np.where(units > 0, units, 1.0)
    found = nnls(columns / units / times[:, None], np.ones(len(times)))[0]
    return tuple(float(each) for each in found / units)
