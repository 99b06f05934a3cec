"""``ParameterSweep``: what a sweep found, as arrays over its grid, and how it prints."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from ...diagnostics import Estimate
from ...diagnostics.estimate import plain
from .measure_point import Found, Interval, Measure
from .parameter_values import Grid
from .threshold import UNKNOWN, Crossing, crossings

REMARKS = MappingProxyType({"successful": "", "max_iterations_reached": "not solved"})
"""Words for outcomes in the printed table; others go by their name."""

MOST_REASONS = 5
"""Most failed points that a printed sweep names with their reasons."""

ENDS = ("value", "low", "high")
"""Names of the numbers of an interval."""


class ParameterSweep(eqx.Module):
    """Exponent, expected and counted updates over one or two parameters of a step. Prints as a table.

    All arrays are of NumPy and have the shape of the grid: ``[N]`` for one parameter, ``[N M]`` for two, the first
    parameter first.

    Attributes:
        parameters: values of each parameter, by name.
        exponent: largest Lyapunov exponent with its interval, in 1/step.
        expected: updates that ``ps.diagnose`` expects, with their interval; NaN where it has none for the solver.
        updates: updates that the rollout took; NaN where there was none.
        solved: whether it met its criterion.
        outcome: why it stopped, as the names of ``ps.Result``; empty where there was none.
        verdict: of the diagnosis; empty where there was none.
        reason: why a point failed, empty where it did not.
        length: steps T, None where points differ by it.
        dt: time that one step stands for.
        solver: whose updates are counted, in words.
    """

    parameters: Mapping[str, np.ndarray]
    exponent: Estimate
    expected: Estimate
    updates: Float[np.ndarray, "*grid"]
    solved: Bool[np.ndarray, "*grid"]
    outcome: np.ndarray
    verdict: np.ndarray
    reason: np.ndarray
    length: int | None = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    solver: str = eqx.field(static=True)

    @classmethod
    def of(cls, grid: Grid, found: list[Found], measure: Measure, dt: float) -> "ParameterSweep":
        """A record of what was found, in the order of the grid."""

        def array(values: list[Any], kind: Any) -> np.ndarray:
            return np.array(values, kind).reshape(grid.shape)

        def estimate(intervals: list[Interval], method: str, unit: str) -> Estimate:
            ends: Any = {end: array([getattr(each, end) for each in intervals], float) for end in ENDS}
            level = min((each.level for each in intervals if not np.isnan(each.level)), default=np.nan)
            return Estimate(**ends, method=method, unit=unit, level=level)

        lengths = {each.length for each in found if each.length}
        return cls(
            parameters=grid.axes,
            exponent=estimate([each.exponent for each in found], "ps.lyapunov_exponents over all steps", "1/step"),
            expected=estimate(
                [each.expected for each in found],
                f"ps.diagnose, {measure.forecast or 'which has none for this solver'}",
                "updates",
            ),
            updates=array([each.updates for each in found], float),
            solved=array([each.outcome == "successful" for each in found], bool),
            outcome=array([each.outcome for each in found], str),
            verdict=array([each.verdict for each in found], str),
            reason=array([each.reason for each in found], str),
            length=lengths.pop() if len(lengths) == 1 else None,
            dt=dt,
            solver=eqx.tree_pformat(measure.solver),
        )

    @property
    def exponent_per_time(self) -> Estimate:
        """The exponent in 1/unit of time."""
        e = self.exponent
        return Estimate(e.value / self.dt, e.low / self.dt, e.high / self.dt, e.method, "1/time", e.level)

    @property
    def crossings(self) -> tuple[Crossing, ...] | tuple[tuple[Crossing, ...], ...]:
        """Every place where the exponent changes its sign along the first parameter.

        For two parameters a tuple for each value of the second.
        """
        along = self._along()
        return along[0] if len(self.parameters) == 1 else along

    @property
    def threshold(self) -> Estimate:
        """The first place along the first parameter where the exponent crosses zero, for each value of a second one.

        The value is a straight line's zero between neighbors. The interval reaches from the last value of the
        parameter before it to the first after it where the exponent's own interval excludes zero. Sweep again between
        these ends to make it smaller. NaN, and an interval without ends, where the sign does not change.
        """
        first = [each[0] if each else UNKNOWN for each in self._along()]
        ends = np.array(first, float)
        if len(self.parameters) == 1:
            ends = ends[0]
        value, low, high = np.moveaxis(ends, -1, 0)
        assumptions = ("the exponent is continuous in the parameter", "its intervals hold at both ends")
        method = "change of the exponent's sign between points of the grid"
        return Estimate(value, low, high, method, next(iter(self.parameters)), self.exponent.level, assumptions)

    def _along(self) -> tuple[tuple[Crossing, ...], ...]:
        """Crossings along the first parameter, for each value of the second one."""
        first = next(iter(self.parameters.values())).astype(float)
        exponent = (self.exponent.value, self.exponent.low, self.exponent.high)
        lines = [np.asarray(each, float).reshape(len(first), -1).T for each in exponent]
        return tuple(crossings(first, *each) for each in zip(*lines, strict=True))

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON; what is infinite or unknown is None."""
        arrays = ("updates", "solved", "outcome", "verdict", "reason")
        found = {
            "parameters": {name: axis.tolist() for name, axis in self.parameters.items()},
            "length": self.length,
            "dt": self.dt,
            "solver": self.solver,
            "exponent": self.exponent.to_dict(),
            "exponent_per_time": self.exponent_per_time.to_dict(),
            "expected": self.expected.to_dict(),
            **{name: np.asarray(getattr(self, name)).tolist() for name in arrays},
            "threshold": self.threshold.to_dict(),
        }
        return plain(found)

    def lines(self) -> list[list[str]]:
        """A table of cells: headings, and a line for each point."""
        headings = [*self.parameters, "exponent", "interval", "verdict", "expected", "interval", "updates", ""]
        table = [headings]
        axes = list(self.parameters.values())
        for place in np.ndindex(self.updates.shape):
            at = [f"{axis[index]:.5g}" for axis, index in zip(axes, place, strict=True)]
            remark = "failed" if self.reason[place] else REMARKS.get(str(self.outcome[place]), str(self.outcome[place]))
            counted = _digits(self.updates[place], "d")
            numbers = [*_cells(self.exponent, place, ".4g"), str(self.verdict[place])]
            table.append([*at, *numbers, *_cells(self.expected, place, ".0f"), counted, remark])
        return table

    def summary(self) -> list[str]:
        """The lines below the table: where the exponent crosses zero, and why points failed."""
        name = next(iter(self.parameters))
        said = []
        for other, found in zip(self._others(), self._along(), strict=True):
            if not found:
                said.append(f"the exponent does not change its sign on this grid{other}")
            for each in found:
                said.append(
                    f"the exponent crosses zero at {name} = {each.value:.5g} [{each.low:.5g}, {each.high:.5g}]{other}"
                )
        axes, failed = list(self.parameters.items()), np.argwhere(self.reason != "")
        for place in failed[:MOST_REASONS]:
            at = ", ".join(f"{name} = {axis[index]:.5g}" for (name, axis), index in zip(axes, place, strict=True))
            said.append(f"failed at {at}: {self.reason[tuple(place)]}")
        more = len(failed) - MOST_REASONS
        return [*said, f"{more} more points failed"] if more > 0 else said

    def _others(self) -> list[str]:
        """The values of the second parameter in words; one empty text where there is none."""
        if len(self.parameters) == 1:
            return [""]
        name, axis = list(self.parameters.items())[1]
        return [f", {name} = {value:.5g}" for value in axis]

    def plot(self, title: str = "") -> Any:
        """A picture of the sweep: exponent, expected and counted updates over one parameter, or maps over two.

        Args:
            title: what was swept; the solver and T when empty.

        Returns:
            A matplotlib figure; ``figure.savefig`` writes it.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from ...pictures import sweep

        return sweep(self, title=title or str(self).splitlines()[0])

    def _repr_html_(self) -> str:
        """The sweep as notebooks show it, without a picture."""
        from ...pictures import sweep_html

        return sweep_html(self)

    def __str__(self) -> str:
        table = self.lines()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        rows = ["  ".join(cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)) for row in table]
        title = f"{self.solver}" + ("" if self.length is None else f", T = {self.length}")
        lines = [f"{text}  {row[-1]}".rstrip() for text, row in zip(rows, table, strict=True)]
        return "\n".join([title, *lines, *self.summary()])


def _cells(estimate: Estimate, place: tuple[int, ...], form: str) -> list[str]:
    """A value and its interval at a place."""
    value, low, high = (np.asarray(each)[place] for each in (estimate.value, estimate.low, estimate.high))
    interval = "" if np.isnan(value) or low == high else f"[{_digits(low, form)}, {_digits(high, form)}]"
    return [_digits(value, form), interval]


def _digits(value: Any, form: str) -> str:
    """A number, or nothing where it is not known."""
    if np.isnan(value):
        return ""
    return f"{int(value)}" if form == "d" else f"{value:{form}}"
