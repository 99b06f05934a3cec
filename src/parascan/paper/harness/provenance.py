"""What a stored number was computed with."""

import os
import platform
from importlib import metadata
from typing import Any

import jax

import parascan as ps

from ...planning import platform_of


def version(package: str) -> str:
    """The installed version of a package, ``unknown`` for one that is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of everything that may move a number."""
    packages = ("jax", "jaxlib", "equinox", "numpy", "scipy", "optax")
    own = {"python": platform.python_version(), "parascan": ps.__version__}
    return own | {package: version(package) for package in packages}


def hardware() -> dict[str, Any]:
    """What this process computes on, as JSON values."""
    return {
        "devices": [device.device_kind for device in jax.devices()],
        "platform": platform_of(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
    }
