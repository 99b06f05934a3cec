"""What a stored number was computed with."""

import os
import platform
from importlib import metadata
from typing import Any

import jax

from ...planning import platform_of


def version(package: str = "parascan") -> str:
    """The installed version of a package, ``unknown`` for one that runs without being installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of everything that may move a number."""
    packages = ("parascan", "jax", "jaxlib", "equinox", "numpy", "scipy", "optax")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def hardware() -> dict[str, Any]:
    """What this process computes on, as JSON values."""
    return {
        "devices": [device.device_kind for device in jax.devices()],
        "platform": platform_of(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
    }
