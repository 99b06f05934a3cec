"""``parascan env``: what a report of a bug needs to say about the machine and its packages."""

import json
from typing import Any

import jax

from ..paper.harness.provenance import hardware, version, versions
from ..planning import fingerprint, known_machine, platform_of
from . import report
from ._arguments import JsonOption
from ._json import echo_json

OPTIONAL = ("dysts", "distributed", "flax", "matplotlib", "torch", "xarray")
"""Packages that some parts need; those that are there are named with their version."""


def env(
    as_json: JsonOption = False,
) -> None:
    """Print versions, devices and the record of this machine, for a report of a bug; nothing is measured.

    For example:

    - `parascan env`
    - `parascan env --json`
    """
    found = _environment()
    if as_json:
        echo_json("env", found)
        return
    for title, rows in found.items():
        lines = {name: json.dumps(value) if isinstance(value, list) else str(value) for name, value in rows.items()}
        report.console().print(report.summary(title, lines))


def _environment() -> dict[str, dict[str, Any]]:
    """All that is printed, by title, as JSON values."""
    optional = {package: found for package in OPTIONAL if (found := version(package)) != "unknown"}
    machine = known_machine(platform_of(), "float32")
    return {
        "versions": versions() | optional,
        "devices": {
            **hardware(),
            "processor": fingerprint()["processor"],
            "64-bit numbers": bool(jax.config.values["jax_enable_x64"]),
        },
        "machine record": {"origin": machine.origin, **json.loads(machine.to_json())},
    }
