"""What the figures were taken on, and the most that it can do: measured, not looked up."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

import parascan


def describe() -> dict[str, str | int]:
    """Processor, devices and versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "device": jax.devices()[0].device_kind,
        "platform": jax.devices()[0].platform,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "equinox": equinox.__version__,
        "parascan": getattr(parascan, "__version__", "0.1.0"),
        "python": platform.python_version(),
    }


def slug() -> str:
    """A file name for the machine."""
    about = describe()
    name = about["processor"] if about["platform"] == "cpu" else about["device"]
    return "-".join(f"{name} {about['cores']} cores {about['platform']}".lower().replace("(r)", "").split())


def ceilings(dtype: Any) -> dict[str, float]:
    """Operations per second of a matrix product, and bytes per second of the faster of two large updates in place."""
    a = jnp.ones((1024, 1024), dtype)
    product = _best(jax.jit(lambda a: a @ a), a)
    rates = [_rate_in_place(2**power // jnp.dtype(dtype).itemsize, dtype) for power in (25, 27)]
    return {"operations": 2 * 1024**3 / product, "bytes": max(rates)}


def _rate_in_place(size: int, dtype: Any) -> float:
    """Bytes read and written per second; in place, since a fresh result pays for its pages."""
    held = [jnp.ones(size, dtype)]
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def turn(_: Any) -> Any:
        held.append(add(held.pop()))
        return held[0]

    return 2 * held[0].nbytes / _best(turn, None)


def _processor() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        return names[0] if names else platform.machine()
    return platform.processor() or platform.machine()


def _best(program: Callable[[Any], Any], argument: Any) -> float:
    """Least seconds of a few runs."""
    jax.block_until_ready(program(argument))
    times = []
    for _ in range(7):
        start = time.perf_counter()
        jax.block_until_ready(program(argument))
        times.append(time.perf_counter() - start)
    return float(np.min(times))
