"""Rates of this machine, measured once and kept in the user's cache, and where to find them."""

import hashlib
import json
import os
import platform as host
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from .._blocks import Blocked
from .._hoist import hoist
from .._problem import Recurrence
from ..lanes import operations
from ..linear import DenseTransition, linear_recurrence
from .measure import ROWS, measure_row
from .rates import Rates, built_in
from .timing import seconds_of

SIZES = (1, 4, 16, 64)
"""D of the steps that are timed."""

LANES = (8, 32, 128)
"""Lanes that they are timed on."""

ALONE, LINKS = 4096, 4096
"""Steps of the sequential loops, and of the linear recurrences."""


def fingerprint() -> Mapping[str, str]:
    """What rates hold for: the device, the processor and everything that compiles for them."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "jax": jax.__version__,
        "form": "1",
    }


def cache_file(platform: str, folder: Path | None = None) -> Path:
    """Where the rates of this machine are kept.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        folder: the user's cache folder when None: ``$XDG_CACHE_HOME/parascan`` or ``~/.cache/parascan``.
    """
    if folder is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "parascan"
    text = json.dumps({**fingerprint(), "platform": platform}, sort_keys=True)
    return folder / f"rates_{platform}_{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


def known_rates(platform: str, folder: Path | None = None) -> tuple[Rates, str]:
    """The rates of this machine, and whether they were ``"calibrated"`` or are ``"built-in"``.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        folder: as for ``cache_file``.
    """
    try:
        return Rates.from_json(cache_file(platform, folder).read_text(encoding="utf-8")), "calibrated"
    except (OSError, ValueError):
        return built_in(platform), "built-in"


def calibrate(progress: Callable[[str], None] = lambda line: None) -> Rates:
    """Rates of the default device, measured in some seconds on steps of a few sizes.

    Args:
        progress: told what is measured next.
    """
    platform = jax.default_backend()
    start = built_in(platform)
    progress("an empty call")
    call = seconds_of(lambda x: x + 1, jnp.zeros(()))
    known = Rates(**{**vars(start), "call": call})
    sequences = [_network(size) for size in SIZES]
    progress("steps one after the other")
    alone = [seconds_of(Recurrence.trajectory, each) / each.length for each in sequences]
    work = [_work(each) for each in sequences]
    turn, operation = _fit([[1.0, each] for each in work], alone)
    rows, times = [], []
    for each, amount in zip(sequences, work, strict=True):
        progress(f"steps of {each.size} entries side by side")
        for lanes in LANES:
            rows.append([1.0, lanes * each.size, lanes * amount])
            times.append(measure_row(each, known, lanes))
    row, lane, lane_operation = _fit(rows, times)
    progress("Jacobian-vector products")
    product = _product(sequences[1], known)
    progress("linear recurrences")
    links = [seconds_of(_recurrence, *_matrices(size)) / LINKS for size in SIZES[:3]]
    link, link_entry = _fit([[1.0, size * size] for size in SIZES[:3]], links)
    # How a tree's time divides into levels and products is not told apart here.
    return Rates(call, turn, operation, row, lane, lane_operation, product, link, link_entry, start.level)


def _network(size: int) -> Recurrence:
    """A network of tanh units with inputs."""
    keys = jax.random.split(jax.random.key(size), 2)
    weights = 0.5 * jax.random.normal(keys[0], (size, size)) / np.sqrt(size)
    length = max(ALONE, max(LANES) * ROWS)

    def advance(state: Array, x: Array) -> Array:
        return jnp.tanh(weights @ state + x)

    inputs = jax.random.normal(keys[1], (length, size))
    step = hoist(advance, jnp.zeros(size), inputs[0])
    return Recurrence(step, jnp.zeros(size), inputs, length)


def _work(recurrence: Recurrence) -> float:
    """Operations of a step."""
    step = hoist(recurrence.advance, recurrence.initial, recurrence.inputs[0])
    return operations(ClosedJaxpr(step.program.jaxpr, step.closed_over))


def _product(recurrence: Recurrence, rates: Rates) -> float:
    """What a Jacobian-vector product costs in evaluations on the same lanes."""
    lanes = LANES[1]
    short = Recurrence(recurrence.advance, recurrence.initial, recurrence.inputs[: lanes * ROWS], lanes * ROWS)
    blocks = Blocked.of(short, ROWS).coarse
    states = jnp.zeros((lanes, recurrence.size))
    with_products = seconds_of(lambda b, s: b.pushed(s, jnp.eye(recurrence.size)), blocks, states) / ROWS
    plain = measure_row(recurrence, rates, lanes)
    return max(with_products / plain - 1, 0.1) / recurrence.size


def _matrices(size: int) -> tuple[Array, Array]:
    """A contracting linear recurrence."""
    keys = jax.random.split(jax.random.key(size), 2)
    matrices = 0.3 * jax.random.normal(keys[0], (LINKS, size, size)) / np.sqrt(size)
    return matrices, jax.random.normal(keys[1], (LINKS, size))


def _recurrence(matrices: Array, drive: Array) -> Array:
    """Its solution."""
    return linear_recurrence(DenseTransition(matrices), drive)


def _fit(rows: list[list[float]], seconds: list[float]) -> tuple[float, ...]:
    """Coefficients, none negative, that give the times with the least relative error."""
    # Loaded here, since it changes the filters of warnings.
    from scipy.optimize import nnls

    times = np.asarray(seconds)
    return tuple(float(each) for each in nnls(np.asarray(rows) / times[:, None], np.ones(len(times)))[0])


def _processor() -> str:
    """Name of the host's processor as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return host.processor() or host.machine()
