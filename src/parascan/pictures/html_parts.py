"""Pieces of HTML that all pages and notebooks have in common; every text is escaped here."""

import html
import math
from collections.abc import Sequence

from ..diagnostics import Estimate

STYLE = """
.parascan{--ink:#222;--paper:#fff;--muted:#6e6e6e;--line:#d8d8d8;--card:#f5f6f7;--cold:#0072B2;--hot:#C24E00;
color:var(--ink);background:var(--paper);font:15px/1.5 system-ui,sans-serif;padding:.6em 1em;overflow-wrap:anywhere}
@media (prefers-color-scheme:dark){.parascan{--ink:#e4e4e4;--paper:#15181c;--muted:#9aa0a6;--line:#3a3f45;
--card:#1e2227;--cold:#5CB6EA;--hot:#F29A5E}}
.parascan h1{font-size:1.5em;margin:.4em 0}.parascan h2{font-size:1.2em;margin:1.6em 0 .4em}
.parascan p{margin:.5em 0;max-width:75ch}.parascan ul{padding-left:1.2em;max-width:75ch}
.parascan .verdict{display:inline-block;padding:.1em .7em;border-radius:1em;border:2px solid;font-weight:600}
.parascan .predictable{color:var(--cold)}.parascan .unpredictable{color:var(--hot)}
.parascan .note{color:var(--muted);font-size:.9em}
.parascan pre{background:var(--card);padding:.7em;white-space:pre-wrap;font-size:.9em}
.parascan table{border-collapse:collapse;width:100%;background:none}
.parascan tr{background:none}.parascan th{overflow-wrap:normal}.parascan td{min-width:4.5em}
.parascan th,.parascan td{text-align:left;vertical-align:top;padding:.35em .8em .35em 0;
border-bottom:1px solid var(--line)}
.parascan td.number{white-space:nowrap;font-variant-numeric:tabular-nums}
.parascan figure{margin:0}.parascan figure svg{width:100%;height:auto;fill:var(--ink)}
.parascan .pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:1.5em}
.parascan .pictures figure{max-width:560px}
@media (max-width:700px){.parascan thead{display:none}.parascan tr,.parascan td{display:block}
.parascan tr{border-bottom:1px solid var(--line);padding:.4em 0}.parascan td{border:0;padding:.1em 0}
.parascan td.number{white-space:normal}
.parascan td[data-name]:not(:empty)::before{content:attr(data-name)": ";color:var(--muted)}
.parascan td:first-child{font-weight:600}}
"""
"""Rules for light and dark screens, wide and narrow ones; they hold inside an element of class ``parascan`` only."""

NUMBER = "number"
"""Marks a cell whose text is not to be broken."""


def escaped(text: object) -> str:
    """A text as HTML shows it, also inside of quotes."""
    return html.escape(str(text))


def element(name: str, *inside: str, **attributes: str) -> str:
    """An element of HTML.

    Args:
        name: its tag.
        inside: HTML within it.
        attributes: by name; a final underscore is left out, others become hyphens.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"' for key, value in attributes.items() if value
    )
    return f"<{name}{given}>{''.join(inside)}</{name}>"


def verdict(word: str) -> str:
    """The verdict of a diagnosis as a badge."""
    return element("span", escaped(word), class_=f"verdict {word}")


def listed(sentences: Sequence[str]) -> str:
    """Sentences as a list; nothing where there are none."""
    return element("ul", *(element("li", escaped(each)) for each in sentences)) if sentences else ""


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table, which a narrow screen shows as one block for each row.

    Args:
        headings: of the columns; each is shown beside its cell on a narrow screen, but for the first.
        rows: texts of the cells.
        numbers: headings of columns that hold numbers.
    """
    head = element("thead", element("tr", *(element("th", escaped(each)) for each in headings)))
    body = []
    for row in rows:
        cells = [
            element("td", escaped(text), data_name=name if place else "", class_=NUMBER if name in numbers else "")
            for place, (name, text) in enumerate(zip(headings, row, strict=True))
        ]
        body.append(element("tr", *cells))
    return element("table", head, element("tbody", *body))


def figure(svg: str, caption: str) -> str:
    """A picture with the sentence below it.

    Args:
        svg: of ``inline_svg``.
        caption: a text.
    """
    return element("figure", svg, element("figcaption", escaped(caption), class_="note"))


def fragment(*inside: str) -> str:
    """HTML with its own style, as notebooks show it.

    Args:
        inside: HTML.
    """
    return element("section", element("style", STYLE), *inside, class_="parascan")


def value_of(estimate: Estimate) -> str:
    """The best value in few digits, with its unit."""
    value = float(estimate.value)
    return f"{digits(value)} {estimate.unit}".rstrip() if math.isfinite(value) else digits(value)


def interval_of(estimate: Estimate) -> str:
    """The interval with its level; a single number where it has no width, and none around what is infinite."""
    value, low, high = (float(each) for each in (estimate.value, estimate.low, estimate.high))
    level = "bound" if estimate.level == 1 else f"{estimate.level:.0%}"
    if low == high == value:
        return f"of no width ({level})" if math.isfinite(value) else "none"
    return f"{digits(low)} to {digits(high)} ({level})"


def digits(number: float) -> str:
    """A number in four digits; words for what is no number."""
    if math.isnan(number):
        return "unknown"
    if math.isinf(number):
        return "no limit" if number > 0 else "minus infinity"
    return f"{number:.4g}"
