"""The one list of the solvers that a plan knows: each is a candidate of every plan that may iterate."""

import math
from collections.abc import Callable
from typing import NamedTuple

from ..diagnostics import Diagnosis
from ..solvers import (
    AbstractIterativeSolver,
    Anderson,
    GradientDescent,
    Hybrid,
    LineSearch,
    deer,
    elk,
    jacobi,
    picard,
    quasi_deer,
    quasi_elk,
    scale_elk,
)

LARGE_TRANSIENT = 1e3
"""Upper regularity constant a above which Newton's iterates may overshoot so far that they need damping."""


class Method(NamedTuple):
    """A method that iterates, as a plan compares it.

    Attributes:
        public: its names in ``parascan``.
        words: what a plan calls it.
        make: makes the solver that is compared.
        forecast: entry of ``Diagnosis.iterations`` with its updates, or None where they are not foretold.
        damped: whether it is for large transients alone, and has a forecast for these.
    """

    public: tuple[str, ...]
    words: str
    make: Callable[[], AbstractIterativeSolver]
    forecast: str | None = None
    damped: bool = False

    def foretold_by(self, diagnosis: Diagnosis) -> str | None:
        """The entry of ``diagnosis.iterations`` that holds for it, or None.

        Args:
            diagnosis: of the call.
        """
        suits = not self.damped or float(diagnosis.a.value) > LARGE_TRANSIENT
        if self.forecast is None or not suits:
            return None
        # Of a system that leaves the range of numbers, not every forecast is a number.
        ends = diagnosis.iterations[self.forecast]
        return self.forecast if all(math.isfinite(float(each)) for each in (ends.value, ends.low, ends.high)) else None


METHODS: tuple[Method, ...] = (
    Method(("deer", "Newton"), "Newton (DEER)", deer, "newton"),
    Method(("quasi_deer",), "quasi-Newton", quasi_deer, "quasi_newton"),
    Method(("jacobi",), "Jacobi", jacobi, "jacobi"),
    Method(("picard",), "Picard", picard, "picard"),
    Method(("elk", "LevenbergMarquardt"), "Newton in a trust region (ELK)", elk, "newton", damped=True),
    Method(("GradientDescent",), "gradient descent", GradientDescent, "gradient_descent"),
    Method(("quasi_elk",), "quasi-Newton in a trust region", quasi_elk),
    Method(("scale_elk",), "Newton with Jacobians of half their size", lambda: scale_elk(0.5)),
    Method(("LineSearch",), "Newton with a line search", lambda: LineSearch(deer())),
    Method(("Anderson",), "Picard with Anderson mixing", lambda: Anderson(picard())),
    Method(("Hybrid",), "Newton in a trust region, then without", lambda: Hybrid(elk(), deer())),
)
"""Every method that iterates over all steps. A new solver joins every plan and the map by a line here."""

BESIDE = {
    "Sequential": "one step after the other",
    "Chunked": "chunks side by side",
    "MultipleShooting": "Newton on blocks",
    "WithFallback": "every method that iterates is planned with one",
}
"""Solvers that take part in another way: their name, and what a plan calls them or how they take part."""
