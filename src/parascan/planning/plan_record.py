"""``Plan``: the chosen method, what it is expected to cost, and why no other one was chosen."""

import json
from collections.abc import Mapping
from typing import Any

import equinox as eqx

from ..programs.json_object import json_object
from ..solvers import AbstractSolver, Sequential
from .candidate import Candidate, digits

FORM = 1
"""Version of the JSON form."""

SHOWN = 5
"""Most candidates, besides the chosen one, that a printed plan shows."""


class Plan(eqx.Module):
    """A choice of method for calls of one shape. Prints as a report; ``solver=plan`` runs it.

    Attributes:
        candidates: every method that was considered, the chosen one first, then by expected time.
        reasons: why, in sentences.
        verdict: predictable, marginal, unpredictable or undetermined, by the diagnosis.
        length: T.
        size: D.
        dtype: of the states.
        platform: of the call.
        batch: sequences at once.
        devices: number of devices over which chunks are spread.
        rates: where the cost of a step comes from: measured, or as ``machine``.
        machine: where the numbers of the machine's record come from: calibrated, detected, built-in or given.
    """

    candidates: tuple[Candidate, ...]
    reasons: tuple[str, ...] = eqx.field(static=True)
    verdict: str = eqx.field(static=True)
    length: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    dtype: str = eqx.field(static=True)
    platform: str = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    devices: int = eqx.field(static=True)
    rates: str = eqx.field(static=True)
    machine: str = eqx.field(static=True, default="built-in")

    @property
    def chosen(self) -> Candidate:
        """The chosen method."""
        return self.candidates[0]

    @property
    def solver(self) -> AbstractSolver:
        """What to give to ``rollout`` and ``scan``."""
        return self.chosen.solver

    @property
    def device(self) -> str:
        """Platform on which to run it: not always that of the call, since small systems are faster on the host."""
        return self.chosen.device

    @property
    def speedup(self) -> float:
        """How many times as fast the choice is expected to be as one step after the other on the call's device."""
        plain = next(
            each
            for each in self.candidates
            if isinstance(each.solver, Sequential) and each.solver.unroll == 1 and each.device == self.platform
        )
        return 1.0 if plain is self.chosen else float(plain.seconds.value) / float(self.chosen.seconds.value)

    @property
    def rejected(self) -> Mapping[str, str]:
        """The methods that are not worth it, by name, and why."""
        return {each.name: each.reason for each in self.candidates if each.standing == "rejected"}

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON; what is infinite is None.

        Raises:
            TypeError: a solver has no form in JSON.
        """
        fields = {name: value for name, value in vars(self).items() if name not in ("candidates", "reasons")}
        lists = {"reasons": list(self.reasons), "candidates": [each.to_dict() for each in self.candidates]}
        return {"form": FORM, **fields, **lists}

    def to_json(self) -> str:
        """JSON that ``from_json`` reads.

        Raises:
            TypeError: a solver has no form in JSON.
        """
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """A plan from JSON.

        Args:
            text: what ``to_json`` returned.

        Raises:
            ValueError: the text is no plan, or one of another form.
        """
        fields = json_object("text", text, "what to_json of a plan returned")
        form = fields.pop("form", None)
        if form != FORM:
            raise ValueError(f"text: given a plan of form {form!r}, expected form {FORM}.")
        try:
            candidates = tuple(Candidate.from_dict(each) for each in fields.pop("candidates"))
            reasons = tuple(fields.pop("reasons"))
            plan = cls(candidates=candidates, reasons=reasons, **fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"text: given a plan whose fields are not those of one ({error}), expected what to_json returned."
            ) from error
        if not candidates:
            raise ValueError("text: given a plan without candidates, expected what to_json returned.")
        return plan

    def lines(self) -> list[str]:
        """The report, line by line: the choice, why, and the table of candidates."""
        best = self.chosen
        numbers = " and ".join(dict.fromkeys((self.rates, self.machine)))
        where = f"T = {self.length}, D = {self.size}, {self.dtype}, {self.verdict}, {numbers} numbers"
        speed = "" if self.speedup == 1 else f", {digits(self.speedup)} times as fast as one step after the other"
        found = [f"{best.name} on {best.device}: {_seconds(best)} expected{speed} ({where})"]
        found.extend(f"  {'why: ' if index == 0 else '     '}{reason}" for index, reason in enumerate(self.reasons))
        others = self.candidates[1:]
        found.extend(f"  {each.name}: {_seconds(each)}{_updates(each)}, {each.reason}" for each in others[:SHOWN])
        if len(others) > SHOWN:
            found.append(f"  and {len(others) - SHOWN} more, in plan.candidates")
        return found

    def plot(self, title: str = "") -> Any:
        """A picture of the plan: the time that every method is expected to take, as bars with intervals.

        Args:
            title: what was planned; T and D when empty.

        Returns:
            A matplotlib figure; ``figure.savefig`` writes it.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from ..pictures import plan

        return plan(self, title=title)

    def _repr_html_(self) -> str:
        """The plan as notebooks show it, without a picture."""
        from ..pictures import plan_html

        return plan_html(self)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _seconds(candidate: Candidate) -> str:
    """A time and its interval, in a unit that suits it."""
    value, low, high = (
        float(each) for each in (candidate.seconds.value, candidate.seconds.low, candidate.seconds.high)
    )
    unit, size = next((pair for pair in (("s", 1.0), ("ms", 1e-3)) if value >= pair[1]), ("us", 1e-6))
    return f"{digits(value / size)} {unit} [{digits(low / size)}, {digits(high / size)}]"


def _updates(candidate: Candidate) -> str:
    """The forecast of updates in words; empty for a method without updates."""
    if candidate.updates is None:
        return ""
    return f" in {float(candidate.updates.value):.0f} updates"
