"""A sweep over parameters as HTML: where the exponent crosses zero, and the table of its points."""

from ..api.sweeping import ParameterSweep
from .html_parts import element, escaped, fragment, listed, table


def sweep_html(found: ParameterSweep) -> str:
    """A sweep as a notebook shows it.

    Args:
        found: the sweep.
    """
    steps = "" if found.length is None else f", T = {found.length}"
    return fragment(element("p", escaped(f"updates of {found.solver}{steps}")), listed(found.summary()), points(found))


def points(found: ParameterSweep) -> str:
    """The table of all points; exponents and expected updates with their intervals."""
    headings, *rows = found.lines()
    headings = [*headings[:-1], "remark"]
    return table(headings, rows, headings[:-1])
