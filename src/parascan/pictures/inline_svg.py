"""A figure as SVG inside a page of HTML: its colors are those of the page, light or dark."""

import io
import re

from .html_parts import escaped
from .style import CHAOTIC, INK, MUTED, PREDICTABLE, Figure, save

COLORS = {INK: "ink", "#000000": "ink", MUTED: "muted", PREDICTABLE: "cold", CHAOTIC: "hot", "#ffffff": "paper"}
"""Variables of the page's style that stand for the colors of figures."""


def inline_svg(figure: Figure, prefix: str, description: str) -> str:
    """The SVG of a figure, to be written into a page.

    Args:
        figure: of matplotlib.
        prefix: of the names inside, different for every figure of a page.
        description: of what is seen, for readers who do not see it.
    """
    file = io.BytesIO()
    save(figure, file, ".svg")
    text = file.getvalue().decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = text.replace("url(#", f"url(#{prefix}-")
    for color, name in COLORS.items():
        text = re.sub(re.escape(color), f"var(--{name})", text, flags=re.I)
    # The box of the figure is kept, its size is that of the page.
    text = re.sub(r'^<svg([^>]*?) width="[^"]*"', r"<svg\1", text)
    text = re.sub(r'^<svg([^>]*?) height="[^"]*"', r"<svg\1", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escaped(description)}"', 1)
