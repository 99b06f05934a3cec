"""The page of ``parascan report``: all that is known of a system beforehand, in one file without a network."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..api.explain import Explanation
from ..api.sweeping import ParameterSweep
from ..diagnostics import Diagnosis, WindowGrowth
from ..planning import Plan
from . import diagnosis_page, plan_page, sweep_page
from .diagnosis_picture import diagnosis_panels
from .html_parts import STYLE, element, escaped, figure, listed, table, verdict
from .inline_svg import inline_svg
from .plan_picture import plan as plan_picture
from .sweep_picture import sweep_panels

CAPTIONS = {
    "exponents": "Exponents along the data. A dot is the mean rate of growth over one stretch of the data; the line "
    "and its band are the exponent of the whole, with its interval. Below zero perturbations die out.",
    "growth": "Growth of a perturbation over windows of the first steps (gray: measured, from the least to the largest "
    "window), and its envelopes by the constants a and b of the table of numbers.",
    "iterations": "Forecast of Newton's iterations for sequences of T steps, with its interval, and the counts "
    "measured on short prefixes. At T/4 and above nothing is gained.",
    "plan": "Expected time of a call by each method, with its interval. Blue is the chosen method.",
    "exponent": "Largest exponent over the parameter, with intervals. The dashed line, if there is one, "
    "is where it crosses zero, the band the interval of that place.",
    "updates": "Updates over the parameter: expected beforehand (dashed, with interval) and counted (squares).",
}
"""What each picture shows, so that no other page is needed to read it."""


class Findings(NamedTuple):
    """What a report is made of.

    Attributes:
        name: of the system.
        command: that made the report.
        explanation: which way the default takes.
        diagnosis: exponents, constants, forecast.
        growth: of perturbations over windows of the first steps.
        plan: what each method is expected to cost.
        sweep: over a parameter, or None.
        remarks: further sentences of evidence.
        origin: versions and machine, by name.
    """

    name: str
    command: str
    explanation: Explanation
    diagnosis: Diagnosis
    growth: WindowGrowth
    plan: Plan
    sweep: ParameterSweep | None
    remarks: Sequence[str]
    origin: Mapping[str, str]


def report_page(found: Findings) -> str:
    """The whole page as HTML.

    Args:
        found: what is reported.

    Raises:
        ImportError: matplotlib is not installed.
    """
    title = f"{found.name}, T = {found.diagnosis.length}"
    sections = [_head(found, title), _pictures(found), _numbers(found), _plan(found)]
    if found.sweep is not None:
        sections.append(_sweep(found.sweep))
    sections.append(_origin(found))
    head = element(
        "head",
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        # Without it a browser asks the server for a picture beside the page.
        '<link rel="icon" href="data:,">',
        element("title", escaped(title)),
        element("style", "body{margin:0}main.parascan{max-width:1200px;margin:auto;min-height:100vh}", STYLE, BACKDROP),
    )
    main = element("main", *sections, class_="parascan")
    return f'<!DOCTYPE html>\n<html lang="en">{head}{element("body", main)}</html>\n'


BACKDROP = "body{background:#fff}@media (prefers-color-scheme:dark){body{background:#15181c}}"
"""The color around the page."""


def _head(found: Findings, title: str) -> str:
    """The verdict and what follows from it."""
    diagnosis = found.diagnosis
    size = f"D = {diagnosis.size} entries of the state, {diagnosis.dtype}, iterations until {diagnosis.criterion}"
    way = found.explanation.lines()
    return element(
        "section",
        element("h1", escaped(title)),
        element("p", verdict(diagnosis.verdict), f" {escaped(size)}"),
        diagnosis_page.evidence(diagnosis),
        listed(found.remarks),
        element("h2", "What a call does by default"),
        element("pre", escaped("\n".join(way))),
    )


def _pictures(found: Findings) -> str:
    """The pictures of the diagnosis side by side, or below each other on a narrow screen."""
    figures = diagnosis_panels(found.diagnosis, found.growth)
    shown = [figure(inline_svg(each, name, CAPTIONS[name]), CAPTIONS[name]) for name, each in figures.items()]
    return element("section", element("h2", "Pictures"), element("section", *shown, class_="pictures"))


def _numbers(found: Findings) -> str:
    """Every number of the diagnosis."""
    cost = ", ".join(f"{count} {name}" for name, count in found.diagnosis.cost.items())
    note = f"To find these numbers took {cost}; steps are taken one after the other, the others side by side."
    intro = "A bound holds for certain if what it rests on is true; other intervals hold with the probability given."
    return element(
        "section",
        element("h2", "Numbers"),
        element("p", escaped(intro), class_="note"),
        diagnosis_page.numbers(found.diagnosis),
        element("p", escaped(note), class_="note"),
    )


def _plan(found: Findings) -> str:
    """The choice of a method, and what the others would cost."""
    svg = inline_svg(plan_picture(found.plan, title=" "), "plan", CAPTIONS["plan"])
    return element(
        "section",
        element("h2", "Plan"),
        plan_page.choice(found.plan),
        element("section", figure(svg, CAPTIONS["plan"]), class_="pictures"),
        plan_page.candidates(found.plan),
    )


def _sweep(found: ParameterSweep) -> str:
    """Where the system stops being predictable along its parameter."""
    figures = sweep_panels(found)
    shown = [figure(inline_svg(each, name, CAPTIONS[name]), CAPTIONS[name]) for name, each in figures.items()]
    name = next(iter(found.parameters))
    steps = "" if found.length is None else f" over {found.length} steps"
    return element(
        "section",
        element("h2", escaped(f"Sweep of {name}")),
        element("p", escaped(f"Updates of {found.solver}{steps}.")),
        listed(found.summary()),
        element("section", *shown, class_="pictures"),
        sweep_page.points(found),
    )


def _origin(found: Findings) -> str:
    """How the report was made."""
    return element(
        "section",
        element("h2", "How this was made"),
        element("pre", escaped(found.command)),
        table(("", "with"), list(found.origin.items())),
    )
