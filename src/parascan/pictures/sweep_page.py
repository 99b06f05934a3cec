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
    # The first cell heads a block on a narrow screen, where the headings are not seen.
    rows = [[f"{headings[0]} = {row[0]}", *row[1:]] for row in rows]
    return table(headings, rows, headings[:-1])
