"""A diagnosis as HTML: verdict, evidence, and every number with its interval and how it was found."""

from ..diagnostics import Diagnosis, Estimate
from .html_parts import element, escaped, fragment, interval_of, listed, table, value_of, verdict

MEANINGS = {
    "exponent": ("largest Lyapunov exponent", "mean rate at which a small perturbation grows; below zero it dies out"),
    "exponent_per_time": ("the same per unit of time", "by the time that one step stands for"),
    "a": ("upper constant a", "a perturbation grows over k steps at most by a times exp(exponent k)"),
    "b": ("lower constant b", "a perturbation grows over k steps at least by b times exp(exponent k)"),
    "rho": ("rho", "largest factor by which one step may stretch a perturbation"),
    "lipschitz": ("Lipschitz constant", "how much the derivative of a step changes with the state"),
    "log_mu": (
        "ln mu",
        "mu is the constant of Polyak and Lojasiewicz; small where the problem is ill-conditioned",
    ),
    "memory_horizon": ("memory horizon", "steps after which the system has forgotten where it started"),
    "prediction_horizon": ("prediction horizon", "steps after which rounding errors are as large as the states"),
}
"""What the numbers of a diagnosis are called, and what they mean."""

VERDICTS = {
    "predictable": "Small perturbations die out: parallel methods need few iterations.",
    "marginal": "Perturbations neither grow nor die out for certain: whether a parallel method pays depends on T.",
    "unpredictable": "Small perturbations grow: no parallel method pays, and the answer is that of the plain loop.",
    "undetermined": "The numbers do not decide: see the evidence.",
}
"""What a verdict means."""

HEADINGS = ("number", "value", "interval", "what it is", "how it was found")
"""Columns of the table of numbers."""


def diagnosis_html(found: Diagnosis) -> str:
    """A diagnosis as a notebook shows it.

    Args:
        found: the diagnosis.
    """
    size = f"T = {found.length}, D = {found.size}, {found.dtype}, {found.criterion}"
    return fragment(element("p", verdict(found.verdict), f" {escaped(size)}"), evidence(found), numbers(found))


def evidence(found: Diagnosis) -> str:
    """What the verdict means, and why it was reached."""
    return element("p", escaped(VERDICTS.get(found.verdict, ""))) + listed(found.evidence)


def numbers(found: Diagnosis) -> str:
    """Every number with its interval, its meaning and how it was found."""
    rows = [(name, getattr(found, field), meaning) for field, (name, meaning) in MEANINGS.items()]
    if float(found.exponent_per_time.value) == float(found.exponent.value):
        rows = [row for row in rows if row[1] is not found.exponent_per_time]
    rows.append(
        ("coupling rate", found.coupling.rate, "rate at which copies that start a finite distance apart approach")
    )
    rows += [
        (name.replace("_", " "), each, "updates that the method is expected to take")
        for name, each in found.iterations.items()
    ]
    return table(HEADINGS, [_row(*row) for row in rows], ("value",))


def _row(name: str, estimate: Estimate, meaning: str) -> tuple[str, ...]:
    """A number as cells of the table."""
    assumed = f"; if {', '.join(estimate.assumptions)}" if estimate.assumptions else ""
    return name, value_of(estimate), interval_of(estimate), meaning, f"{estimate.method}{assumed}"
