"""``Diagnosis``: what ``diagnose`` returns, and how it prints."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from .estimate import Estimate, estimate_of, plain
from .forecast.newton_pilot import NewtonPilot
from .forecast.updates import Behavior, newton_iterations
from .forecast.verdict import Verdict
from .growth.coupling import Coupling
from .growth.curves import WindowGrowth

CURVE_POINTS = 40
"""Lengths at which the forecast is drawn."""


class Diagnosis(eqx.Module):
    """What is known of a system before it is rolled out. Prints as a report.

    Attributes:
        verdict: predictable, marginal, unpredictable or undetermined.
        evidence: why, in sentences, with warnings.
        exponent: largest Lyapunov exponent, in 1/step.
        exponent_per_time: largest Lyapunov exponent, in 1/unit of time.
        a: upper regularity constant, ``||J_{t+k-1} ... J_t|| <= a e^{exponent k}``.
        b: lower regularity constant.
        rho: largest norm of a Jacobian.
        lipschitz: Lipschitz constant of the Jacobian, in 1/unit of the state.
        log_mu: natural logarithm of the PL constant; its interval is that of theorem 2, its value the lower bound for
            a = 1.
        memory_horizon: steps until the error of the guess is below what the criterion allows.
        prediction_horizon: steps until rounding errors are as large as the states are spread.
        iterations: expected iterations by method.
        coupling: whether copies that start a finite distance apart come together.
        per_pilot: exponent of every stretch of the run and of every pilot, in 1/step, in the order of the data.
        pilot_places: middle of each of these, in steps of the data.
        pilot: Newton's measured counts.
        behavior: the numbers from which the iterations were forecast.
        length: T.
        size: D.
        dtype: of the states.
        criterion: the stopping rule that the iterations are for.
        cost: what it took: ``steps`` one after the other, and ``products`` and ``evaluations`` side by side.
    """

    verdict: Verdict = eqx.field(static=True)
    evidence: tuple[str, ...] = eqx.field(static=True)
    exponent: Estimate
    exponent_per_time: Estimate
    a: Estimate
    b: Estimate
    rho: Estimate
    lipschitz: Estimate
    log_mu: Estimate
    memory_horizon: Estimate
    prediction_horizon: Estimate
    iterations: Mapping[str, Estimate]
    coupling: Coupling
    per_pilot: Float[np.ndarray, " P"]
    pilot_places: Float[np.ndarray, " P"]
    pilot: NewtonPilot
    behavior: Behavior
    length: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    dtype: str = eqx.field(static=True)
    criterion: str = eqx.field(static=True)
    cost: Mapping[str, int] = eqx.field(static=True)

    def newton_curve(self) -> list[tuple[int, Estimate]]:
        """Expected iterations of Newton for lengths up to T, evenly spread in their logarithm."""
        lengths = sorted({round(each) for each in np.geomspace(1, self.length, CURVE_POINTS)})
        return [(each, newton_iterations(self.pilot, float(self.exponent.value), each)) for each in lengths]

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON; what is infinite or unknown is None."""
        estimates = {name: plain(value.to_dict()) for name, value in vars(self).items() if isinstance(value, Estimate)}
        return {
            "verdict": self.verdict,
            "evidence": list(self.evidence),
            "length": self.length,
            "size": self.size,
            "dtype": self.dtype,
            "criterion": self.criterion,
            **estimates,
            "coupling": plain(self.coupling.to_dict()),
            "iterations": {name: plain(each.to_dict()) for name, each in self.iterations.items()},
            "pilot_places": np.asarray(self.pilot_places, float).tolist(),
            "per_pilot": plain(np.asarray(self.per_pilot, float).tolist()),
            "pilot": {"ends": self.pilot.ends.tolist(), "counts": self.pilot.counts.tolist()},
            "cost": dict(self.cost),
        }

    def lines(self) -> Mapping[str, str]:
        """What a report says, by name."""
        return {
            "verdict": self.verdict,
            "exponent": f"{span(self.exponent)} per step",
            "coupling": f"{span(self.coupling.rate)} per step, {float(self.coupling.met):.0%} met, "
            f"{float(self.coupling.apart):.0%} no closer",
            "a, b": f"{span(self.a)}; {span(self.b)}",
            "rho, Lipschitz": f"{span(self.rho)}; {span(self.lipschitz)}",
            "log10 mu": span(self.log_mu, scale=1 / np.log(10)),
            "memory horizon": f"{span(self.memory_horizon)} steps",
            "prediction horizon": f"{span(self.prediction_horizon)} steps",
            **{name.replace("_", " "): f"{span(each)} iterations" for name, each in self.iterations.items()},
            "cost": ", ".join(f"{count} {name}" for name, count in self.cost.items()),
        }

    def plot(self, growth: WindowGrowth | None = None, title: str = "") -> Any:
        """A picture of the diagnosis: exponents along the data, expected iterations against T.

        Args:
            growth: what ``parascan.diagnostics.window_growth`` found for the same call, drawn with its envelopes; its
                panel is left out when None.
            title: what was diagnosed; T and D when empty.

        Returns:
            A matplotlib figure; ``figure.savefig`` writes it.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from ..pictures import diagnosis

        return diagnosis(self, growth, title=title)

    def _repr_html_(self) -> str:
        """The diagnosis as notebooks show it, without a picture."""
        from ..pictures import diagnosis_html

        return diagnosis_html(self)

    def __str__(self) -> str:
        title = f"{self.verdict}: T = {self.length}, D = {self.size}, {self.dtype}, {self.criterion}"
        rows = [f"  {name:<22}{text}" for name, text in self.lines().items() if name != "verdict"]
        return "\n".join([title, *rows, *(f"  - {each}" for each in self.evidence)])


def span(estimate: Estimate, scale: float = 1.0) -> str:
    """A value and its interval, in few digits."""
    value, low, high = (float(each) * scale for each in (estimate.value, estimate.low, estimate.high))
    if low == high == value:
        return f"{value:.4g}"
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"


def scaled(estimate: Estimate, factor: float, unit: str) -> Estimate:
    """An estimate in another unit."""
    value, low, high = (float(each) * factor for each in (estimate.value, estimate.low, estimate.high))
    return estimate_of(value, low, high, estimate.method, unit, estimate.level, estimate.assumptions)
