"""One way to evaluate a call: what it is expected to cost, and whether it is worth it."""

from collections.abc import Mapping
from typing import Any, Literal

import equinox as eqx

from ..diagnostics import Estimate
from ..diagnostics.estimate import plain
from ..solvers import AbstractSolver
from .encode import decode_solver, encode_solver

Standing = Literal["chosen", "possible", "rejected"]


class Candidate(eqx.Module):
    """A method with its expected cost.

    Attributes:
        name: the method in words.
        solver: what ``rollout`` takes.
        device: platform that it runs on.
        seconds: expected time of a call, in seconds.
        updates: expected iterations; None for a method without.
        bytes: memory at the peak beside the inputs.
        standing: chosen, possible or rejected.
        reason: why it stands so, in a sentence.
    """

    name: str = eqx.field(static=True)
    solver: AbstractSolver
    device: str = eqx.field(static=True)
    seconds: Estimate
    updates: Estimate | None
    bytes: int = eqx.field(static=True)
    standing: Standing = eqx.field(static=True)
    reason: str = eqx.field(static=True)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON."""
        return {
            "name": self.name,
            "solver": encode_solver(self.solver),
            "device": self.device,
            "seconds": plain(self.seconds.to_dict()),
            "updates": None if self.updates is None else plain(self.updates.to_dict()),
            "bytes": self.bytes,
            "standing": self.standing,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> "Candidate":
        """A candidate from what ``to_dict`` gives."""
        updates = entry["updates"]
        return cls(
            **{name: entry[name] for name in ("name", "device", "bytes", "standing", "reason")},
            solver=decode_solver(entry["solver"]),
            seconds=estimate_from(entry["seconds"]),
            updates=None if updates is None else estimate_from(updates),
        )


def estimate_from(entry: Mapping[str, Any]) -> Estimate:
    """An estimate from its plain form; None stands for infinity."""
    numbers = {name: float("inf") if entry[name] is None else entry[name] for name in ("value", "low", "high")}
    words = {"method": entry["method"], "unit": entry["unit"], "level": entry["level"]}
    return Estimate(**numbers, **words, assumptions=tuple(entry["assumptions"]))


def digits(value: float) -> str:
    """A number without an exponent where it is of ordinary size.

    Args:
        value: the number.
    """
    return f"{value:.0f}" if 10 <= value < 1e6 else f"{value:.2g}"
