"""What a stored number was computed with."""

import functools
import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax


def version(package: str = "parascan") -> str:
    """The installed version of a package, ``unknown`` for one that runs without being installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of everything that may move a number."""
    packages = ("parascan", "jax", "jaxlib", "equinox", "numpy")
    found = {package: version(package) for package in packages}
    return {"python": platform.python_version(), **found, "source": source_digest()}


@functools.cache
def source_digest() -> str:
    """A digest of parascan's own code, which tells numbers of other code of the same version apart."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def provenance() -> dict[str, Any]:
    """Versions and hardware, as JSON values."""
    hardware = {
        "devices": [device.device_kind for device in jax.devices()],
        "platform": jax.default_backend(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
    }
    return {"versions": versions(), "hardware": hardware}
