"""Rates of this machine, measured once and kept in the user's cache, and where to find them."""

import dataclasses
import hashlib
import json
import math
import os
import platform as host
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..linear import DenseTransition, linear_recurrence
from ..problem.boundaries import Blocked
from ..problem.flat_recurrence import Recurrence
from ..programs.closure import hoist
from ..programs.platform import platform_of
from .cost import work_of
from .machine import BACKENDS, LinkRates, Rates, built_in, precision_of
from .measure import ROWS, measure_row
from .timing import seconds_of, seconds_of_call

SIZES = (1, 4, 16, 64)
"""D of the steps that are timed."""

LANES = (8, 32, 128)
"""Lanes that they are timed on."""

WIDTHS = (2, 8)
"""D of the linear recurrences that are timed."""

ALONE, LINKS, TREE = 4096, 4096, 64
"""Steps of the loops of steps, of linear recurrences by loops, and of those by trees."""


def fingerprint() -> Mapping[str, str]:
    """What rates hold for: the device, the processor and everything that compiles for them."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "jax": jax.__version__,
        "form": "2",
    }


def cache_file(platform: str, dtype: str, folder: Path | None = None) -> Path:
    """Where the rates of this machine are kept.

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
    return folder / f"rates_{platform}_{precision_of(dtype)}_{digest}.json"


def known_rates(platform: str, dtype: str, folder: Path | None = None) -> tuple[Rates, str]:
    """The rates of this machine, and whether they were ``"calibrated"`` or are ``"built-in"``.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        dtype: of the states.
        folder: as for ``cache_file``.
    """
    try:
        return Rates.from_json(cache_file(platform, dtype, folder).read_text(encoding="utf-8")), "calibrated"
    except (OSError, ValueError):
        return built_in(platform, dtype), "built-in"


def calibrate(dtype: str = "float32", progress: Callable[[str], None] = lambda line: None) -> Rates:
    """Rates of the default device, measured in some seconds on steps of a few sizes.

    Args:
        dtype: of the states, ``"float32"`` or ``"float64"``; the latter needs 64-bit types enabled.
        progress: told what is measured next.

    Raises:
        ValueError: 64-bit types are asked for and disabled.
    """
    if dtype == "float64" and jnp.result_type(float) != jnp.float64:
        raise ValueError(f"dtype: given {dtype}, expected 64-bit types enabled, as with jax.enable_x64(True).")
    progress("an empty call")
    call = seconds_of_call(dtype)
    known = dataclasses.replace(built_in(platform_of(), dtype), call=call)
    sequences = [_network(size, dtype) for size in SIZES]
    progress(f"{dtype} steps one after the other")
    alone = [seconds_of(Recurrence.trajectory, each) / each.length for each in sequences]
    work = [work_of(each) for each in sequences]
    turn, operation = _fit([[1.0, each] for each in work], alone)
    rows, times = [], []
    for each, amount in zip(sequences, work, strict=True):
        progress(f"{dtype} steps of {each.size} entries side by side")
        for lanes in LANES:
            rows.append([1.0, lanes * each.size, lanes * amount])
            times.append(measure_row(each, known, lanes))
    row, lane, lane_operation = _fit(rows, times)
    progress(f"{dtype} Jacobian-vector products")
    product = _product(sequences[1], known)
    progress(f"{dtype} linear recurrences")
    loops = _loops(dtype, known)
    links = {"sequential": loops}
    for backend in BACKENDS[1:]:
        progress(f"{dtype} linear recurrences, {backend}")
        links[backend] = _trees(backend, dtype, known, loops)
    return Rates(call, turn, operation, row, lane, lane_operation, product, links)


def _loops(dtype: str, known: Rates) -> LinkRates:
    """Rates of linear recurrences by loops."""
    rows, times = [], []
    for size in WIDTHS:
        rows.append([1.0, size**2])
        times.append(_recurrence_seconds("sequential", size, LINKS, dtype, known) / LINKS)
    return LinkRates(*_fit(rows, times))


def _trees(backend: str, dtype: str, known: Rates, loops: LinkRates) -> LinkRates:
    """Rates of linear recurrences by trees of matrix products: what a step takes beyond one of a loop.

    Levels are kept as they are known: telling them from products takes long trees, which compile for long.
    """
    size, level = WIDTHS[1], known.links[backend].level
    beyond = _recurrence_seconds(backend, size, TREE, dtype, known) - level * 2 * math.log2(TREE)
    product = max(beyond / TREE - loops.step - loops.entry * size**2, 0.0) / size**3
    return LinkRates(loops.step, loops.entry, product, level)


def _recurrence_seconds(backend: str, size: int, length: int, dtype: str, known: Rates) -> float:
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
    length = max(ALONE, max(LANES) * ROWS)

    def advance(state: Array, x: Array) -> Array:
        return jnp.tanh(weights @ state + x)

    inputs, start = jax.random.normal(keys[1], (length, size), dtype), jnp.zeros(size, dtype)
    return Recurrence(hoist(advance, start, inputs[0]), start, inputs, length)


def _product(recurrence: Recurrence, rates: Rates) -> float:
    """What a Jacobian-vector product costs in evaluations on the same lanes."""
    lanes = LANES[1]
    short = Recurrence(recurrence.advance, recurrence.initial, recurrence.inputs[: lanes * ROWS], lanes * ROWS)
    blocks = Blocked.of(short, ROWS).coarse
    states = jnp.zeros((lanes, recurrence.size), recurrence.dtype)
    with_products = (
        seconds_of(lambda b, s: b.pushed(s, jnp.eye(recurrence.size, dtype=recurrence.dtype)), blocks, states) / ROWS
    )
    plain = measure_row(recurrence, rates, lanes)
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


def _processor() -> str:
    """Name of the host's processor as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return host.processor() or host.machine()
