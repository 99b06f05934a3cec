"""The table of the judgement, for the terminal and for the documentation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..documents import put_between, table_line
from .counts import METHODS
from .judge import Judged, by_kind, judge, shares
from .picture import draw
from .stores import ANSWERS, TRUTH, load
from .systems import ROWS, half_of, names

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "foresight.md"
PICTURE = DOCUMENT.parent / "pictures" / "foresight"
BEGIN, END = "<!-- judgement: begin -->", "<!-- judgement: end -->"

COLUMNS = ("systems", "interval holds", "over T", "long run", "width", "undetermined", "wrong", *METHODS)


def judged(kinds: str = "", half: str = "all", seed: int = 0) -> list[Judged]:
    """All systems whose truth and answer are stored.

    Args:
        kinds: separated by commas; all when empty.
        half: fit, held-out or all.
        seed: of the answers.
    """
    truths, answers = load(TRUTH), load(ANSWERS)
    found = []
    for family, place in names(kinds, half):
        name = f"{family.name} {place}"
        said = answers.get(name, {}).get(str(seed))
        if said is not None and "over" in truths.get(name, {}):
            found.append(judge(name, family.kind, half_of(family, place), truths[name], said))
    return found


def rows(known: list[Judged]) -> str:
    """The fixed list of systems in Markdown."""
    answers, truths = load(ANSWERS), load(TRUTH)
    lines = [table_line("system", "true over T", "long run", "said", "verdict", ""), table_line(*["---"] * 6)]
    for each in known:
        if each.name in ROWS:
            truth, said = truths[each.name], answers[each.name]["0"]
            long = truth["known"] if truth["known"] is not None else truth["later"]
            value, low, high = (f"{number:.4f}" if number is not None else "inf" for number in said["exponent"])
            right = "**wrong**" if each.wrong else "" if each.held else "interval misses"
            cells = f"{truth['over']:.4f}", f"{long:.4f}", f"{value} [{low}, {high}]", each.verdict, right
            lines.append(table_line(each.name, *cells))
    return "\n".join(lines)


def table(known: list[Judged]) -> str:
    """Figures by kind in Markdown, then what is wrong by name.

    Args:
        known: the systems.
    """
    lines = [
        table_line("", *(column.replace("_", "-") for column in COLUMNS)),
        table_line(*["---"] * (len(COLUMNS) + 1)),
    ]
    lines += [table_line(kind, *_cells(shares(group))) for kind, group in by_kind(known).items() if group]
    wrong = [f"- {each.name}: {each.verdict}, but {each.wrong}" for each in known if each.wrong]
    missed = [each.name for each in known if not each.held]
    lines += ["", f"Wrong verdicts: {len(wrong)}.", *wrong]
    lines += ["", f"Intervals that miss: {len(missed)}{': ' if missed else ''}{', '.join(missed)}."]
    return "\n".join(lines)


def write_document() -> None:
    """Put the tables of both halves between the marks of the page, and draw the picture."""
    known = judged()
    PICTURE.parent.mkdir(exist_ok=True)
    figure = draw(known)
    for suffix in ("svg", "png"):
        figure.savefig(PICTURE.with_suffix(f".{suffix}"), dpi=160)
    put_between(DOCUMENT, (BEGIN, END), document(known))


def document(known: list[Judged]) -> str:
    """What stands between the marks of the page.

    Args:
        known: all systems.
    """
    halves = {"held out": "held-out", "fit": "fit"}
    parts = [
        f"Systems {title}:\n\n{table([each for each in known if each.half == half])}" for title, half in halves.items()
    ]
    return "\n\n".join([*parts, f"On systems where an earlier diagnosis was sure and wrong:\n\n{rows(known)}"])


def _cells(figures: Mapping[str, Any]) -> list[str]:
    """The figures of a kind in few digits: counts, widths, and parts in percent."""
    whole = ("systems", "wrong")
    return [
        str(figures[name]) if name in whole
        else f"{figures[name]:.2g}" if name == "width"
        else "" if figures[name] != figures[name]
        else f"{figures[name]:.0%}"
        for name in COLUMNS
    ]  # fmt: skip
