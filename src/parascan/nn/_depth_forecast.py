"""What is foretold of a stack of blocks: its exponent along depth, and the updates that a solver will take."""

import warnings

import equinox as eqx

from ..diagnostics import Diagnosis, Estimate
from ..diagnostics.diagnosis import span
from ..solution import Result, Solution
from ._depth_bias import BiasWarning


class DepthForecast(eqx.Module):
    """What is known of a stack for one input before it is trained so; printed, a few sentences.

    Attributes:
        diagnosis: of the recurrence over layers, with a verdict and the updates expected of each method.
        needed: updates of the stack's own solver up to its criterion; L where it does not get there sooner; None of a
            solver that does not iterate.
        updates: the most that an evaluation may take, None for as many as it needs.
    """

    diagnosis: Diagnosis
    needed: int | None = eqx.field(static=True)
    updates: int | None = eqx.field(static=True)

    @property
    def exponent(self) -> Estimate:
        """Growth of a perturbation of the input by its logarithm, per layer."""
        return self.diagnosis.exponent

    @property
    def inexact(self) -> bool:
        """Whether evaluations stop before the solver has met its criterion."""
        return self.needed is not None and self.updates is not None and self.updates < self.needed

    def __str__(self) -> str:
        found = self.diagnosis
        named = {name: found.iterations[name] for name in ("newton", "quasi_newton", "picard", "jacobi")}
        lines = [
            f"{found.verdict} along depth: {found.length} layers of {found.size} entries, exponent "
            f"{span(found.exponent)} per layer",
            "  expected updates: " + ", ".join(f"{name} {span(each)}" for name, each in named.items()),
        ]
        if self.needed is not None:
            lines.append(f"  the solver of this stack takes {self.needed} of at most {found.length}")
        if self.inexact:
            lines.append(f"  {_early(self.updates, self.needed)}")
        return "\n".join(lines)


def judged(diagnosis: Diagnosis, counted: Solution | None, updates: int | None) -> DepthForecast:
    """The forecast, with a warning where evaluations stop early.

    Args:
        diagnosis: of the recurrence over layers.
        counted: a run of the stack's solver with as many updates as it may want; None of one that does not iterate.
        updates: the most that an evaluation takes.

    Warns:
        BiasWarning: fewer updates than the solver needs.
    """
    needed = None
    if counted is not None:
        reached = bool(counted.result == Result.successful)
        needed = int(counted.stats.iterations) if reached else diagnosis.length
    found = DepthForecast(diagnosis, needed, updates)
    if found.inexact:
        warnings.warn(BiasWarning(_early(updates, needed)), stacklevel=3)
    return found


def _early(updates: int | None, needed: int | None) -> str:
    """The sentence about evaluations that stop early."""
    return (
        f"evaluations stop after {updates} updates of {needed} that are needed: gradients are those of other layers, "
        "which biases training. See bias(loss), raise updates, or leave them out."
    )
