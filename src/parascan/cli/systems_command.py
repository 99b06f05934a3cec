"""``parascan systems``: the list of systems."""

from typing import Any

import jax

import parascan as ps

from . import report
from ._arguments import JsonOption
from ._json import echo_json


def systems(
    as_json: JsonOption = False,
) -> None:
    """List every system: name, number of state entries D, kind, time step dt, known exponent, equations.

    dt is in the system's own unit of time, empty for maps and networks. Exponents are the largest Lyapunov exponents
    that the literature gives, per step or per unit of time as marked.

    For example:

    - `parascan systems`
    - `parascan systems --json`
    """
    descriptions = [_description(name) for name in ps.systems.names()]
    if as_json:
        echo_json("systems", descriptions)
    else:
        report.console().print(report.systems(descriptions))


def _description(name: str) -> dict[str, Any]:
    """What a listing says about a system; parameters without a default are set to one to build it."""
    entry = ps.systems.entry(name)
    needed = {each: jax.random.key(0) if each == "key" else 1.0 for each in entry.required}
    system = ps.systems.get(name, **needed)
    known = {unit: getattr(system.facts, f"exponent_per_{unit}") for unit in ("step", "time")}
    return {
        "name": name,
        "size": system.size,
        "family": entry.family,
        "dt": system.dt,
        **{f"exponent_per_{unit}": fact.value if fact else None for unit, fact in known.items()},
        "equations": system.equations,
        "required": [each for each in entry.required if each != "key"],
        "source": system.source,
        "units": system.units,
    }
