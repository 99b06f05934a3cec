"""``parascan env``: what a report of a bug needs to say about the machine and its packages."""

import json
from typing import Annotated, Any

import jax
import typer

from ..paper.harness.provenance import hardware, version, versions
from ..planning import fingerprint, known_machine, platform_of
from . import report

OPTIONAL = ("dysts", "distributed", "flax", "matplotlib", "torch", "xarray")
"""Packages that some parts need; those that are there are named with their version."""


def env(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")] = False,
) -> None:
    """Print versions, devices and the record of this machine, for a report of a bug; nothing is measured."""
    found = _environment()
    if as_json:
        typer.echo(json.dumps(found, indent=1))
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
