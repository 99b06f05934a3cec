"""A plan as HTML: the choice, why, and every method that was considered."""

from jaxtyping import Array

from ..planning import Candidate, Plan
from ..solvers.memory import readable
from .html_parts import digits, element, escaped, fragment, listed, table

HEADINGS = ("method", "time of a call", "interval", "updates", "memory", "standing")
"""Columns of the table of methods."""


def plan_html(found: Plan) -> str:
    """A plan as a notebook shows it.

    Args:
        found: the plan.
    """
    return fragment(choice(found), candidates(found))


def choice(found: Plan) -> str:
    """The chosen method in a sentence, and why."""
    best = found.chosen
    text = f"{best.name} on {best.device}: {_time(best.seconds.value)} expected"
    if found.speedup != 1:
        text += f", {digits(found.speedup)} times as fast as one step after the other"
    size = f"T = {found.length}, D = {found.size}, {found.dtype}, {found.batch} at once; times {found.rates}"
    size = f"{size}, record of the machine {found.machine}"
    return element("p", element("strong", escaped(text)), f" ({escaped(size)})") + listed(found.reasons)


def candidates(found: Plan) -> str:
    """A table of all methods, the chosen one first."""
    return table(HEADINGS, [_row(each) for each in found.candidates], HEADINGS[1:2])


def _row(each: Candidate) -> tuple[str, ...]:
    """A method as cells of the table."""
    updates = "none" if each.updates is None else f"{digits(float(each.updates.value))}, {each.updates.method}"
    interval = f"{_time(each.seconds.low)} to {_time(each.seconds.high)} ({each.seconds.level:.0%})"
    return (
        each.name,
        _time(each.seconds.value),
        interval,
        updates,
        readable(each.bytes),
        f"{each.standing}: {each.reason}",
    )


def _time(seconds: Array) -> str:
    """A time in milliseconds."""
    return f"{digits(float(seconds) * 1e3)} ms"
